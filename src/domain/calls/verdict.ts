/** The numbers of tandem.type.v1.Verdict, which are stored. */
export const Verdict = {
  ACCEPTED: 1,
  DUPLICATE: 2,
  CONFLICT: 3,
  SUPERSEDED: 4,
  REJECTED: 5,
  QUARANTINED: 6,
} as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];

/** The numbers of tandem.type.v1.RecordIssue. */
export const RecordIssue = {
  NONE: 0,
  FIELD_REQUIRED: 1,
  FIELD_MALFORMED: 2,
  FIELD_OUT_OF_RANGE: 3,
  FIELDS_INCONSISTENT: 4,
  RECORD_DATE_MISMATCH: 5,
  TOO_OLD: 6,
  IN_FUTURE: 7,
  UNKNOWN_ENUM_VALUE: 8,
  TOO_LARGE: 9,
  INVALID_TEXT: 10,
  NOT_ATTRIBUTABLE: 11,
  POSSIBLY_REDATED: 12,
  CLOCK_AHEAD: 13,
  DURATION_DIFFERS: 14,
  UNKNOWN_FIELDS: 15,
  UNREADABLE: 16,
} as const;
export type RecordIssue = (typeof RecordIssue)[keyof typeof RecordIssue];

/** Issues of records that were not read to the end; their lengths are unknown. */
export const UNREAD_ISSUES: readonly RecordIssue[] = [RecordIssue.UNREADABLE, RecordIssue.UNKNOWN_FIELDS];

export interface VerdictCounts {
  accepted: number;
  duplicate: number;
  conflict: number;
  superseded: number;
  rejected: number;
  quarantined: number;
}

export function countVerdicts(verdicts: Iterable<number>): VerdictCounts {
  const byVerdict = [0, 0, 0, 0, 0, 0, 0];
  for (const verdict of verdicts) byVerdict[verdict] = (byVerdict[verdict] ?? 0) + 1;
  return {
    accepted: byVerdict[Verdict.ACCEPTED] ?? 0,
    duplicate: byVerdict[Verdict.DUPLICATE] ?? 0,
    conflict: byVerdict[Verdict.CONFLICT] ?? 0,
    superseded: byVerdict[Verdict.SUPERSEDED] ?? 0,
    rejected: byVerdict[Verdict.REJECTED] ?? 0,
    quarantined: byVerdict[Verdict.QUARANTINED] ?? 0,
  };
}

export function addCounts(left: VerdictCounts, right: VerdictCounts): VerdictCounts {
  return {
    accepted: left.accepted + right.accepted,
    duplicate: left.duplicate + right.duplicate,
    conflict: left.conflict + right.conflict,
    superseded: left.superseded + right.superseded,
    rejected: left.rejected + right.rejected,
    quarantined: left.quarantined + right.quarantined,
  };
}

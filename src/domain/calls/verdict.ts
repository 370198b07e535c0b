import { RecordIssue, Verdict } from "../../gen/tandem/type/v1/upload_pb.js";

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

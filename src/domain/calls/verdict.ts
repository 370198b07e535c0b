import { RecordIssue, Verdict } from "../../gen/tandem/type/v1/upload_pb.js";

/**
 * Issues of a rejected record that was not read to its end: what it said of its length is not
 * known.
 */
export const UNREAD_ISSUES: readonly RecordIssue[] = [RecordIssue.UNREADABLE, RecordIssue.UNKNOWN_FIELDS];

/** How many records had which verdict. */
export interface VerdictCounts {
  accepted: number;
  duplicate: number;
  conflict: number;
  superseded: number;
  rejected: number;
  quarantined: number;
}

/** Counts a run of verdicts. */
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

/** The sum of two counts. */
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

import { RecordIssue, Verdict } from "../../gen/tandem/type/v1/upload_pb.js";

/** Issues of records that were not read to the end; their lengths are unknown. */
export const UNREAD_ISSUES: readonly RecordIssue[] = [RecordIssue.UNREADABLE, RecordIssue.UNKNOWN_FIELDS];

type VerdictName = Lowercase<Exclude<keyof typeof Verdict, "UNSPECIFIED">>;
export type VerdictCounts = Record<VerdictName, number>;

/** A value for each verdict. */
export function ofEachVerdict<T>(value: (name: VerdictName) => T): Record<VerdictName, T> {
  return {
    accepted: value("accepted"),
    duplicate: value("duplicate"),
    conflict: value("conflict"),
    superseded: value("superseded"),
    rejected: value("rejected"),
    quarantined: value("quarantined"),
  };
}

export function countVerdicts(verdicts: Iterable<number>): VerdictCounts {
  const counts = [0, 0, 0, 0, 0, 0, 0];
  for (const verdict of verdicts) counts[verdict] = (counts[verdict] ?? 0) + 1;
  return ofEachVerdict((name) => counts[Verdict[name.toUpperCase() as Uppercase<typeof name>]] ?? 0);
}

export function addCounts(left: VerdictCounts, right: VerdictCounts): VerdictCounts {
  return ofEachVerdict((name) => left[name] + right[name]);
}

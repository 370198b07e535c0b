import type { VerdictCounts } from "../../gen/tandem/type/v1/upload_pb.js";
import { formatCount } from "../shared/output.ts";

const VERDICTS = ["accepted", "duplicate", "conflict", "superseded", "rejected", "quarantined"] as const;

/** The verdicts that were given, such as `98 accepted, 2 rejected`. */
export function formatVerdicts(counts: VerdictCounts | undefined): string {
  return VERDICTS.map((verdict) => [verdict, counts?.[verdict] ?? 0n] as const)
    .filter(([verdict, count]) => verdict === "accepted" || count > 0n)
    .map(([verdict, count]) => `${formatCount(count)} ${verdict}`)
    .join(", ");
}

import {
  RecordIssueSchema,
  type RecordOutcome,
  Verdict,
  type VerdictCounts,
  VerdictSchema,
} from "../../gen/tandem/type/v1/upload_pb.js";
import { formatCount, styled } from "../shared/output.ts";
import { enumName } from "../shared/values.ts";

/** How many records are named for one reason. */
const MAX_NAMED = 10;

/** Prints what became of records, those of one reason together. */
export function printOutcomes(outcomes: readonly RecordOutcome[], lineOf?: (offset: number) => number): void {
  const reasonOf = ({ verdict, issue, fieldPath, message }: RecordOutcome) =>
    `${verdict} ${issue} ${fieldPath} ${message}`;
  for (const group of Map.groupBy(outcomes, reasonOf).values()) {
    const [first] = group as [RecordOutcome];
    const verdict = styled(colourOf(first.verdict), enumName(VerdictSchema, first.verdict) ?? "");
    const issue = [enumName(RecordIssueSchema, first.issue), first.fieldPath].filter(Boolean).join(" ");
    console.log(`${[verdict, issue].filter(Boolean).join("  ")}  (${formatCount(group.length)})`);
    console.log(`  ${first.message}${first.retryable ? "; the same record may be accepted later" : ""}`);
    const named = group.slice(0, MAX_NAMED).map(({ recordId, recordOffset }) => {
      const where = lineOf === undefined ? `offset ${recordOffset}` : `line ${lineOf(Number(recordOffset))}`;
      return `${recordId} (${where})`;
    });
    const more = group.length > MAX_NAMED ? ` and ${formatCount(group.length - MAX_NAMED)} more` : "";
    console.log(`  ${styled("dim", `${named.join(", ")}${more}`)}`);
  }
}

function colourOf(verdict: Verdict): "red" | "yellow" | "dim" {
  if (verdict === Verdict.REJECTED || verdict === Verdict.CONFLICT) return "red";
  return verdict === Verdict.QUARANTINED ? "yellow" : "dim";
}

const VERDICTS = ["accepted", "duplicate", "conflict", "superseded", "rejected", "quarantined"] as const;

/** The verdicts that were given, such as `98 accepted, 2 rejected`. */
export function formatVerdicts(counts: VerdictCounts | undefined): string {
  return VERDICTS.map((verdict) => [verdict, counts?.[verdict] ?? 0n] as const)
    .filter(([verdict, count]) => verdict === "accepted" || count > 0n)
    .map(([verdict, count]) => `${formatCount(count)} ${verdict}`)
    .join(", ");
}

import { RecordIssueSchema, type RecordOutcome, Verdict, VerdictSchema } from "../../gen/tandem/type/v1/upload_pb.js";
import { formatCount, styled } from "../shared/output.ts";
import { enumName } from "../shared/values.ts";

/** How many records are named for one reason. */
const MAX_NAMED = 10;

/** Prints what became of records, those of one reason together. */
export function printOutcomes(outcomes: readonly RecordOutcome[], lineOf?: (offset: number) => number): void {
  for (const group of groupByReason(outcomes)) {
    const [first] = group;
    if (first === undefined) continue;
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

function groupByReason(outcomes: readonly RecordOutcome[]): RecordOutcome[][] {
  const groups = new Map<string, RecordOutcome[]>();
  for (const outcome of outcomes) {
    const key = `${outcome.verdict} ${outcome.issue} ${outcome.fieldPath} ${outcome.message}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [outcome]);
    else group.push(outcome);
  }
  return [...groups.values()];
}

function colourOf(verdict: Verdict): "red" | "yellow" | "dim" {
  switch (verdict) {
    case Verdict.REJECTED:
    case Verdict.CONFLICT:
      return "red";
    case Verdict.QUARANTINED:
      return "yellow";
    default:
      return "dim";
  }
}

import { RecordIssueSchema, type RecordOutcome, Verdict, VerdictSchema } from "../../gen/tandem/type/v1/upload_pb.js";
import { styled } from "../output.ts";
import { enumName } from "../values.ts";

/** Prints what became of records: two lines each, since a reason is a sentence. */
export function printOutcomes(outcomes: readonly RecordOutcome[], lineOf?: (offset: number) => number): void {
  for (const outcome of outcomes) {
    const where =
      lineOf === undefined ? `offset ${outcome.recordOffset}` : `line ${lineOf(Number(outcome.recordOffset))}`;
    const verdict = styled(colourOf(outcome.verdict), enumName(VerdictSchema, outcome.verdict) ?? "");
    const issue = enumName(RecordIssueSchema, outcome.issue);
    const field = outcome.fieldPath === undefined ? "" : ` ${outcome.fieldPath}`;
    console.log(`${where}  ${outcome.recordId}  ${verdict}${issue === undefined ? "" : `  ${issue}${field}`}`);
    const more = `${outcome.message}${outcome.retryable ? " (may be accepted later as it is)" : ""}`;
    if (more !== "") console.log(`  ${more}`);
  }
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

import { maskLastDigits } from "../domain/privacy/masking.ts";
import { RecordIssue, Verdict } from "../gen/tandem/type/v1/upload_pb.js";
import type { PreparedBatch } from "./pending.ts";
import type { AttributionCandidate } from "./records/prepared.ts";

/** What the client is told of a record that was not plainly accepted. */
export interface Outcome {
  recordOffset: bigint;
  recordId: string;
  verdict: Verdict;
  issue: number;
  fieldPath: string | undefined;
  message: string;
  retryable: boolean;
}

/** The outcomes of a batch's records, leaving out those that were plainly accepted. */
export function outcomesOf(batch: PreparedBatch, verdicts: readonly Verdict[], issues: readonly number[]): Outcome[] {
  return verdicts.flatMap((verdict, index) => {
    const record = batch.records[index];
    if (!record || (verdict === Verdict.ACCEPTED && record.warnings.length === 0)) return [];
    return [outcomeOf(batch.firstOffset + BigInt(index), record, verdict, issues[index] ?? RecordIssue.UNSPECIFIED)];
  });
}

/** The outcome of one record. */
export function outcomeOf(
  recordOffset: bigint,
  record: PreparedBatch["records"][number],
  verdict: Verdict,
  issue: number,
): Outcome {
  const { recordId } = record;
  const warning = verdict === Verdict.ACCEPTED ? record.warnings[0] : undefined;
  const problem = verdict === Verdict.REJECTED ? record.refusal : warning;
  if (problem) {
    return {
      recordOffset,
      recordId,
      verdict,
      issue: problem.issue,
      fieldPath: problem.fieldPath,
      message: problem.message,
      retryable: problem.retryable,
    };
  }
  return {
    recordOffset,
    recordId,
    verdict,
    issue,
    fieldPath: undefined,
    message: explain(verdict, issue, record.candidates),
    retryable: false,
  };
}

function explain(verdict: Verdict, issue: number, candidates: readonly AttributionCandidate[]): string {
  switch (verdict) {
    case Verdict.ACCEPTED:
      return "accepted";
    case Verdict.DUPLICATE:
      return "the same record is already stored";
    case Verdict.CONFLICT:
      return "this id, day and revision are stored with different content; send a correction as a higher revision";
    case Verdict.SUPERSEDED:
      return "a higher revision of this record is already stored";
    case Verdict.REJECTED:
    case Verdict.UNSPECIFIED:
      return "refused";
    case Verdict.QUARANTINED:
      return issue === RecordIssue.POSSIBLY_REDATED
        ? "this id exists on a neighbouring day with the same parties and duration; send it as a revision of that record, or under another id"
        : explainUnattributed(candidates);
    default:
      return verdict satisfies never;
  }
}

function explainUnattributed(candidates: readonly AttributionCandidate[]): string {
  if (candidates.length === 0) {
    return "no party that can identify the subscriber has a readable number (OUTBOUND: redirecting, asserted, calling; INBOUND: called): send E.164, or country_code with a national number";
  }
  const told = candidates
    .slice(0, MAX_TOLD)
    .map(({ basis, number }) => `${BASIS_NAMES[basis]} is read as ${maskLastDigits(number)}`);
  const more = candidates.length > MAX_TOLD ? ", and more" : "";
  return `none of the record's numbers was assigned to this carrier at the time of the call: ${told.join(", ")}${more}; the record is judged again when numbers change`;
}

const MAX_TOLD = 4;
/** Names by AttributionBasis. */
const BASIS_NAMES: Readonly<Record<number, string>> = { 1: "redirecting", 2: "asserted", 3: "calling", 4: "called" };

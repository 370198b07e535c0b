import { type Micros, msFromMicros } from "../domain/instant.ts";
import { type CallEvidence, explainCall } from "../domain/matching/explain.ts";
import { Side } from "../domain/matching/result.ts";
import { type CallResultRow, readResultsNamed } from "../store/call-results.ts";
import type { Tx } from "../store/database.ts";
import type { ExplainedRecord } from "../store/explain-targets.ts";
import type { Reconciled } from "./carrier.ts";
import { nameOf } from "./result-row.ts";
import { gatherAround } from "./turn.ts";

/** Why a call came out as it did, and how it stands in the store. */
export interface ExplainedCall {
  readonly evidence: CallEvidence;
  /** Undefined: it has not been reconciled yet. */
  readonly stored: CallResultRow | undefined;
}

/**
 * Explains the call of a record: matches it anew with everything that was judged together with it, in a transaction that changes nothing. Undefined when the
 * record is not there any more.
 */
export async function explainRecord(
  tx: Tx,
  carrier: Reconciled,
  record: ExplainedRecord,
  now: Micros,
): Promise<ExplainedCall | undefined> {
  const input = await gatherAround(tx, carrier, [msFromMicros(record.startTime)], now);
  const side = record.side === Side.PLATFORM ? Side.PLATFORM : Side.CARRIER;
  const evidence = explainCall(input, { side, recordId: record.recordId, recordDate: record.recordDate });
  if (!evidence) return undefined;
  const [stored] = await readResultsNamed(tx, carrier.carrierId, [nameOf(evidence.result)]);
  return { evidence, stored };
}

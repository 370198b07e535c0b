import type { AppendBatch, AppendRecord } from "../store/append.ts";
import type { Tx } from "../store/database.ts";
import { readFeedHead } from "../store/feed-head.ts";
import { attribute, type HoldingsCache } from "../store/holdings-cache.ts";
import { Feed } from "../store/schema.ts";
import type { PreparedBatch } from "./pending.ts";
import type { PreparedRecord } from "./prepared.ts";

/**
 * Joins each record to the number and customer that it belongs to, as the carrier's numbers stand in this transaction. Returns with it the state of
 * the numbers that was used: a record that finds no number is judged again when that has moved on.
 */
export async function attributeBatches(
  tx: Tx,
  carrierId: string,
  cache: HoldingsCache,
  batches: readonly PreparedBatch[],
): Promise<{ batches: AppendBatch[]; numbersSequence: bigint }> {
  const numbersSequence = (await readFeedHead(tx, carrierId, Feed.NUMBERS)).headSequence;
  const numbers = new Set<string>();
  for (const batch of batches) {
    for (const record of batch.records) for (const candidate of record.candidates) numbers.add(candidate.number);
  }
  const holdings = await cache.load(tx, carrierId, numbersSequence, numbers);
  const attributed = batches.map((batch) => ({
    uploadId: batch.uploadId,
    writerEpoch: batch.writerEpoch,
    firstOffset: batch.firstOffset,
    describe: batch.describe,
    records: batch.records.map((record) => appendRecord(record, batch, carrierId, holdings)),
  }));
  return { batches: attributed, numbersSequence };
}

function appendRecord(
  record: PreparedRecord<unknown>,
  batch: PreparedBatch,
  carrierId: string,
  holdings: Parameters<typeof attribute>[2],
): AppendRecord {
  const refused = record.refusal !== undefined;
  const attribution = refused ? undefined : attribute(record.candidates, record.startTime, holdings);
  return {
    recordId: record.recordId,
    recordDate: record.recordDate,
    revision: record.revision,
    isVoid: record.isVoid,
    contentHash: record.contentHash,
    partyHash: record.partyHash,
    connectedDurationMs: record.connectedDurationMs,
    startTime: record.startTime,
    refused,
    attribution,
    numbers: record.candidates.map((candidate) => candidate.number),
    row: refused ? undefined : batch.edge.row(record, carrierId, attribution),
    encoded: () => batch.edge.encode(record),
  };
}

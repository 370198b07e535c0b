import type { Tx } from "../store/database/run.ts";
import { attribute, type HoldingsCache, type NumbersHead } from "../store/numbers/holdings-cache.ts";
import type { AppendBatch, AppendRecord } from "../store/records/record-rows.ts";
import type { PreparedBatch } from "./pending.ts";
import type { PreparedRecord } from "./records/prepared.ts";

/**
 * Attributes each record to the number and customer that it belongs to, by the carrier's numbers at
 * a state of their feed.
 */
export async function attributeBatches(
  tx: Tx,
  carrierId: string,
  cache: HoldingsCache,
  numbers: NumbersHead,
  batches: readonly PreparedBatch[],
): Promise<AppendBatch[]> {
  const holdings = await cache.load(tx, carrierId, numbers, candidateNumbers(batches));
  return batches.map((batch) => ({
    uploadId: batch.uploadId,
    writerEpoch: batch.writerEpoch,
    firstOffset: batch.firstOffset,
    describe: batch.describe,
    records: batch.records.map((record) => appendRecord(record, batch, carrierId, holdings)),
  }));
}

// May be walked more than once.
function candidateNumbers(batches: readonly PreparedBatch[]): Iterable<string> {
  return {
    *[Symbol.iterator]() {
      for (const batch of batches) {
        for (const record of batch.records) for (const candidate of record.candidates) yield candidate.number;
      }
    },
  };
}

function appendRecord(
  record: PreparedRecord<unknown>,
  { codec }: PreparedBatch,
  carrierId: string,
  holdings: Parameters<typeof attribute>[2],
): AppendRecord {
  if (record.refusal !== undefined) return new AttributedRecord(record, codec, undefined, undefined);
  const attribution = attribute(record.candidates, record.startTime, holdings);
  return new AttributedRecord(record, codec, attribution, codec.row(record, carrierId, attribution));
}

// There is one for each record of an upload, so what is seldom needed is made only when it is asked
// for.
class AttributedRecord implements AppendRecord {
  readonly sent: PreparedRecord<unknown>;
  readonly #codec: PreparedBatch["codec"];
  readonly attribution: AppendRecord["attribution"];
  readonly row: AppendRecord["row"];

  constructor(
    sent: PreparedRecord<unknown>,
    codec: PreparedBatch["codec"],
    attribution: AppendRecord["attribution"],
    row: AppendRecord["row"],
  ) {
    this.sent = sent;
    this.#codec = codec;
    this.attribution = attribution;
    this.row = row;
  }

  get numbers(): string[] {
    return this.sent.candidates.map((candidate) => candidate.number);
  }

  encoded(): Uint8Array {
    return this.#codec.encode(this.sent);
  }
}

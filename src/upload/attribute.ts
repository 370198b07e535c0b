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
  return batches.map(({ uploadId, writerEpoch, firstOffset, describe, codec, records }) => {
    const of = { codec, carrierId };
    const attributed = records.map((record) => appendRecord(record, of, holdings));
    return { uploadId, writerEpoch, firstOffset, describe, records: attributed };
  });
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
  of: BatchPlace,
  holdings: Parameters<typeof attribute>[2],
): AppendRecord {
  const isRefused = record.refusal !== undefined;
  const attribution = isRefused ? undefined : attribute(record.candidates, record.startTime, holdings);
  return new AttributedRecord(record, of, attribution);
}

/** What the records of a batch share. */
interface BatchPlace {
  readonly codec: PreparedBatch["codec"];
  readonly carrierId: string;
}

// There is one for each record of an upload, so what is seldom needed is made only when it is asked
// for.
class AttributedRecord implements AppendRecord {
  readonly sent: PreparedRecord<unknown>;
  readonly #of: BatchPlace;
  readonly attribution: AppendRecord["attribution"];

  constructor(sent: PreparedRecord<unknown>, of: BatchPlace, attribution: AppendRecord["attribution"]) {
    this.sent = sent;
    this.#of = of;
    this.attribution = attribution;
  }

  get row(): AppendRecord["row"] {
    const { codec, carrierId } = this.#of;
    return this.sent.refusal === undefined ? codec.row(this.sent, carrierId, this.attribution) : undefined;
  }

  get numbers(): string[] {
    return this.sent.candidates.map((candidate) => candidate.number);
  }

  encoded(): Uint8Array {
    return this.#of.codec.encode(this.sent);
  }
}

import { TandemClientError } from "./errors.ts";

/**
 * The records of one upload, in an order that never changes: the record at an offset is the same
 * each time it is read, today and after a restart. Keep it until the receipt.
 */
export interface UploadSource<Rec> {
  /**
   * Up to `limit` records from `offset` on. Fewer are allowed; none means that the source ends
   * before `offset`.
   */
  readonly read: (offset: number, limit: number, signal: AbortSignal) => Promise<readonly Rec[]> | readonly Rec[];
}

/** A source over records that are in memory. */
export function arraySource<Rec>(records: readonly Rec[]): UploadSource<Rec> {
  return { read: (offset, limit) => records.slice(offset, offset + limit) };
}

/**
 * Control totals over a prefix of a source: each record is counted once, however often it is sent.
 */
export class RunningTotals<Rec> {
  readonly #source: UploadSource<Rec>;
  readonly #durationOf: (record: Rec) => bigint;
  #count = 0;
  #connectedDurationMs = 0n;

  constructor(source: UploadSource<Rec>, durationOf: (record: Rec) => bigint) {
    this.#source = source;
    this.#durationOf = durationOf;
  }

  /** Counts records that were read at an offset, as far as they are new and join on. */
  add(offset: number, records: readonly Rec[]): void {
    if (offset > this.#count) return;
    for (const record of records.slice(this.#count - offset)) {
      this.#connectedDurationMs += this.#durationOf(record);
      this.#count += 1;
    }
  }

  /**
   * The sum over [0, offset); what an earlier process sent is read again. Several may read at once:
   * an attempt that was given up may still wait for the source.
   */
  async through(offset: number, batchRecords: number, signal: AbortSignal): Promise<bigint> {
    while (this.#count < offset) {
      const from = this.#count;
      const records = await this.#source.read(from, Math.min(batchRecords, offset - from), signal);
      if (records.length === 0) {
        const message = `the server holds ${offset} records and the source only ${from}: it is not the source of this upload`;
        throw new TandemClientError("SOURCE", message);
      }
      this.add(from, records);
    }
    if (this.#count > offset) {
      const message = `the source ended at ${offset} and had given ${this.#count} records before: it must not change`;
      throw new TandemClientError("SOURCE", message);
    }
    return this.#connectedDurationMs;
  }
}

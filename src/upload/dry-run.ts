import { addCounts, countVerdicts, UNREAD_ISSUES, type VerdictCounts } from "../domain/calls/verdict.ts";
import { carrierTransaction, type Database } from "../store/database/database.ts";
import type { Tx } from "../store/database/run.ts";
import type { HoldingsCache } from "../store/numbers/holdings-cache.ts";
import type { UploadRow } from "../store/records/uploads.ts";
import { judgeOnly } from "./append.ts";
import { type Outcome, outcomesOf } from "./outcome.ts";
import type { AppendResult, PreparedBatch } from "./pending.ts";
import {
  checkTotals,
  checkUploadId,
  historyLost,
  type PreparingOptions,
  PreparingStore,
  totalMismatch,
  type UploadFinish,
  type UploadOpen,
  type UploadStore,
} from "./upload-store.ts";

export interface DryRunOptions<Message> extends PreparingOptions<Message> {
  readonly db: Database;
  readonly holdings: HoldingsCache;
}

/**
 * A dry run: every record gets the verdict that it would get now, each batch on its own, and
 * nothing is stored.
 */
export class DryRun<Message> extends PreparingStore<Message> implements UploadStore<Message> {
  readonly #options: DryRunOptions<Message>;
  readonly #row: UploadRow = {
    uploadId: "",
    nextOffset: 0n,
    writerEpoch: 0n,
    sealed: false,
    finished: false,
    sealTime: undefined,
    counts: countVerdicts([]),
    connectedDurationMs: 0n,
    createTime: 0n,
    updateTime: 0n,
  };

  #last: Promise<unknown> = Promise.resolve();
  #hasUnread = false;

  constructor(options: DryRunOptions<Message>) {
    super(options);
    this.#options = options;
  }

  async open(open: UploadOpen): Promise<UploadRow> {
    checkUploadId(open.uploadId);
    if (open.acknowledgedOffset !== 0n) throw historyLost(0n);
    this.uploadId = this.#row.uploadId = open.uploadId;
    return this.#row;
  }

  claim(): Disposable {
    return { [Symbol.dispose]() {} };
  }

  // One batch after the other, as a store would: a validation in small batches must not take every
  // connection to the database.
  commit(batch: PreparedBatch): Promise<AppendResult> {
    const committed = this.#last.then(() => this.#commitNext(batch));
    this.#last = committed.catch(() => {});
    return committed;
  }

  async #commitNext(batch: PreparedBatch): Promise<AppendResult> {
    // The batch before it failed: if this one were counted now, it would be counted again when it
    // is sent again.
    if (batch.firstOffset !== this.#row.nextOffset) return { committed: false };
    const result = await this.#judge(batch);
    this.#row.nextOffset = batch.firstOffset + BigInt(batch.records.length);
    this.#hasUnread ||= batch.records.some(({ refusal }) => UNREAD_ISSUES.some((issue) => issue === refusal?.issue));
    this.#row.connectedDurationMs += batch.records.reduce((sum, record) => sum + record.connectedDurationMs, 0n);
    this.#row.counts = addCounts(this.#row.counts, countVerdicts(result.verdicts));
    return result;
  }

  async checkWriter(): Promise<UploadRow> {
    return this.#row;
  }

  async replay(batch: PreparedBatch): Promise<{ outcomes: Outcome[]; counts: VerdictCounts }> {
    // Nothing was stored to compare a repeat with: it is judged again, and not counted again.
    const { verdicts, issues } = await this.#judge(batch);
    return { outcomes: outcomesOf(batch, verdicts, issues), counts: countVerdicts(verdicts) };
  }

  async finish(_writerEpoch: bigint, finish: UploadFinish, committed: bigint): Promise<UploadRow> {
    checkTotals(finish, committed);
    if (finish.connectedDurationMs !== this.#row.connectedDurationMs && !this.#hasUnread) {
      throw totalMismatch("totals.connected_duration_ms", finish.connectedDurationMs, this.#row.connectedDurationMs);
    }
    return this.#row;
  }

  #judge(batch: PreparedBatch): Promise<AppendResult & { committed: true }> {
    const { db, carrierId, holdings, codec } = this.#options;
    const place = { carrierId, kind: codec.kind };
    const judge = (tx: Tx) => judgeOnly(tx, place, holdings, batch);
    return carrierTransaction(db, carrierId, judge, { byIndexOnly: true });
  }
}

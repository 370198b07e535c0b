import type { FeedId } from "../domain/feed-id.ts";
import type { RecordKind } from "../domain/record-kind.ts";
import type { ErasuresInForce } from "../erasure/late-records.ts";
import { currentCaller, finishingCall, type Judged } from "../store/database/callers.ts";
import { carrierTransaction, type Database, isTransient } from "../store/database/database.ts";
import type { Tx } from "../store/database/run.ts";
import type { HoldingsCache } from "../store/numbers/holdings-cache.ts";
import { appendBatches } from "./append.ts";
import type { AppendResult, PendingBatch } from "./pending.ts";

/**
 * Most records that share one commit. A busy carrier is limited by its commits, so batches that
 * wait are committed together.
 */
const MAX_GROUP_RECORDS = 8_000;

export interface CommitterOptions {
  db: Database;
  holdings: HoldingsCache;
  /** What is erased as it arrives. */
  erasures: ErasuresInForce;
  /** Called after each commit that added entries, outside the transaction. */
  onAppended: (carrierId: string, feed: FeedId, headSequence: bigint) => void;
}

/**
 * Commits batches, one transaction at a time for each carrier and kind: what has gathered during a
 * commit shares the next. A group that fails because of its data is tried again batch by batch, so
 * that nobody else's records suffer for it.
 */
export class Committer {
  readonly #options: CommitterOptions;
  readonly #lines = new Map<string, PendingBatch[]>();

  constructor(options: CommitterOptions) {
    this.#options = options;
  }

  /**
   * Commits a batch; batches of one upload are committed in the order of the calls. Rejects when
   * the store failed: the outcome may then be unknown.
   */
  commit(carrierId: string, kind: RecordKind, batch: PendingBatch["batch"]): Promise<AppendResult> {
    return new Promise((resolve, reject) => {
      const key = `${kind.name}:${carrierId}`;
      const line = this.#lines.get(key);
      const pending = { batch, caller: currentCaller(), resolve, reject };
      if (line) line.push(pending);
      else {
        const fresh = [pending];
        this.#lines.set(key, fresh);
        void this.#run(key, carrierId, kind, fresh);
      }
    });
  }

  async #run(key: string, carrierId: string, kind: RecordKind, line: PendingBatch[]): Promise<void> {
    // First waits for a turn of the event loop, so that batches that came in together are committed
    // together.
    await new Promise((resolve) => setImmediate(resolve));
    while (line.length > 0) await this.#commitGroup(carrierId, kind, takeGroup(line));
    this.#lines.delete(key);
  }

  async #commitGroup(carrierId: string, kind: RecordKind, group: PendingBatch[]): Promise<void> {
    try {
      // Several uploads may share a commit, so it does not end with one's call; it counts to the
      // first's caller. If it is refused while it waits, the others are tried by themselves.
      const [{ caller }] = group as [PendingBatch, ...PendingBatch[]];
      const results = await finishingCall(
        () => this.#append(carrierId, kind, group),
        caller && { ...caller, judged: judgedTogether(group) },
      );
      for (const [index, pending] of group.entries()) pending.resolve(results[index] ?? { committed: false });
    } catch (error) {
      if (group.length > 1 && !isTransient(error)) {
        for (const pending of group) await this.#commitGroup(carrierId, kind, [pending]);
        return;
      }
      for (const pending of group) pending.reject(error);
    }
  }

  async #append(carrierId: string, kind: RecordKind, group: PendingBatch[]): Promise<AppendResult[]> {
    const { db, onAppended } = this.#options;
    const place = { carrierId, kind };
    const batches = group.map((pending) => pending.batch);
    const append = (tx: Tx) => appendBatches(tx, place, this.#options, batches);
    const outcome = await carrierTransaction(db, carrierId, append, { byIndexOnly: true });
    if (outcome.appended > 0) onAppended(carrierId, kind.feed, outcome.headSequence);
    return outcome.results;
  }
}

/** The shared judgement, which is good as long as each one is. */
function judgedTogether(group: readonly PendingBatch[]): Judged | undefined {
  const each = group.flatMap(({ caller }) => caller?.judged ?? []);
  if (each.length === 0) return undefined;
  return {
    get atMs() {
      return Math.min(...each.map(({ atMs }) => atMs));
    },
    again: async () => void (await Promise.all(each.map((judged) => judged.again()))),
  };
}

// The batches of one upload in a group follow each other without a gap, because the store moves an
// upload once for each group.
function takeGroup(line: PendingBatch[]): PendingBatch[] {
  const group: PendingBatch[] = [];
  const ends = new Map<string, string>();
  let records = 0;
  while (line.length > 0) {
    const { batch } = line[0] as PendingBatch;
    const end = ends.get(batch.uploadId);
    const follows = end === undefined || end === `${batch.writerEpoch}:${batch.firstOffset}`;
    if (group.length > 0 && (!follows || records + batch.records.length > MAX_GROUP_RECORDS)) break;
    group.push(line.shift() as PendingBatch);
    records += batch.records.length;
    ends.set(batch.uploadId, `${batch.writerEpoch}:${batch.firstOffset + BigInt(batch.records.length)}`);
  }
  return group;
}

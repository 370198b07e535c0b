import type { Tracer } from "@opentelemetry/api";
import type { FeedId } from "../domain/feed-id.ts";
import type { RecordKind } from "../domain/record-kind.ts";
import type { ErasuresInForce } from "../erasure/late-records.ts";
import { type Caller, currentCaller, finishingCall, type Judged } from "../store/database/callers.ts";
import { carrierTransaction, type Database } from "../store/database/database.ts";
import { Gathered } from "../store/database/gathered.ts";
import type { Tx } from "../store/database/run.ts";
import type { HoldingsCache } from "../store/numbers/holdings-cache.ts";
import { type AppendPlace, appendBatches } from "./append.ts";
import { BatchTrace, CommitTraces } from "./batch-traces.ts";
import type { CommitMetrics } from "./commit-metrics.ts";
import type { AppendResult, PreparedBatch } from "./pending.ts";

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
  readonly metrics: CommitMetrics;
  /** Undefined: nothing is traced. */
  readonly tracer?: Tracer | undefined;
}

/** A batch that waits for its commit. */
interface PendingBatch extends AppendPlace {
  readonly batch: PreparedBatch;
  /** The caller whose share of the connections its commit uses. */
  readonly caller: Caller | undefined;
  readonly trace: BatchTrace | undefined;
}

/**
 * Commits batches, one transaction at a time for each carrier and kind: what has gathered during a
 * commit shares the next.
 */
export class Committer {
  readonly #options: CommitterOptions;
  readonly #commits: Gathered<PendingBatch, AppendResult>;

  constructor(options: CommitterOptions) {
    this.#options = options;
    this.#commits = new Gathered((group) => this.#commitGroup(group), groupLength);
  }

  /**
   * Commits a batch; batches of one upload are committed in the order of the calls. Rejects when
   * the store failed: the outcome may then be unknown.
   */
  commit(carrierId: string, kind: RecordKind, batch: PreparedBatch): Promise<AppendResult> {
    const { metrics, tracer } = this.#options;
    metrics.batchRecords.record(batch.records.length, { kind: kind.name });
    const trace = tracer && new BatchTrace(tracer, { carrierId, kind, batch });
    const pending = { carrierId, kind, batch, caller: currentCaller(), trace };
    const committing = this.#commits.add(`${kind.name}:${carrierId}`, pending);
    if (trace) committing.catch(() => trace.failed());
    return committing;
  }

  // Several uploads may share a commit, so it does not end with one's call. It counts to the
  // first's caller; if it is refused while it waits, the others are tried by themselves.
  #commitGroup(group: readonly PendingBatch[]): Promise<AppendResult[]> {
    const [first] = group as [PendingBatch];
    const caller = first.caller && { ...first.caller, judged: judgedTogether(group) };
    const batches = group.map(({ batch }) => batch);
    return finishingCall(() => this.#append(first, batches, group), caller);
  }

  async #append(
    place: AppendPlace,
    batches: readonly PreparedBatch[],
    group: readonly PendingBatch[],
  ): Promise<AppendResult[]> {
    const { db, onAppended, metrics, tracer } = this.#options;
    const { carrierId, kind } = place;
    const append = (tx: Tx) => appendBatches(tx, place, this.#options, batches);
    const traces = tracer && new CommitTraces(group);
    const options = { byIndexOnly: true, ...(traces && { aroundCommit: traces.aroundCommit }) };
    const startedMs = performance.now();
    try {
      const outcome = await carrierTransaction(db, carrierId, append, options);
      traces?.committed(outcome);
      if (outcome.appended > 0) onAppended(carrierId, kind.feed, outcome.headSequence);
      return outcome.results;
    } catch (error) {
      traces?.rolledBack();
      throw error;
    } finally {
      metrics.duration.record((performance.now() - startedMs) / 1_000, { kind: kind.name });
      metrics.records.record(
        batches.reduce((sum, { records }) => sum + records.length, 0),
        { kind: kind.name },
      );
    }
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
function groupLength(line: readonly PendingBatch[]): number {
  const ends = new Map<string, string>();
  let records = 0;
  for (const [index, { batch }] of line.entries()) {
    const end = ends.get(batch.uploadId);
    const follows = end === undefined || end === `${batch.writerEpoch}:${batch.firstOffset}`;
    records += batch.records.length;
    if (index > 0 && (!follows || records > MAX_GROUP_RECORDS)) return index;
    ends.set(batch.uploadId, `${batch.writerEpoch}:${batch.firstOffset + BigInt(batch.records.length)}`);
  }
  return line.length;
}

import type { Tracer } from "@opentelemetry/api";
import { addCounts, countVerdicts, type VerdictCounts } from "../domain/calls/verdict.ts";
import { TandemError } from "../domain/errors.ts";
import type { FeedId } from "../domain/feed-id.ts";
import type { Limits } from "../domain/limits.ts";
import type { StreamLife } from "../domain/stream-life.ts";
import { wallMicros } from "../domain/time/wall-clock.ts";
import type { ErasuresInForce } from "../erasure/late-records.ts";
import type { Database } from "../store/database/database.ts";
import { HoldingsCache } from "../store/numbers/holdings-cache.ts";
import type { UploadRow } from "../store/records/uploads.ts";
import { ByteBudget } from "./byte-budget.ts";
import type { CommitMetrics } from "./commit-metrics.ts";
import { Committer } from "./committer.ts";
import { DryRun } from "./dry-run.ts";
import type { ClientFrame, ServerFrame } from "./frames.ts";
import { type Outcome, outcomesOf } from "./outcome.ts";
import type { RecordCodec } from "./record-codec.ts";
import type { PrepareContext } from "./records/prepared.ts";
import { cdrCodec, durationCodec } from "./records/record-codecs.ts";
import type { RecordList } from "./records/record-list.ts";
import { releaseQuarantined } from "./release.ts";
import { UploadSession } from "./session.ts";
import { StoredUpload } from "./stored-upload.ts";
import { sealed, type UploadFinish, type UploadOpen, type UploadStore } from "./upload-store.ts";
import { WriterRegistry } from "./writers.ts";

export interface UploadsOptions {
  db: Database;
  limits: Limits;
  /** The installation's secret, which keys content hashes. */
  hashSecret: Buffer;
  /** What is erased as it arrives. */
  erasures: ErasuresInForce;
  /** Called after each commit that added entries to a feed. */
  onAppended: (carrierId: string, feed: FeedId, headSequence: bigint) => void;
  readonly metrics: CommitMetrics;
  /** Undefined: nothing is traced. */
  readonly tracer?: Tracer | undefined;
}

/** Whose upload it is, and of what. */
export interface UploadTarget<Message> {
  carrierId: string;
  codec: RecordCodec<Message>;
  horizons: PrepareContext["horizons"];
  validateOnly: boolean;
}

/** What one call appended. */
export interface Appended {
  committedOffset: bigint;
  counts: VerdictCounts;
  outcomes: Outcome[];
  finished: UploadRow | undefined;
}

/** All uploads of this process: the two bidirectional methods and the unary one run on it. */
export class Uploads {
  readonly committer: Committer;
  readonly holdings = new HoldingsCache();
  readonly #options: UploadsOptions;
  readonly #writers = new WriterRegistry();
  readonly #budget: ByteBudget;

  constructor(options: UploadsOptions) {
    this.#options = options;
    this.#budget = new ByteBudget(options.limits.uploadBudgetBytes);
    this.committer = new Committer({ ...options, holdings: this.holdings });
  }

  /** Runs a stream of frames to its end. */
  run<Message>(
    target: UploadTarget<Message>,
    open: UploadOpen,
    life: StreamLife,
    frames: AsyncIterable<ClientFrame<Message>>,
  ): AsyncGenerator<ServerFrame> {
    const { limits } = this.#options;
    const session = new UploadSession<Message>({
      store: this.#storeOf(target),
      open,
      life,
      budget: this.#budget,
      heartbeatMs: limits.heartbeatIntervalMs,
      maxStallMs: limits.maxStallMs,
      windowRecords: limits.uploadWindowRecords,
    });
    return session.run(frames);
  }

  /**
   * Appends records in one call: opens the upload, appends what is new, tells the verdicts of all,
   * and finishes it if asked to. Throws OFFSET_GAP when the records begin past the committed
   * offset.
   */
  async append<Message>(
    target: UploadTarget<Message>,
    open: UploadOpen,
    records: { firstOffset: bigint; messages: RecordList<Message> },
    finish: UploadFinish | undefined,
  ): Promise<Appended> {
    const store = this.#storeOf(target);
    const upload = await store.open(open);
    if (upload.sealed) return this.#appendToSealed(store, upload, records);
    using _writer = store.claim(open.uploadId, upload.writerEpoch, () => {});
    const appended: Appended = {
      committedOffset: upload.nextOffset,
      counts: countVerdicts([]),
      outcomes: [],
      finished: undefined,
    };
    if (records.messages.length > 0) await this.#appendRecords(store, upload, records, appended);
    if (finish) appended.finished = await store.finish(upload.writerEpoch, finish, appended.committedOffset);
    return appended;
  }

  /**
   * Judges a carrier's quarantined records again, of either kind. @returns how many were appended
   * to a feed.
   */
  async release(carrierId: string, signal: AbortSignal): Promise<number> {
    const { db, hashSecret, erasures, onAppended } = this.#options;
    const shared = { db, hashSecret, erasures, onAppended, holdings: this.holdings, carrierId, signal };
    return (
      (await releaseQuarantined({ ...shared, codec: durationCodec })) +
      (await releaseQuarantined({ ...shared, codec: cdrCodec }))
    );
  }

  async #appendRecords<Message>(
    store: UploadStore<Message>,
    upload: UploadRow,
    records: { firstOffset: bigint; messages: RecordList<Message> },
    appended: Appended,
  ): Promise<void> {
    const { firstOffset, messages } = records;
    store.checkBatch(firstOffset, messages.length);
    if (firstOffset > upload.nextOffset) {
      const committed = String(upload.nextOffset);
      throw new TandemError("OFFSET_GAP", `first_offset ${firstOffset} is past the committed offset ${committed}`, {
        committed_offset: committed,
      });
    }
    const known = Number(upload.nextOffset - firstOffset);
    if (known > 0) {
      const replayed = await store.replay(store.prepare(firstOffset, messages.slice(0, known), upload.writerEpoch));
      appended.counts = replayed.counts;
      appended.outcomes.push(...replayed.outcomes);
    }
    if (known >= messages.length) return;
    const batch = store.prepare(firstOffset + BigInt(known), messages.slice(known), upload.writerEpoch);
    const result = await store.commit(batch);
    if (!result.committed) {
      await store.checkWriter(upload.writerEpoch);
      throw new TandemError("STORE_UNAVAILABLE", "another call appended to this upload at the same time: call again");
    }
    appended.counts = addCounts(appended.counts, countVerdicts(result.verdicts));
    appended.outcomes.push(...outcomesOf(batch, result.verdicts, result.issues));
    appended.committedOffset = batch.firstOffset + BigInt(batch.records.length);
  }

  // A finished upload answers a repeat of its last calls with the verdicts of what it holds, and
  // its receipt.
  async #appendToSealed<Message>(
    store: UploadStore<Message>,
    upload: UploadRow,
    records: { firstOffset: bigint; messages: RecordList<Message> },
  ): Promise<Appended> {
    const { firstOffset, messages } = records;
    const appended: Appended = {
      committedOffset: upload.nextOffset,
      counts: countVerdicts([]),
      outcomes: [],
      finished: upload,
    };
    if (messages.length === 0) return appended;
    if (firstOffset < 0n || firstOffset + BigInt(messages.length) > upload.nextOffset) throw sealed(upload);
    return { ...appended, ...(await store.replay(store.prepare(firstOffset, messages, upload.writerEpoch))) };
  }

  #storeOf<Message>(target: UploadTarget<Message>): UploadStore<Message> {
    const { db, limits, hashSecret } = this.#options;
    const { carrierId, codec, horizons } = target;
    const prepareContext = (): PrepareContext => ({ now: wallMicros(), hashSecret, horizons });
    const shared = { db, carrierId, codec, prepareContext, maxBatchRecords: limits.maxBatchRecords };
    if (target.validateOnly) return new DryRun({ ...shared, holdings: this.holdings });
    const { maxOpenUploads } = limits;
    return new StoredUpload({ ...shared, maxOpenUploads, committer: this.committer, writers: this.#writers });
  }
}

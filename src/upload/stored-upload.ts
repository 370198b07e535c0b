import { countVerdicts, type VerdictCounts } from "../domain/calls/verdict.ts";
import { invalidArgument, TandemError } from "../domain/errors.ts";
import { ERASED_HASH } from "../domain/privacy/erasure.ts";
import { Verdict } from "../gen/tandem/type/v1/upload_pb.js";
import { carrierTransaction, type Database } from "../store/database/database.ts";
import { readFeedHead } from "../store/feeds/feed-head.ts";
import { readRejects } from "../store/records/rejects.ts";
import type { UploadKey } from "../store/records/upload-key.ts";
import {
  finishUpload,
  openUpload,
  readUpload,
  readUploadBatches,
  type StoredBatch,
  type UploadRow,
} from "../store/records/uploads.ts";
import type { Committer } from "./committer.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";
import type { AppendResult, PreparedBatch } from "./pending.ts";
import {
  checkTotals,
  checkUploadId,
  historyLost,
  type OpenedUpload,
  type PreparingOptions,
  PreparingStore,
  sealed,
  totalMismatch,
  type UploadFinish,
  type UploadOpen,
  type UploadStore,
} from "./upload-store.ts";
import type { WriterRegistry } from "./writers.ts";

export interface StoredUploadOptions<Message> extends PreparingOptions<Message> {
  readonly db: Database;
  readonly committer: Committer;
  readonly writers: WriterRegistry;
  readonly maxOpenUploads: number;
}

export class StoredUpload<Message> extends PreparingStore<Message> implements UploadStore<Message> {
  readonly #options: StoredUploadOptions<Message>;

  constructor(options: StoredUploadOptions<Message>) {
    super(options);
    this.#options = options;
  }

  async open(open: UploadOpen): Promise<OpenedUpload> {
    checkUploadId(open.uploadId);
    if (open.acknowledgedOffset < 0n) throw invalidArgument("acknowledged_offset", "expected 0 or more");
    this.uploadId = open.uploadId;
    const { acknowledgedOffset } = open;
    const { carrierId, codec, maxOpenUploads: mostOpen } = this.#options;
    const { feed } = codec.kind;
    const [upload, { lostSince }] = await this.#transaction(async (tx) => {
      const opened = await openUpload(tx, this.#key, { acknowledgedOffset, mostOpen });
      return [opened, await readFeedHead(tx, carrierId, feed)] as const;
    });
    if (!upload || upload.nextOffset < open.acknowledgedOffset) throw historyLost(upload?.nextOffset ?? 0n);
    // Sealed for idleness. A receipt would claim that both sides agreed on an end.
    if (upload.sealed && !upload.finished) throw sealed(upload);
    return { ...upload, lostSince };
  }

  claim(uploadId: string, writerEpoch: bigint, onFenced: (error: TandemError) => void): Disposable {
    const { writers, carrierId, codec } = this.#options;
    return writers.claim(`${codec.kind.name}:${carrierId}:${uploadId}`, writerEpoch, () =>
      onFenced(superseded(writerEpoch)),
    );
  }

  commit(batch: PreparedBatch): Promise<AppendResult> {
    return this.#options.committer.commit(this.#options.carrierId, this.#options.codec.kind, batch);
  }

  async checkWriter(writerEpoch: bigint): Promise<UploadRow> {
    const upload = await this.#transaction((tx) => readUpload(tx, this.#key));
    if (!upload) throw historyLost(0n);
    // An epoch falls only by a restore. If it were told that another has the upload, its last
    // writer would leave the rest to nobody.
    if (upload.writerEpoch < writerEpoch) throw historyLost(upload.nextOffset);
    if (upload.writerEpoch > writerEpoch) throw superseded(upload.writerEpoch);
    if (upload.sealed) throw sealed(upload);
    return upload;
  }

  async replay(batch: PreparedBatch): Promise<{ outcomes: Outcome[]; counts: VerdictCounts }> {
    const start = batch.firstOffset;
    const end = start + BigInt(batch.records.length);
    const { stored, rejects } = await this.#transaction(async (tx) => ({
      stored: await readUploadBatches(tx, this.#key, start, end),
      rejects: await readRejects(tx, this.#key, { start, end, limit: batch.records.length }),
    }));
    const told = new Map(rejects.map((reject) => [reject.recordOffset, reject]));
    const verdicts: Verdict[] = [];
    const outcomes: Outcome[] = [];
    for (const { offset, record, verdict } of storedVerdicts(batch, stored)) {
      verdicts.push(verdict);
      const outcome = told.get(offset) ?? outcomeOf(offset, record, verdict, 0);
      if (verdict !== Verdict.ACCEPTED || record.warnings.length > 0) outcomes.push({ ...outcome, verdict });
    }
    if (verdicts.length !== batch.records.length) throw historyLost(start + BigInt(verdicts.length));
    return { outcomes, counts: countVerdicts(verdicts) };
  }

  async finish(writerEpoch: bigint, finish: UploadFinish, committed: bigint): Promise<UploadRow> {
    checkTotals(finish, committed);
    const done = await this.#transaction((tx) => finishUpload(tx, this.#key, { writerEpoch, ...finish }));
    if (done) return done;
    const upload = await this.checkWriter(writerEpoch);
    if (upload.nextOffset < committed) throw historyLost(upload.nextOffset);
    throw totalMismatch("totals.connected_duration_ms", finish.connectedDurationMs, upload.connectedDurationMs);
  }

  get #key(): UploadKey {
    return { carrierId: this.#options.carrierId, kind: this.#options.codec.kind, uploadId: this.uploadId };
  }

  #transaction<T>(run: Parameters<typeof carrierTransaction<T>>[2]): Promise<T> {
    return carrierTransaction(this.#options.db, this.#options.carrierId, run);
  }
}

/**
 * The stored verdicts of a batch's records, whose content must be the same. Throws
 * OFFSET_CONTENT_MISMATCH.
 */
function* storedVerdicts(batch: PreparedBatch, stored: readonly StoredBatch[]) {
  for (const { firstOffset, verdicts, hashes } of stored) {
    for (let index = 0; index < verdicts.length; index++) {
      const offset = firstOffset + BigInt(index);
      const record = batch.records[Number(offset - batch.firstOffset)];
      if (offset < batch.firstOffset || !record) continue;
      const hash = hashes.readBigInt64BE(index * 8);
      if (hash !== record.contentHash && hash !== ERASED_HASH) throw contentMismatch(offset);
      yield { offset, record, verdict: verdicts[index] as Verdict };
    }
  }
}

function superseded(writerEpoch: bigint): TandemError {
  return new TandemError("UPLOAD_SUPERSEDED", "the upload was opened again on another connection", {
    writer_epoch: String(writerEpoch),
  });
}

function contentMismatch(offset: bigint): TandemError {
  return new TandemError(
    "OFFSET_CONTENT_MISMATCH",
    `different records are committed at offset ${offset}: start a new upload`,
    { offset: String(offset) },
  );
}

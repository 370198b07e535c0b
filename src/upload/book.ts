import { countVerdicts, type VerdictCounts } from "../domain/calls/verdict.ts";
import { invalidArgument, TandemError } from "../domain/errors.ts";
import { ERASED_HASH } from "../domain/privacy/erasure.ts";
import type { Micros } from "../domain/time/instant.ts";
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
import { type Outcome, outcomeOf, outcomesOf, rejectRow } from "./outcome.ts";
import type { AppendResult, PreparedBatch } from "./pending.ts";
import type { RecordCodec } from "./record-codec.ts";
import type { PrepareContext, PreparedRecord } from "./records/prepared.ts";
import { type RecordList, UnreadableRecord } from "./records/record-list.ts";
import { prepareUnreadable } from "./records/unreadable-records.ts";
import type { WriterRegistry } from "./writers.ts";

/** How an upload is opened. */
export interface UploadOpen {
  uploadId: string;
  acknowledgedOffset: bigint;
}

/** How an upload is finished. */
export interface UploadFinish {
  finalOffset: bigint;
  recordCount: bigint;
  connectedDurationMs: bigint;
}

/** An upload that was opened. */
export interface OpenedUpload extends UploadRow {
  /** What was acknowledged since then may be lost, of every upload of this carrier and kind. */
  readonly lostSince?: Micros | undefined;
}

/**
 * What an upload session does with the store; kept apart so that a dry run (validate_only) follows
 * the same session.
 */
export interface UploadBook<Message> {
  /**
   * Opens the upload and fences its older connection. A finished upload is returned as it stands.
   * Throws UPLOAD_HISTORY_LOST, and UPLOAD_SEALED for one that was sealed for idleness, and
   * LIMIT_REACHED for a new one when too many are open.
   */
  open(open: UploadOpen): Promise<OpenedUpload>;
  /** Registers this connection as the upload's writer in this process, and ends the one before. */
  claim(uploadId: string, writerEpoch: bigint, onFenced: (error: TandemError) => void): Disposable;
  /** Throws BATCH_TOO_LARGE, or that an offset is negative. */
  checkBatch(firstOffset: bigint, recordCount: number): void;
  /** Checks and normalises a batch's records; never throws for what is in them. */
  prepare(firstOffset: bigint, records: RecordList<Message>, writerEpoch: bigint): PreparedBatch;
  commit(batch: PreparedBatch): Promise<AppendResult>;
  outcomes(batch: PreparedBatch, result: AppendResult): Outcome[];
  /** Reads the upload, and throws if this connection is no longer its writer or it is sealed. */
  checkWriter(open: UploadOpen, writerEpoch: bigint): Promise<UploadRow>;
  /**
   * Holds records that are committed against what is stored, and tells their stored verdicts.
   * Throws OFFSET_CONTENT_MISMATCH.
   */
  replay(batch: PreparedBatch): Promise<{ outcomes: Outcome[]; counts: VerdictCounts }>;
  /** Checks the control totals and seals the upload. Throws CONTROL_TOTAL_MISMATCH. */
  finish(open: UploadOpen, writerEpoch: bigint, finish: UploadFinish, committed: bigint): Promise<UploadRow>;
}

export interface StoredBookOptions<Message> {
  db: Database;
  committer: Committer;
  writers: WriterRegistry;
  carrierId: string;
  codec: RecordCodec<Message>;
  prepareContext: () => PrepareContext;
  maxBatchRecords: number;
  maxOpenUploads: number;
}

/** An upload that is stored. */
export class StoredBook<Message> implements UploadBook<Message> {
  readonly #options: StoredBookOptions<Message>;
  #uploadId = "";

  constructor(options: StoredBookOptions<Message>) {
    this.#options = options;
  }

  async open(open: UploadOpen): Promise<OpenedUpload> {
    checkUploadId(open.uploadId);
    if (open.acknowledgedOffset < 0n) throw invalidArgument("acknowledged_offset", "expected 0 or more");
    this.#uploadId = open.uploadId;
    const { acknowledgedOffset } = open;
    const { carrierId, codec, maxOpenUploads: mostOpen } = this.#options;
    const { feed } = codec.kind;
    const [upload, { lostSince }] = await this.#transaction(async (tx) => {
      const opened = await openUpload(tx, this.#key, { acknowledgedOffset, mostOpen });
      return [opened, await readFeedHead(tx, carrierId, feed)] as const;
    });
    if (!upload || upload.nextOffset < open.acknowledgedOffset) throw historyLost(upload?.nextOffset ?? 0n);
    // Sealed for idleness: a receipt would say that both sides agreed on an end.
    if (upload.sealed && !upload.finished) throw sealed(upload);
    return { ...upload, lostSince };
  }

  claim(uploadId: string, writerEpoch: bigint, onFenced: (error: TandemError) => void): Disposable {
    const { writers, carrierId, codec } = this.#options;
    return writers.claim(`${codec.kind.name}:${carrierId}:${uploadId}`, writerEpoch, () =>
      onFenced(superseded(writerEpoch)),
    );
  }

  checkBatch(firstOffset: bigint, recordCount: number): void {
    checkBatchSize(firstOffset, recordCount, this.#options.maxBatchRecords);
  }

  prepare(firstOffset: bigint, records: RecordList<Message>, writerEpoch: bigint): PreparedBatch {
    const batch = { uploadId: this.#uploadId, firstOffset, records, writerEpoch };
    return prepareBatch(this.#options.codec, this.#options.prepareContext(), batch);
  }

  commit(batch: PreparedBatch): Promise<AppendResult> {
    return this.#options.committer.commit(this.#options.carrierId, this.#options.codec.kind, batch);
  }

  outcomes(batch: PreparedBatch, result: AppendResult): Outcome[] {
    return result.committed ? outcomesOf(batch, result.verdicts, result.issues) : [];
  }

  async checkWriter(_open: UploadOpen, writerEpoch: bigint): Promise<UploadRow> {
    const upload = await this.#transaction((tx) => readUpload(tx, this.#key));
    if (!upload) throw historyLost(0n);
    // An epoch never falls but by a restore: told that another has the upload, its last writer
    // would leave the rest to nobody.
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

  async finish(open: UploadOpen, writerEpoch: bigint, finish: UploadFinish, committed: bigint): Promise<UploadRow> {
    checkTotals(finish, committed);
    const done = await this.#transaction((tx) => finishUpload(tx, this.#key, { writerEpoch, ...finish }));
    if (done) return done;
    const upload = await this.checkWriter(open, writerEpoch);
    if (upload.nextOffset < committed) throw historyLost(upload.nextOffset);
    throw totalMismatch("totals.connected_duration_ms", finish.connectedDurationMs, upload.connectedDurationMs);
  }

  get #key(): UploadKey {
    return { carrierId: this.#options.carrierId, kind: this.#options.codec.kind, uploadId: this.#uploadId };
  }

  #transaction<T>(run: Parameters<typeof carrierTransaction<T>>[2]): Promise<T> {
    return carrierTransaction(this.#options.db, this.#options.carrierId, run);
  }
}

/**
 * The verdicts that are stored of a batch's records, whose content must be the same. Throws
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

/** Checks and normalises the records of a batch. */
export function prepareBatch<Message>(
  codec: RecordCodec<Message>,
  context: PrepareContext,
  batch: Pick<PreparedBatch, "uploadId" | "firstOffset" | "writerEpoch"> & { records: RecordList<Message> },
): PreparedBatch {
  const { uploadId, firstOffset, records, writerEpoch } = batch;
  const prepared: PreparedRecord<unknown>[] = [];
  for (let index = 0; index < records.length; index++) prepared.push(prepareRecord(codec, context, records, index));
  return {
    uploadId,
    writerEpoch,
    firstOffset,
    records: prepared,
    codec: { row: codec.row.bind(codec), encode: codec.encode.bind(codec) },
    describe: (index, verdict, issue) => {
      const offset = firstOffset + BigInt(index);
      const record = prepared[index] as (typeof prepared)[number];
      // The others are stored: their day finds them.
      const isStored = verdict === Verdict.ACCEPTED || verdict === Verdict.DUPLICATE;
      const { recordDate } = record;
      const json = isStored ? JSON.stringify({ recordDate }) : codec.maskedJson(sentRecord(records, index));
      return rejectRow(outcomeOf(offset, record, verdict as Verdict, issue), json);
    },
  };
}

function prepareRecord<Message>(
  codec: RecordCodec<Message>,
  context: PrepareContext,
  records: RecordList<Message>,
  index: number,
): PreparedRecord<unknown> {
  const record = records.at(index) as Message | UnreadableRecord<Message>;
  return record instanceof UnreadableRecord
    ? prepareUnreadable(codec, context, record)
    : codec.prepare(record, context);
}

function sentRecord<Message>(records: RecordList<Message>, index: number): Message {
  const record = records.at(index) as Message | UnreadableRecord<Message>;
  return record instanceof UnreadableRecord ? record.salvaged : record;
}

export function checkUploadId(uploadId: string): void {
  if (/^[A-Za-z0-9._:-]{1,128}$/.test(uploadId)) return;
  throw invalidArgument("upload_id", "expected 1 to 128 characters of [A-Za-z0-9._:-]");
}

/** Throws BATCH_TOO_LARGE, or that the offset is negative. */
export function checkBatchSize(firstOffset: bigint, recordCount: number, limit: number): void {
  if (firstOffset < 0n) throw invalidArgument("first_offset", "expected 0 or more");
  if (recordCount >= 1 && recordCount <= limit) return;
  throw new TandemError("BATCH_TOO_LARGE", `a batch of ${recordCount} records: expected 1 to ${limit}`, {
    records: String(recordCount),
    limit: String(limit),
  });
}

/** Holds a Finish against the number of records that were committed. */
export function checkTotals(finish: UploadFinish, committed: bigint): void {
  if (finish.finalOffset !== committed) throw totalMismatch("final_offset", finish.finalOffset, committed);
  if (finish.recordCount !== committed) throw totalMismatch("totals.record_count", finish.recordCount, committed);
}

/** The error of a control total that is not what the server counted. */
export function totalMismatch(field: string, sent: bigint, counted: bigint): TandemError {
  return new TandemError(
    "CONTROL_TOTAL_MISMATCH",
    `${field}: you sent ${sent}, but ${counted} was counted. The upload stays open`,
    {
      field,
      sent: String(sent),
      counted: String(counted),
      expected: String(sent),
      actual: String(counted),
    },
  );
}

/** The error of a server that has fewer records than it had acknowledged. */
export function historyLost(committed: bigint): TandemError {
  return new TandemError(
    "UPLOAD_HISTORY_LOST",
    `the server has ${committed} records of this upload, fewer than it acknowledged: start a new upload from the source`,
    { committed_offset: String(committed) },
  );
}

function superseded(writerEpoch: bigint): TandemError {
  return new TandemError("UPLOAD_SUPERSEDED", "the upload was opened again on another connection", {
    writer_epoch: String(writerEpoch),
  });
}

function sealed(upload: UploadRow): TandemError {
  return new TandemError("UPLOAD_SEALED", "the upload is sealed and takes no more records", {
    upload_id: upload.uploadId,
    final_offset: String(upload.nextOffset),
  });
}

function contentMismatch(offset: bigint): TandemError {
  return new TandemError(
    "OFFSET_CONTENT_MISMATCH",
    `different records are committed at offset ${offset}: start a new upload`,
    { offset: String(offset) },
  );
}

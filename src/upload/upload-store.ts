import type { VerdictCounts } from "../domain/calls/verdict.ts";
import { invalidArgument, TandemError } from "../domain/errors.ts";
import type { Micros } from "../domain/time/instant.ts";
import { Verdict } from "../gen/tandem/type/v1/upload_pb.js";
import type { UploadRow } from "../store/records/uploads.ts";
import { type Outcome, outcomeOf } from "./outcome.ts";
import type { AppendResult, PreparedBatch } from "./pending.ts";
import type { RecordCodec } from "./record-codec.ts";
import type { PrepareContext, PreparedRecord } from "./records/prepared.ts";
import { type RecordList, UnreadableRecord } from "./records/record-list.ts";
import { prepareUnreadable } from "./records/unreadable-records.ts";

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
  /** What was acknowledged since then may be lost, for every upload of this carrier and kind. */
  readonly lostSince?: Micros | undefined;
}

/**
 * What an upload session does with the store. There are two: stored-upload.ts, and dry-run.ts for
 * validate_only, which follows the same session and stores nothing.
 */
export interface UploadStore<Message> {
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
  /** Reads the upload, and throws if this connection is no longer its writer or it is sealed. */
  checkWriter(writerEpoch: bigint): Promise<UploadRow>;
  /**
   * Compares committed records with what is stored, and returns their stored verdicts. Throws
   * OFFSET_CONTENT_MISMATCH.
   */
  replay(batch: PreparedBatch): Promise<{ outcomes: Outcome[]; counts: VerdictCounts }>;
  /** Checks the control totals and seals the upload. Throws CONTROL_TOTAL_MISMATCH. */
  finish(writerEpoch: bigint, finish: UploadFinish, committed: bigint): Promise<UploadRow>;
}

/** How the batches of one upload are prepared. */
export interface PreparingOptions<Message> {
  readonly carrierId: string;
  readonly codec: RecordCodec<Message>;
  readonly prepareContext: () => PrepareContext;
  readonly maxBatchRecords: number;
}

/** What both stores have in common: they name their upload, and check and prepare its batches. */
export abstract class PreparingStore<Message> {
  readonly #options: PreparingOptions<Message>;
  protected uploadId = "";

  constructor(options: PreparingOptions<Message>) {
    this.#options = options;
  }

  checkBatch(firstOffset: bigint, recordCount: number): void {
    const { maxBatchRecords: limit } = this.#options;
    if (firstOffset < 0n) throw invalidArgument("first_offset", "expected 0 or more");
    if (recordCount >= 1 && recordCount <= limit) return;
    throw new TandemError("BATCH_TOO_LARGE", `a batch of ${recordCount} records: expected 1 to ${limit}`, {
      records: String(recordCount),
      limit: String(limit),
    });
  }

  prepare(firstOffset: bigint, records: RecordList<Message>, writerEpoch: bigint): PreparedBatch {
    const batch = { uploadId: this.uploadId, firstOffset, records, writerEpoch };
    return prepareBatch(this.#options.codec, this.#options.prepareContext(), batch);
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
    codec,
    describe: (index, verdict, issue) => {
      const offset = firstOffset + BigInt(index);
      const record = prepared[index] as (typeof prepared)[number];
      // The others are stored, and found by their day.
      const isStored = verdict === Verdict.ACCEPTED || verdict === Verdict.DUPLICATE;
      const { recordDate } = record;
      const recordJson = isStored ? JSON.stringify({ recordDate }) : codec.maskedJson(sentRecord(records, index));
      return { ...outcomeOf(offset, record, verdict as Verdict, issue), recordJson };
    },
  };
}

function prepareRecord<Message>(
  codec: RecordCodec<Message>,
  context: PrepareContext,
  records: RecordList<Message>,
  index: number,
): PreparedRecord<unknown> {
  const ordinary = prepareEncoded(codec, context, records, index);
  if (ordinary !== undefined) return ordinary;
  const record = records.at(index) as Message | UnreadableRecord<Message>;
  return record instanceof UnreadableRecord
    ? prepareUnreadable(codec, context, record)
    : codec.prepare(record, context);
}

function prepareEncoded<Message>(
  codec: RecordCodec<Message>,
  context: PrepareContext,
  { encoded }: RecordList<Message>,
  index: number,
): PreparedRecord<unknown> | undefined {
  if (encoded === undefined) return undefined;
  const { bytes, bounds } = encoded;
  return codec.prepareEncoded?.(bytes, bounds[index * 2] as number, bounds[index * 2 + 1] as number, context);
}

function sentRecord<Message>(records: RecordList<Message>, index: number): Message {
  const record = records.at(index) as Message | UnreadableRecord<Message>;
  return record instanceof UnreadableRecord ? record.salvaged : record;
}

export function checkUploadId(uploadId: string): void {
  if (/^[A-Za-z0-9._:-]{1,128}$/.test(uploadId)) return;
  throw invalidArgument("upload_id", "expected 1 to 128 characters of [A-Za-z0-9._:-]");
}

/** Compares a Finish with the number of records that were committed. */
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

/** The error of records for an upload that is sealed. */
export function sealed(upload: UploadRow): TandemError {
  return new TandemError("UPLOAD_SEALED", "the upload is sealed and takes no more records", {
    upload_id: upload.uploadId,
    final_offset: String(upload.nextOffset),
  });
}

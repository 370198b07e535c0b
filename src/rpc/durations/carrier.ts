import type { HandlerContext } from "@connectrpc/connect";
import type { VerdictCounts } from "../../domain/calls/verdict.ts";
import { invalidArgument, TandemError } from "../../domain/errors.ts";
import { DURATION } from "../../domain/record-kind.ts";
import { type Micros, timestampFromMicros } from "../../domain/time/instant.ts";
import type {
  DurationService,
  GetUploadRequest,
  ListDurationsRequest,
  ListRejectsRequest,
  ListUploadsRequest,
} from "../../gen/tandem/carrier/v1/duration_service_pb.js";
import { CallDurationSchema, DurationState } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { ErrorReason } from "../../gen/tandem/type/v1/error_reason_pb.js";
import { StoredRejectSchema, UploadSchema, UploadState, Verdict } from "../../gen/tandem/type/v1/upload_pb.js";
import { carrierTransaction, LIST_PAGE } from "../../store/database/database.ts";
import type { Tx } from "../../store/database/run.ts";
import { listDurations, listQuarantinedDurations } from "../../store/records/durations.ts";
import { type RejectRow, readRejects } from "../../store/records/rejects.ts";
import type { UploadKey } from "../../store/records/upload-key.ts";
import { listUploads, readUpload } from "../../store/records/uploads.ts";
import { durationCodec } from "../../upload/records/record-codecs.ts";
import { checkUploadId } from "../../upload/upload-store.ts";
import { nextRaw, readRaw } from "../intake/raw-messages.ts";
import { readAppended, readDurationFrame } from "../intake/record-requests.ts";
import { carrierOf } from "../shared/access/caller.ts";
import { horizonsOf, type Methods, type Services } from "../shared/context.ts";
import { discloseRecords } from "../shared/disclosure/disclose.ts";
import { disclosedDurations, disclosedRejects } from "../shared/disclosure/disclosed-records.ts";
import { ListPage } from "../shared/list-page.ts";
import { optionalId, requiredPeriod } from "../shared/lists.ts";
import { durationMessage } from "../shared/messages/duration.ts";
import { countAcknowledged } from "../shared/metrics.ts";
import { openStreamLife } from "../shared/stream-life.ts";
import {
  answerUpload,
  clientFrames,
  countsMessage,
  durabilityOf,
  finishOf,
  outcomeMessage,
  readOpen,
  receiptMessage,
  uploadMessage,
} from "../shared/upload-frames.ts";

const UPLOAD_METHOD = "tandem.carrier.v1.DurationService/UploadDurations";
const APPEND_METHOD = "tandem.carrier.v1.DurationService/AppendDurations";

/** The carrier's uploads of durations. */
export const durationMethods: Methods<typeof DurationService> = {
  uploadDurations,
  appendDurations,
  getUpload,
  listUploads: listDurationUploads,
  listRejects,
  listDurations: listStoredDurations,
};

async function getUpload(services: Services, { uploadId }: GetUploadRequest, context: HandlerContext) {
  const { carrierId } = carrierOf(context);
  checkUploadId(uploadId);
  const key = durationUpload(carrierId, uploadId);
  const upload = await carrierTransaction(services.db, carrierId, (tx) => readUpload(tx, key));
  if (!upload) throw uploadNotFound(uploadId);
  return { upload: uploadMessage(upload) };
}

async function* uploadDurations(services: Services, requests: AsyncIterable<unknown>, context: HandlerContext) {
  const { carrierId } = carrierOf(context);
  using life = openStreamLife(context, services, carrierId, "upload");
  const { open, rest } = await readOpen(readRaw(requests, context, readDurationFrame), life, services);
  const horizons = await horizonsOf(services, carrierId);
  const target = { carrierId, codec: durationCodec, horizons, validateOnly: open.validateOnly };
  yield* answerUpload(services, UPLOAD_METHOD, { target, open, life, frames: clientFrames(rest) });
}

async function appendDurations(services: Services, _: unknown, context: HandlerContext) {
  const { request, records } = readAppended(nextRaw(context));
  const { carrierId } = carrierOf(context);
  const horizons = await horizonsOf(services, carrierId);
  const target = { carrierId, codec: durationCodec, horizons, validateOnly: request.validateOnly };
  const finish = request.finish && finishOf(request.finish);
  const run = { firstOffset: request.firstOffset, messages: records };
  const appended = await services.uploads.append(target, request, run, finish);
  if (!request.validateOnly) countAcknowledged(services.metrics, APPEND_METHOD, appended.counts);
  return {
    committedOffset: appended.committedOffset,
    counts: countsMessage(appended.counts),
    outcomes: appended.outcomes.map(outcomeMessage),
    durability: durabilityOf(services),
    ...(appended.finished ? { receipt: receiptMessage(appended.finished) } : {}),
  };
}

async function listDurationUploads(services: Services, request: ListUploadsRequest, context: HandlerContext) {
  const { carrierId } = carrierOf(context);
  if (UploadState[request.state] === undefined)
    throw invalidArgument("state", "expected UPLOAD_STATE_OPEN or UPLOAD_STATE_SEALED, or none");
  const page = await ListPage.open(services, context, request, ["ListUploads", carrierId, String(request.state)]);
  const token = page.after;
  const after = token && { createTime: BigInt(token["createTime"] ?? 0), uploadId: token["uploadId"] ?? "" };
  const which = {
    limit: page.limit,
    ...(request.state === UploadState.UNSPECIFIED ? {} : { sealed: request.state === UploadState.SEALED }),
    ...(after ? { after } : {}),
  };
  const found = await carrierTransaction(
    services.db,
    carrierId,
    (tx) => listUploads(tx, carrierId, DURATION, which),
    LIST_PAGE,
  );
  const { messages: uploads, last } = await page.cut(found, UploadSchema, uploadMessage);
  const next = last && { createTime: String(last.createTime), uploadId: last.uploadId };
  return { uploads, nextPageToken: page.tokenAfter(next) };
}

async function listRejects(services: Services, request: ListRejectsRequest, context: HandlerContext) {
  const { carrierId } = carrierOf(context);
  checkUploadId(request.uploadId);
  const asked = await ListPage.open(services, context, request, ["ListRejects", carrierId, request.uploadId]);
  const key = durationUpload(carrierId, request.uploadId);
  const { upload, found } = await carrierTransaction(services.db, carrierId, async (tx) => ({
    upload: await readUpload(tx, key),
    found: await readRejects(tx, key, { start: BigInt(asked.after?.["offset"] ?? 0), limit: asked.limit }),
  }));
  if (!upload) throw uploadNotFound(request.uploadId);
  const { page, messages: rejects, last } = await asked.cut(found, StoredRejectSchema, rejectMessage);
  // Their excerpts are masked, but for the customer's own numbers.
  const disclosed = disclosedRejects(carrierId, page);
  await discloseRecords(services, context, { request, masked: true, disclosed });
  return {
    rejects,
    totalCount: notAcceptedOf(upload.counts),
    nextPageToken: asked.tokenAfter(last && { offset: String(last.recordOffset + 1n) }),
  };
}

function rejectMessage(reject: RejectRow & { createTime: Micros }) {
  return {
    outcome: outcomeMessage(reject),
    recordJson: reject.recordJson,
    createTime: timestampFromMicros(reject.createTime),
    reason: REASONS[reject.verdict] ?? ErrorReason.UNSPECIFIED,
  };
}

const REASONS: Readonly<Partial<Record<number, ErrorReason>>> = {
  [Verdict.REJECTED]: ErrorReason.RECORD_REFUSED,
  [Verdict.CONFLICT]: ErrorReason.RECORD_REFUSED,
  [Verdict.SUPERSEDED]: ErrorReason.RECORD_REFUSED,
  [Verdict.QUARANTINED]: ErrorReason.RECORD_QUARANTINED,
};

function notAcceptedOf({ duplicate, conflict, superseded, rejected, quarantined }: VerdictCounts): bigint {
  return BigInt(duplicate + conflict + superseded + rejected + quarantined);
}

async function listStoredDurations(services: Services, request: ListDurationsRequest, context: HandlerContext) {
  const { carrierId } = carrierOf(context);
  const { limits } = services.config;
  const period = requiredPeriod(request, limits.maxListWindowDays);
  if (DurationState[request.state] === undefined)
    throw invalidArgument("state", "expected DURATION_STATE_APPLIED or DURATION_STATE_QUARANTINED, or none");
  const recordId = optionalId("record_id", request.recordId, 128);
  const scope = [
    "ListDurations",
    carrierId,
    JSON.stringify([String(period.start), String(period.end), recordId, request.state]),
  ];
  const page = await ListPage.open(services, context, request, scope);
  const token = page.after;
  const after = token && { startTime: BigInt(token["startTime"] ?? 0), recordId: token["recordId"] ?? "" };
  const list = request.state === DurationState.QUARANTINED ? listQuarantinedDurations : listDurations;
  const read = (tx: Tx) => list(tx, carrierId, { ...period, recordId, after, limit: page.limit });
  const found = await carrierTransaction(services.db, carrierId, read, LIST_PAGE);
  const { messages: durations, last } = await page.cut(found, CallDurationSchema, durationMessage);
  const next = last && { startTime: String(last.startTime), recordId: last.recordId };
  const disclosed = disclosedDurations(carrierId, durations);
  await discloseRecords(services, context, { request, masked: false, disclosed });
  return { durations, nextPageToken: page.tokenAfter(next) };
}

function durationUpload(carrierId: string, uploadId: string): UploadKey {
  return { carrierId, kind: DURATION, uploadId };
}

function uploadNotFound(uploadId: string): TandemError {
  return new TandemError("UPLOAD_NOT_FOUND", "no upload with this id", { upload_id: uploadId });
}

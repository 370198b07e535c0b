import { create } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { MAX_CALL_ID } from "../domain/call-fields.ts";
import { invalidArgument, TandemError } from "../domain/errors.ts";
import { isDay, timestampFromMicros } from "../domain/instant.ts";
import type { Limits } from "../domain/limits.ts";
import { RecordPart } from "../domain/retention-parts.ts";
import { cdrBatch, cdrMessage, cdrParts } from "../feed/cdr-edge.ts";
import { filterHash, isSamePosition, type OpenedCursor, openCursor } from "../feed/cursor.ts";
import { checkCursor, cursorText, type FeedPlace, type FeedStart, resolveStart } from "../feed/position.ts";
import { type FeedSource, streamFeed } from "../feed/stream.ts";
import {
  CdrConsumerSchema,
  type CdrFilter,
  type CdrService,
  type CommitCdrCursorRequest,
  type GetCdrRequest,
  type ListCdrConsumersRequest,
  type ListCdrsRequest,
  ListCdrsResponseSchema,
  type StreamCdrsRequest,
} from "../gen/tandem/carrier/v1/cdr_service_pb.js";
import { CallDetailRecordSchema } from "../gen/tandem/type/v1/call_detail_record_pb.js";
import {
  type CdrPlace,
  type CdrSearch,
  type FeedCdr,
  listCdrs,
  readCdrPage,
  type StoredCdr,
  scanCdrs,
} from "../store/cdrs.ts";
import { type Consumer, commitConsumer, listConsumers, MAX_CONSUMERS, readConsumer } from "../store/consumers.ts";
import { carrierTransaction, LIST_PAGE, type Tx } from "../store/database.ts";
import { readFeedHead } from "../store/feed-head.ts";
import { Feed } from "../store/schema.ts";
import { carrierOf } from "./auth.ts";
import { cdrConditions, filterBytes } from "./cdr-filter.ts";
import { requireCarrier, type Services } from "./context.ts";
import { cutForwardedPage, cutPage } from "./cut-page.ts";
import { discloseRecords } from "./disclose.ts";
import { feedDisclosure } from "./disclose-feed.ts";
import { disclosedCdrs, disclosedStoredCdrs } from "./disclosed-records.ts";
import { batchFormat, feedEnd, feedStart, rangeOf, sharedFrame } from "./feed-frames.ts";
import { pageSize, requiredInstant, requiredPeriod } from "./lists.ts";
import { decodePageToken, encodePageToken } from "./page-token.ts";
import { summarizeQuality } from "./quality-summary.ts";
import { openStreamLife } from "./stream-life.ts";

/** Most records of one feed message. */
const PAGE_RECORDS = 1_000;
const STREAM_METHOD = "tandem.carrier.v1.CdrService/StreamCdrs";
/** What entries include unless the agreement has network identifiers too. */
const PLAIN_PARTS = [RecordPart.CALL, RecordPart.QUALITY];
/** Most legs, or days, that GetCdr answers with. */
export const MAX_LEGS = 100;

/** The carrier's call detail records. */
export function carrierCdrService(services: Services): ServiceImpl<typeof CdrService> {
  return {
    streamCdrs: (request, context) => streamCdrs(services, request, context),
    listCdrs: (request, context) => listCarrierCdrs(services, request, context),
    getCdr: (request, context) => getCdr(services, request, context),
    getCdrFeed: (_, context) => getCdrFeed(services, carrierOf(context).carrierId),
    async resolveCdrCursor(request, context) {
      cdrConditions(request.filter);
      const place = cdrPlace(services, carrierOf(context).carrierId, request.filter);
      const ingestTime = requiredInstant("ingest_time", request.ingestTime);
      const { position } = await resolveStart(place, { at: "ingest_time", ingestTime });
      return { cursor: cursorText(place, position), afterSequence: position.sequence };
    },
    commitCdrCursor: (request, context) => commitCdrCursor(services, request, carrierOf(context).carrierId),
    listCdrConsumers: (request, context) => listCdrConsumers(services, request, context),
    summarizeQuality: (request, context) => summarizeQuality(services, request, carrierOf(context).carrierId),
  };
}

async function* streamCdrs(services: Services, request: StreamCdrsRequest, context: HandlerContext) {
  const { carrierId } = carrierOf(context);
  const { limits } = services.config;
  const conditions = cdrConditions(request.filter);
  const start = feedStart(request.start);
  const end = feedEnd(request.end);
  using life = openStreamLife(context, services, carrierId, "feed");
  const allowsNetwork = async () => (await requireCarrier(services, carrierId)).networkIdentifiersAllowed;
  let withNetwork = await allowsNetwork();
  const place = cdrPlace(services, carrierId, request.filter);
  const source: FeedSource<FeedCdr[]> = {
    async readPage(tx, after, until) {
      const page = await readCdrPage(tx, { carrierId, after, until, limit: PAGE_RECORDS, conditions, withNetwork });
      return { ...page, batch: page.entries };
    },
  };
  const frames = streamFeed({
    place,
    hub: services.hub,
    source,
    start: start.at === "consumer" ? await consumerStart(services, carrierId, start.consumer) : start,
    end,
    life,
    disclose: feedDisclosure(services, context, {
      request,
      place,
      recordParts: () => (withNetwork ? [...PLAIN_PARTS, RecordPart.NETWORK] : PLAIN_PARTS),
      entriesOf: (entries: FeedCdr[]) => entries,
    }),
    heartbeatMs: limits.heartbeatIntervalMs,
    maxStallMs: limits.maxStallMs,
    shared: conditions ? undefined : { pages: services.cdrPages, variant: () => (withNetwork ? "network" : "plain") },
  });
  const format = batchFormat(context);
  for await (const frame of frames) {
    if (frame.frame === "batch") {
      yield { ...rangeOf(frame), frame: { case: "batch" as const, value: cdrBatch(frame.batch, format) } };
      services.metrics.recordsSent.add(frame.batch.length, { method: STREAM_METHOD });
    } else yield { ...rangeOf(frame), frame: sharedFrame(frame, limits) };
    // Between pages, not in their transactions: an agreement that changes holds within a heartbeat, for streams that live on too.
    if (frame.frame !== "closing") withNetwork = await allowsNetwork();
  }
}

async function consumerStart(services: Services, carrierId: string, consumer: string): Promise<FeedStart> {
  checkConsumerName(consumer);
  const found = await carrierTransaction(services.db, carrierId, (tx) => readConsumer(tx, carrierId, consumer));
  if (!found)
    throw new TandemError("CONSUMER_NOT_FOUND", `consumer ${consumer} has never committed a cursor`, { consumer });
  return { at: "cursor", cursor: found.cursor };
}

async function listCarrierCdrs(services: Services, request: ListCdrsRequest, context: HandlerContext) {
  const { carrierId } = carrierOf(context);
  const { limits } = services.config;
  const { dialogCallId, correlationId } = request;
  const byId = dialogCallId !== undefined || correlationId !== undefined;
  const search: CdrSearch = {
    period:
      byId && !request.startTime && !request.endTime ? undefined : requiredPeriod(request, limits.maxListWindowDays),
    dialogCallId: dialogCallId === undefined ? undefined : idText("dialog_call_id", dialogCallId, MAX_CALL_ID),
    correlationId: correlationId === undefined ? undefined : idText("correlation_id", correlationId, 128),
    conditions: cdrConditions(request.filter),
  };
  const size = pageSize(request.pageSize, limits);
  const scope = ["ListCdrs", carrierId, listScope(search), Buffer.from(filterBytes(request.filter)).toString("base64")];
  const token = await decodePageToken(services.seals, scope, request.pageToken);
  const after = token && pagePlace(token);
  const withNetwork = (await requireCarrier(services, carrierId)).networkIdentifiersAllowed;
  const read = (tx: Tx) => scanCdrs(tx, carrierId, search, { after, limit: size + 1 }, withNetwork);
  const { found, scannedTo } = await carrierTransaction(services.db, carrierId, read, LIST_PAGE);
  const { page, last, fill } = await cutForwardedPage(found, {
    size,
    schema: CallDetailRecordSchema,
    show: cdrMessage,
    partsOf: cdrParts,
    field: ListCdrsResponseSchema.field.records,
    context,
    limits,
  });
  const next = last ?? scannedTo;
  await discloseRecords(services, context, { request, masked: false, disclosed: disclosedStoredCdrs(carrierId, page) });
  const nextPageToken = next ? encodePageToken(services.seals, scope, pageKey(next)) : "";
  return fill(create(ListCdrsResponseSchema, { nextPageToken }));
}

/** Where a page of records ended, as page tokens keep it. */
export function pageKey({ inviteTime, sequence }: CdrPlace): Record<string, string> {
  return { ...(inviteTime === undefined ? {} : { inviteTime: String(inviteTime) }), sequence: String(sequence) };
}

/** Where a page of records ended, from its token. */
export function pagePlace(token: Readonly<Record<string, string>>): CdrPlace {
  const inviteTime = token["inviteTime"];
  return {
    inviteTime: inviteTime === undefined ? undefined : BigInt(inviteTime),
    sequence: BigInt(token["sequence"] ?? 0),
  };
}

/** A search as page tokens know it. */
export function listScope(search: CdrSearch): string {
  const { period, dialogCallId, correlationId } = search;
  return JSON.stringify([period && [String(period.start), String(period.end)], dialogCallId, correlationId]);
}

async function getCdr(services: Services, request: GetCdrRequest, context: HandlerContext) {
  const { carrierId } = carrierOf(context);
  const search = cdrNameSearch(request.name, request.recordDate);
  const withNetwork = (await requireCarrier(services, carrierId)).networkIdentifiersAllowed;
  const found = await carrierTransaction(services.db, carrierId, (tx) =>
    listCdrs(tx, carrierId, search, { limit: MAX_LEGS + 1, newestFirst: search.recordId !== undefined }, withNetwork),
  );
  if (found.length === 0) throw recordNotFound(search);
  const { records, hasMore } = await cutLegs(found, services.config.limits, context);
  await discloseRecords(services, context, { request, masked: false, disclosed: disclosedCdrs(records) });
  return { records, hasMore };
}

/** What GetCdr gives of what was found: as many as an answer may hold, and whether there are more. */
export async function cutLegs(found: readonly StoredCdr[], limits: Limits, context: HandlerContext) {
  const page = { size: MAX_LEGS, schema: CallDetailRecordSchema, show: cdrMessage, context, limits };
  const { messages: records, last } = await cutPage(found, page);
  return { records, hasMore: last !== undefined };
}

/** What GetCdr looks for. Throws INVALID_ARGUMENT. */
export function cdrNameSearch(name: GetCdrRequest["name"], recordDate?: string): CdrSearch {
  if (recordDate !== undefined && name.case !== "recordId")
    throw invalidArgument("record_date", "expected only with record_id");
  if (recordDate !== undefined && !isDay(recordDate))
    throw invalidArgument("record_date", "expected a day, YYYY-MM-DD");
  switch (name.case) {
    case "recordId":
      return { recordId: idText("record_id", name.value, 128), recordDate };
    case "callId":
      return { callId: idText("call_id", name.value, 128) };
    case undefined:
      throw invalidArgument("name", "is required: record_id or call_id");
    default:
      return name satisfies never;
  }
}

/** The error of a record that is not there. */
export function recordNotFound(search: CdrSearch): TandemError {
  return search.recordId === undefined
    ? new TandemError("RECORD_NOT_FOUND", "no call with this id", { call_id: search.callId ?? "" })
    : new TandemError("RECORD_NOT_FOUND", "no record with this id", { record_id: search.recordId });
}

async function getCdrFeed(services: Services, carrierId: string) {
  const place = cdrPlace(services, carrierId, undefined);
  const { position, head } = await resolveStart(place, { at: "latest" });
  const days = await services.retention.get(await requireCarrier(services, carrierId));
  return {
    feedEpoch: head.epoch,
    earliestSequence: head.earliestSequence,
    headSequence: head.headSequence,
    ...(position.ingestTime === 0n ? {} : { headIngestTime: timestampFromMicros(position.ingestTime) }),
    retentionDays: days[RecordPart.CALL],
  };
}

async function commitCdrCursor(services: Services, request: CommitCdrCursorRequest, carrierId: string) {
  checkConsumerName(request.consumer);
  if (request.cursor === "") throw invalidArgument("cursor", "is required: the position that the consumer has applied");
  // A consumer may read with any filter: its cursor carries which.
  const place = cdrPlace(services, carrierId, undefined);
  const opened = await openCursor(services.seals, place, request.cursor);
  const previous =
    request.previousCursor === undefined ? undefined : await openCursor(services.seals, place, request.previousCursor);
  const stored = await openStored(services, place, request.consumer);
  const consumer = await carrierTransaction(services.db, carrierId, async (tx) => {
    const head = await readFeedHead(tx, carrierId, Feed.CDRS);
    const { sequence } = await checkCursor(tx, place, head, opened);
    const { consumer: name } = request;
    const cursor = storedText(stored, opened) ?? request.cursor;
    const previousCursor = (previous && storedText(stored, previous)) ?? request.previousCursor;
    const isStored = await commitConsumer(tx, carrierId, { consumer: name, cursor, sequence, previousCursor });
    const found = await readConsumer(tx, carrierId, name);
    if (isStored && found) return consumerMessage(found, head.headSequence);
    throw commitRefused(name, found);
  });
  return { consumer };
}

interface StoredCursor {
  readonly text: string;
  readonly opened: OpenedCursor;
}

/** Where a consumer stands; undefined when it has committed nothing yet. */
async function openStored(services: Services, place: FeedPlace, consumer: string): Promise<StoredCursor | undefined> {
  const { carrierId } = place;
  const found = await carrierTransaction(services.db, carrierId, (tx) => readConsumer(tx, carrierId, consumer));
  return found && { text: found.cursor, opened: await openCursor(services.seals, place, found.cursor) };
}

/** The text that is stored, when it says the same position: cursors of one position have many texts, and are compared by text where they are stored. */
function storedText(stored: StoredCursor | undefined, opened: OpenedCursor): string | undefined {
  return stored && isSamePosition(stored.opened, opened) ? stored.text : undefined;
}

function commitRefused(consumer: string, found: Consumer | undefined): TandemError {
  if (!found) {
    return new TandemError(
      "CONSUMER_CURSOR_CONFLICT",
      `consumer ${consumer} has committed nothing yet: leave previous_cursor out; a carrier has at most ${MAX_CONSUMERS} consumers`,
      { committed_sequence: "0" },
    );
  }
  const committed = String(found.committedSequence);
  return new TandemError(
    "CONSUMER_CURSOR_CONFLICT",
    `consumer ${consumer} stands at sequence ${committed}, not at previous_cursor: another instance committed`,
    { committed_sequence: committed },
  );
}

async function listCdrConsumers(services: Services, request: ListCdrConsumersRequest, context: HandlerContext) {
  const { carrierId } = carrierOf(context);
  const { limits } = services.config;
  const size = pageSize(request.pageSize, limits);
  const scope = ["ListCdrConsumers", carrierId];
  const after = (await decodePageToken(services.seals, scope, request.pageToken))?.["consumer"];
  const { found, head } = await carrierTransaction(services.db, carrierId, async (tx) => ({
    found: await listConsumers(tx, carrierId, after, size + 1),
    head: await readFeedHead(tx, carrierId, Feed.CDRS),
  }));
  const show = (consumer: Consumer) => consumerMessage(consumer, head.headSequence);
  const page = { size, schema: CdrConsumerSchema, show, context, limits };
  const { messages: consumers, last } = await cutPage(found, page);
  return {
    consumers,
    nextPageToken: last ? encodePageToken(services.seals, scope, { consumer: last.consumer }) : "",
  };
}

function consumerMessage(consumer: Consumer, headSequence: bigint) {
  const { oldestPendingTime, now, committedSequence } = consumer;
  return {
    consumer: consumer.consumer,
    cursor: consumer.cursor,
    committedSequence,
    lagEntries: headSequence > committedSequence ? headSequence - committedSequence : 0n,
    lagMs: oldestPendingTime === undefined || now < oldestPendingTime ? 0n : (now - oldestPendingTime) / 1000n,
    commitTime: timestampFromMicros(consumer.commitTime),
  };
}

function cdrPlace(services: Services, carrierId: string, filter: CdrFilter | undefined): FeedPlace {
  const { db, seals } = services;
  return { db, seals, carrierId, feed: Feed.CDRS, filter: filterHash(filterBytes(filter)) };
}

function checkConsumerName(consumer: string): void {
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(consumer))
    throw invalidArgument("consumer", "expected 1 to 64 characters of [A-Za-z0-9._-]");
}

/** An id of a request: present, bounded and free of control characters. */
export function idText(field: string, value: string, maxLength: number): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here
  if (value.length >= 1 && value.length <= maxLength && !/[\u0000-\u001f\u007f]/.test(value) && value.isWellFormed())
    return value;
  throw invalidArgument(field, `expected 1 to ${maxLength} characters, without control characters`);
}

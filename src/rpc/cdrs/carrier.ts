import { create } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { MAX_CALL_ID } from "../../domain/calls/call-fields.ts";
import { cdrFeed, cdrMessage, cdrParts } from "../../feed/cdr-feed.ts";
import { filterHash } from "../../feed/cursor.ts";
import { cursorText, resolveStart } from "../../feed/position.ts";
import {
  type CdrService,
  type GetCdrRequest,
  type ListCdrsRequest,
  ListCdrsResponseSchema,
  type ResolveCdrCursorRequest,
  type StreamCdrsRequest,
} from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import { CallDetailRecordSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { carrierTransaction, LIST_PAGE } from "../../store/database/database.ts";
import type { Tx } from "../../store/database/run.ts";
import { type CdrSearch, scanCdrs } from "../../store/records/cdr-lists.ts";
import { carrierOf } from "../shared/access/caller.ts";
import { answerFeed } from "../shared/answer-feed.ts";
import { type Methods, requireCarrier, type Services } from "../shared/context.ts";
import { cutForwardedPage } from "../shared/cut-page.ts";
import { discloseRecords } from "../shared/disclosure/disclose.ts";
import { disclosedStoredCdrs } from "../shared/disclosure/disclosed-records.ts";
import { feedStart } from "../shared/feed-frames.ts";
import { ListPage } from "../shared/list-page.ts";
import { optionalId, requiredInstant, requiredPeriod } from "../shared/lists.ts";
import { cdrPlace, commitCdrCursor, consumerStart, getCdrFeed, listCdrConsumers } from "./consumers.ts";
import { cdrConditions, filterBytes } from "./filter.ts";
import { summarizeQuality } from "./quality-summary.ts";
import { answerLegs, cdrNameSearch, listScope, pageKey, pagePlace } from "./search.ts";

/** The carrier's call detail records. */
export const carrierCdrMethods: Methods<typeof CdrService> = {
  streamCdrs,
  listCdrs: listCarrierCdrs,
  getCdr,
  getCdrFeed,
  resolveCdrCursor,
  commitCdrCursor,
  listCdrConsumers,
  summarizeQuality,
};

async function resolveCdrCursor(services: Services, request: ResolveCdrCursorRequest, context: HandlerContext) {
  cdrConditions(request.filter);
  const place = cdrPlace(services, carrierOf(context).carrierId, request.filter);
  const ingestTime = requiredInstant("ingest_time", request.ingestTime);
  const { position } = await resolveStart(place, { at: "ingest_time", ingestTime });
  return { cursor: cursorText(place, position), afterSequence: position.sequence };
}

function streamCdrs(services: Services, request: StreamCdrsRequest, context: HandlerContext) {
  const { carrierId } = carrierOf(context);
  const conditions = cdrConditions(request.filter);
  const start = feedStart(request.start);
  const allowsNetwork = async () => (await requireCarrier(services, carrierId)).networkIdentifiersAllowed;
  return answerFeed(services, context, request, {
    carrierId,
    feed: cdrFeed(carrierId, conditions, allowsNetwork),
    filter: filterHash(filterBytes(request.filter)),
    start: start.at === "consumer" ? () => consumerStart(services, carrierId, start.consumer) : start,
  });
}

async function listCarrierCdrs(services: Services, request: ListCdrsRequest, context: HandlerContext) {
  const { carrierId } = carrierOf(context);
  const { limits } = services.config;
  const { dialogCallId, correlationId } = request;
  const byId = dialogCallId !== undefined || correlationId !== undefined;
  const search: CdrSearch = {
    period:
      byId && !request.startTime && !request.endTime ? undefined : requiredPeriod(request, limits.maxListWindowDays),
    dialogCallId: optionalId("dialog_call_id", dialogCallId, MAX_CALL_ID),
    correlationId: optionalId("correlation_id", correlationId, 128),
    conditions: cdrConditions(request.filter),
  };
  const scope = ["ListCdrs", carrierId, listScope(search), Buffer.from(filterBytes(request.filter)).toString("base64")];
  const asked = await ListPage.open(services, context, request, scope);
  const after = asked.after && pagePlace(asked.after);
  const withNetwork = (await requireCarrier(services, carrierId)).networkIdentifiersAllowed;
  const read = (tx: Tx) => scanCdrs(tx, carrierId, search, { after, limit: asked.limit }, withNetwork);
  const { found, scannedTo } = await carrierTransaction(services.db, carrierId, read, LIST_PAGE);
  const { page, last, fill } = await cutForwardedPage(found, {
    size: asked.size,
    schema: CallDetailRecordSchema,
    show: cdrMessage,
    partsOf: cdrParts,
    field: ListCdrsResponseSchema.field.records,
    context,
    limits,
  });
  const next = last ?? scannedTo;
  await discloseRecords(services, context, { request, masked: false, disclosed: disclosedStoredCdrs(carrierId, page) });
  return fill(create(ListCdrsResponseSchema, { nextPageToken: asked.tokenAfter(next && pageKey(next)) }));
}

function getCdr(services: Services, request: GetCdrRequest, context: HandlerContext) {
  const search = cdrNameSearch(request.name, request.recordDate);
  return answerLegs(services, context, { request, search, carrierIds: [carrierOf(context).carrierId] });
}

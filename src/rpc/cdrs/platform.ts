import type { HandlerContext } from "@connectrpc/connect";
import { MAX_CALL_ID } from "../../domain/calls/call-fields.ts";
import { invalidArgument } from "../../domain/errors.ts";
import { cdrMessage } from "../../feed/cdr-feed.ts";
import type {
  CdrService,
  GetCdrRequest,
  ListCdrsRequest,
} from "../../gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { CallDetailRecordSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { Direction } from "../../gen/tandem/type/v1/call_pb.js";
import { carrierTransaction, LIST_PAGE, systemTransaction } from "../../store/database/database.ts";
import type { Tx } from "../../store/database/run.ts";
import { type CdrSearch, findCarriersOfCdr, scanCdrs } from "../../store/records/cdr-lists.ts";
import { cdrCodec } from "../../upload/records/record-codecs.ts";
import { readRaw } from "../intake/raw-messages.ts";
import { readCdrFrame } from "../intake/record-requests.ts";
import { horizonsOf, type Methods, requireCarrier, type Services } from "../shared/context.ts";
import { discloseRecords } from "../shared/disclosure/disclose.ts";
import { disclosedCdrs } from "../shared/disclosure/disclosed-records.ts";
import { ListPage } from "../shared/list-page.ts";
import { idText, optionalId, requiredPeriod } from "../shared/lists.ts";
import { seesMaskedParties } from "../shared/masking/mask-interceptor.ts";
import { openStreamLife } from "../shared/stream-life.ts";
import { answerUpload, clientFrames, readOpen } from "../shared/upload-frames.ts";
import { answerLegs, cdrNameSearch, listScope, MAX_LEGS, pageKey, pagePlace } from "./search.ts";

const INGEST_METHOD = "tandem.platform.v1.CdrService/IngestCdrs";

/** The platform's side of the call detail records. */
export const platformCdrMethods: Methods<typeof CdrService> = { ingestCdrs, getCdr, listCdrs: listCarrierCdrs };

async function* ingestCdrs(services: Services, requests: AsyncIterable<unknown>, context: HandlerContext) {
  const frames = readRaw(requests, context, readCdrFrame);
  const { open: ingest, rest } = await readOpen(frames, context, services);
  if (!ingest.open) throw invalidArgument("open.open", "is required");
  const { carrierId } = await requireCarrier(services, ingest.carrierId);
  const horizons = await horizonsOf(services, carrierId);
  using life = openStreamLife(context, services, carrierId, "upload");
  const target = { carrierId, codec: cdrCodec, horizons, validateOnly: ingest.open.validateOnly };
  yield* answerUpload(services, INGEST_METHOD, { target, open: ingest.open, life, frames: clientFrames(rest) });
}

async function getCdr(services: Services, request: GetCdrRequest, context: HandlerContext) {
  const search = cdrNameSearch(request.name);
  const carrierIds =
    request.carrierId === undefined
      ? await systemTransaction(services.db, (tx) => findCarriersOfCdr(tx, namesOf(search), MAX_LEGS))
      : [request.carrierId];
  return answerLegs(services, context, { request, search, carrierIds });
}

async function listCarrierCdrs(services: Services, request: ListCdrsRequest, context: HandlerContext) {
  const { limits } = services.config;
  const { carrierId, networkIdentifiersAllowed } = await requireCarrier(services, request.carrierId);
  if (Direction[request.direction] === undefined)
    throw invalidArgument("direction", "expected DIRECTION_OUTBOUND or DIRECTION_INBOUND, or none");
  const search: CdrSearch = {
    period: requiredPeriod(request, limits.maxListWindowDays),
    dialogCallId: optionalId("dialog_call_id", request.dialogCallId, MAX_CALL_ID),
    conditions: {
      direction: request.direction || undefined,
      customerIds: request.customerId === undefined ? undefined : [idText("customer_id", request.customerId, 64)],
      phoneNumbers: request.phoneNumber === undefined ? undefined : [idText("phone_number", request.phoneNumber, 16)],
    },
  };
  const scope = ["platform.ListCdrs", carrierId, listScope(search), JSON.stringify(search.conditions)];
  const page = await ListPage.open(services, context, request, scope);
  const after = page.after && pagePlace(page.after);
  const read = (tx: Tx) => scanCdrs(tx, carrierId, search, { after, limit: page.limit }, networkIdentifiersAllowed);
  const { found, scannedTo } = await carrierTransaction(services.db, carrierId, read, LIST_PAGE);
  const { messages: records, last } = await page.cut(found, CallDetailRecordSchema, cdrMessage);
  const next = last ?? scannedTo;
  const masked = seesMaskedParties(context);
  await discloseRecords(services, context, { request, masked, disclosed: disclosedCdrs(records) });
  return { records, nextPageToken: page.tokenAfter(next && pageKey(next)) };
}

function namesOf(search: CdrSearch): { recordId?: string; callId?: string } {
  if (search.recordId !== undefined) return { recordId: search.recordId };
  return { callId: search.callId ?? "" };
}

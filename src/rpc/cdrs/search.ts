import type { Message } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { invalidArgument, TandemError } from "../../domain/errors.ts";
import { isDay } from "../../domain/time/instant.ts";
import { cdrMessage } from "../../feed/cdr-feed.ts";
import type { GetCdrRequest } from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import { CallDetailRecordSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { carrierTransaction } from "../../store/database/database.ts";
import type { Tx } from "../../store/database/run.ts";
import { type CdrPlace, type CdrSearch, listCdrs } from "../../store/records/cdr-lists.ts";
import type { StoredCdr } from "../../store/records/cdrs.ts";
import { requireCarrier, type Services } from "../shared/context.ts";
import { cutPage } from "../shared/cut-page.ts";
import { discloseRecords } from "../shared/disclosure/disclose.ts";
import { disclosedCdrs } from "../shared/disclosure/disclosed-records.ts";
import { idText } from "../shared/lists.ts";
import { seesMaskedParties } from "../shared/masking/mask-interceptor.ts";

/** Most legs, or days, that GetCdr answers with. */
export const MAX_LEGS = 100;

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

/**
 * Answers GetCdr with the records that carriers have of a search, as many as an answer may hold.
 * @throws TandemError RECORD_NOT_FOUND.
 */
export async function answerLegs(
  services: Services,
  context: HandlerContext,
  { request, search, carrierIds }: { request: Message; search: CdrSearch; carrierIds: readonly string[] },
) {
  const found: StoredCdr[] = [];
  const page = { limit: MAX_LEGS + 1, newestFirst: search.recordId !== undefined };
  for (const id of carrierIds) {
    const { carrierId, networkIdentifiersAllowed } = await requireCarrier(services, id);
    const read = (tx: Tx) => listCdrs(tx, carrierId, search, page, networkIdentifiersAllowed);
    found.push(...(await carrierTransaction(services.db, carrierId, read)));
  }
  if (found.length === 0) throw recordNotFound(search);
  const { limits } = services.config;
  const rules = { size: MAX_LEGS, schema: CallDetailRecordSchema, show: cdrMessage, context, limits };
  const { messages: records, last } = await cutPage(found, rules);
  const masked = seesMaskedParties(context);
  await discloseRecords(services, context, { request, masked, disclosed: disclosedCdrs(records) });
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

function recordNotFound(search: CdrSearch): TandemError {
  return search.recordId === undefined
    ? new TandemError("RECORD_NOT_FOUND", "no call with this id", { call_id: search.callId ?? "" })
    : new TandemError("RECORD_NOT_FOUND", "no record with this id", { record_id: search.recordId });
}

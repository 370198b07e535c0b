import type { HandlerContext } from "@connectrpc/connect";
import type { Carrier } from "../../domain/carriers/carrier.ts";
import { invalidArgument, TandemError } from "../../domain/errors.ts";
import { type AssignmentRequest, isEffectiveTime } from "../../domain/numbers/number-changes.ts";
import { type AssignmentItem, EFFECTIVE_RANGE, findAssignmentItemProblem } from "../../domain/numbers/number-item.ts";
import { rowOfPeriod } from "../../domain/numbers/number-state.ts";
import { sipUriOfNumber } from "../../domain/numbers/sip-uri.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { wallMicros } from "../../domain/time/wall-clock.ts";
import {
  type AssignNumbersRequest,
  AssignNumbersResponseSchema,
  type GetNumberRequest,
  type ListNumberHistoryRequest,
  type ListNumbersRequest,
  type NumberAssignment,
  NumberAssignmentSchema,
  NumberPeriodSchema,
  type NumberService,
  type PortNumbersRequest,
  PortNumbersResponseSchema,
  type UnassignNumbersRequest,
  UnassignNumbersResponseSchema,
} from "../../gen/tandem/platform/v1/platform_number_service_pb.js";
import { type ActivationState, PhoneNumberSchema } from "../../gen/tandem/type/v1/phone_number_pb.js";
import { LIST_PAGE, systemTransaction } from "../../store/database/database.ts";
import type { Tx } from "../../store/database/run.ts";
import { listNumbersOfAll, type NumberSnapshotRow, readNumberSnapshotPage } from "../../store/numbers/number-feed.ts";
import { type HistoryPeriod, readHolderRow, readNumberHistory } from "../../store/numbers/number-history.ts";
import { assignNumbers, portNumbers, unassignNumbers } from "../../store/numbers/number-inventory.ts";
import { hasScope } from "../shared/access/caller.ts";
import { actorOf } from "../shared/audit/audit.ts";
import { type Methods, requireCarrier, type Services } from "../shared/context.ts";
import { discloseRecords } from "../shared/disclosure/disclose.ts";
import { disclosedNumbers } from "../shared/disclosure/disclosed-records.ts";
import { ListPage } from "../shared/list-page.ts";
import { optionalInstant, optionalPeriod, requiredInstant } from "../shared/lists.ts";
import { decodePhoneNumber, phoneNumberMessage, redactLocation } from "../shared/messages/phone-number.ts";
import { repeatableCall } from "../shared/repeatable-call.ts";
import { assertNumber, numberNotFound, readPlainNumbers } from "./carrier.ts";
import { readNumberFilter } from "./filter.ts";
import { answerBatch, fieldsSet, readNumberItems } from "./number-call.ts";

const ACTIVE = 2;

export const platformNumberMethods: Methods<typeof NumberService> = {
  getNumber,
  listNumbers,
  listNumberHistory,
  assignNumbers: assign,
  unassignNumbers: unassign,
  portNumbers: port,
};

async function getNumber(services: Services, request: GetNumberRequest, context: HandlerContext) {
  const { phoneNumber } = request;
  assertNumber(phoneNumber);
  const atTime = optionalInstant("at_time", request.atTime);
  const found = await systemTransaction(services.db, async (tx) => {
    if (atTime === undefined) {
      const row = await readHolderRow(tx, phoneNumber);
      return row && { carrierId: row.carrierId, number: decodePhoneNumber(row.payload) };
    }
    const history = await readNumberHistory(tx, phoneNumber, services.config.sipDomain);
    const holder = history.find(({ period }) => period.start <= atTime && atTime < period.end);
    return holder && { carrierId: holder.carrierId, number: messageOfPeriod(phoneNumber, holder) };
  });
  if (!found) throw numberNotFound(phoneNumber);
  await requireCarrier(services, found.carrierId);
  const number = redactLocation(found.number, hasScope(context, "locations.read"));
  await discloseRecords(services, context, { request, masked: false, disclosed: disclosedNumbers([number]) });
  return { number };
}

async function listNumbers(services: Services, request: ListNumbersRequest, context: HandlerContext) {
  const { carrierId } = request;
  const { filter, hash } = readNumberFilter(request.filter);
  if (carrierId !== undefined) await requireCarrier(services, carrierId);
  const scope = ["platform.ListNumbers", carrierId ?? "", String(hash)];
  const page = await ListPage.open(services, context, request, scope);
  const { limit, after: token } = page;
  const after = { phoneNumber: token?.["after"] ?? "", carrierId: token?.["carrier"] ?? "" };
  const read = (tx: Tx) => {
    if (carrierId === undefined) return listNumbersOfAll(tx, { after, limit, filter, region: services.config.region });
    return readNumberSnapshotPage(tx, { carrierId, afterNumber: after.phoneNumber, limit, filter });
  };
  const { found, scannedTo } = await systemTransaction(services.db, read, LIST_PAGE);
  const mayRead = hasScope(context, "locations.read");
  const show = (row: NumberSnapshotRow) => redactLocation(decodePhoneNumber(row.payload), mayRead);
  const { messages: numbers, last } = await page.cut(found, PhoneNumberSchema, show);
  const next = last ?? scannedTo;
  await discloseRecords(services, context, { request, masked: false, disclosed: disclosedNumbers(numbers) });
  return {
    numbers,
    nextPageToken: page.tokenAfter(next && { after: next.phoneNumber, carrier: next.carrierId }),
  };
}

async function listNumberHistory(services: Services, request: ListNumberHistoryRequest, context: HandlerContext) {
  const { phoneNumber } = request;
  assertNumber(phoneNumber);
  const { start: from, end: to } = optionalPeriod(request);
  const scope = ["platform.ListNumberHistory", phoneNumber, String(from), String(to)];
  const asked = await ListPage.open(services, context, request, scope);
  const after = asked.after && BigInt(asked.after["after"] ?? 0);
  const history = await systemTransaction(services.db, (tx) =>
    readNumberHistory(tx, phoneNumber, services.config.sipDomain),
  );
  const wanted = history.filter(
    ({ period: { start, end } }) =>
      (from === undefined || end > from) && (to === undefined || start < to) && (after === undefined || start > after),
  );
  const now = wallMicros();
  const mayRead = hasScope(context, "locations.read");
  const show = (held: HistoryPeriod) => ({
    number: redactLocation(messageOfPeriod(phoneNumber, held), mayRead),
    scheduled: held.period.start > now,
  });
  const { page, messages: periods, last } = await asked.cut(wanted, NumberPeriodSchema, show);
  for (const carrierId of new Set(page.map((held) => held.carrierId))) await requireCarrier(services, carrierId);
  const disclosed = disclosedNumbers(periods.flatMap(({ number }) => number ?? []));
  await discloseRecords(services, context, { request, masked: false, disclosed });
  return { periods, nextPageToken: asked.tokenAfter(last && { after: String(last.period.start) }) };
}

function messageOfPeriod(phoneNumber: string, { carrierId, period }: HistoryPeriod) {
  return phoneNumberMessage(rowOfPeriod({ carrierId, phoneNumber }, period));
}

async function assign(services: Services, request: AssignNumbersRequest, context: HandlerContext) {
  const call = repeatableCall(services, request, context);
  const carrier = await requireCarrier(services, request.carrierId);
  const maySetLocation = hasScope(context, "locations.write");
  if (!maySetLocation && request.items.some((item) => item.locationId !== undefined)) {
    const metadata = { method: "tandem.platform.v1.NumberService/AssignNumbers", scope: "locations.write" };
    throw new TandemError("PERMISSION_DENIED", "setting location_id needs the scope locations.write", metadata);
  }
  const now = wallMicros();
  const read = (item: NumberAssignment) =>
    readAssignment(item, carrier, services.config.sipDomain, !maySetLocation, now);
  const { items, slots } = readNumberItems(request.items, (item) => item.phoneNumber, read, "fail");
  const changedFields = fieldsSet(NumberAssignmentSchema, request.items);
  const { carrierId } = carrier;
  const mayReadLocations = hasScope(context, "locations.read");
  const schema = AssignNumbersResponseSchema;
  const asked = { context, call, carrierId, schema, slots, mayReadLocations, changedFields };
  return answerBatch(services, asked, (once) => assignNumbers(once, items));
}

async function unassign(services: Services, request: UnassignNumbersRequest, context: HandlerContext) {
  const call = repeatableCall(services, request, context);
  const { carrierId } = await requireCarrier(services, request.carrierId);
  const effectiveTime = optionalInstant("effective_time", request.effectiveTime);
  assertEffective(effectiveTime);
  const { items, slots } = readPlainNumbers(request.phoneNumbers);
  const details = effectiveTime === undefined ? {} : { effective_time: isoFromMicros(effectiveTime) };
  const mayReadLocations = hasScope(context, "locations.read");
  const schema = UnassignNumbersResponseSchema;
  const asked = { context, call, carrierId, schema, slots, mayReadLocations, details };
  return answerBatch(services, asked, (once) => unassignNumbers(once, [...items.keys()], effectiveTime));
}

async function port(services: Services, request: PortNumbersRequest, context: HandlerContext) {
  const call = repeatableCall(services, request, context);
  const effectiveTime = requiredInstant("effective_time", request.effectiveTime);
  assertEffective(effectiveTime);
  if (request.carrierId === request.toCarrierId)
    throw invalidArgument("to_carrier_id", "expected another carrier than carrier_id");
  const { items, slots } = readPlainNumbers(request.phoneNumbers);
  const { carrierId } = await requireCarrier(services, request.carrierId);
  const gaining = await requireCarrier(services, request.toCarrierId);
  if (gaining.suspended) throw new TandemError("CARRIER_SUSPENDED", "the gaining carrier is suspended");
  const toCarrierId = gaining.carrierId;
  const details = { to_carrier_id: toCarrierId, effective_time: isoFromMicros(effectiveTime) };
  const order = { toCarrierId, effectiveTime, orderedBy: actorOf(context) };
  const mayReadLocations = hasScope(context, "locations.read");
  const asked = { context, call, carrierId, schema: PortNumbersResponseSchema, slots, mayReadLocations, details };
  return answerBatch(services, asked, (once) => portNumbers(once, [...items.keys()], order));
}

function readAssignment(
  item: NumberAssignment,
  carrier: Carrier,
  sipDomain: string,
  keepLocation: boolean,
  now: Micros,
) {
  const { phoneNumber, customerId, assigneeKind, sipUri, locationId, activationFailure } = item;
  const effectiveTime = readEffective(item);
  const read: AssignmentItem = {
    customerId,
    assigneeKind,
    ...(sipUri === undefined ? {} : { sipUri }),
    ...(locationId === undefined ? {} : { locationId }),
    activationState: item.activationState === (0 satisfies ActivationState) ? ACTIVE : item.activationState,
    ...(activationFailure ? { activationFailure: pickFailure(activationFailure) } : {}),
    ...(effectiveTime === undefined ? {} : { effectiveTime }),
  };
  const problem = findAssignmentItemProblem(phoneNumber, read, now);
  if (problem) return { problem };
  const makeSipUri = () => sipUriOfNumber(phoneNumber, carrier.sipDomain ?? sipDomain);
  return { ...read, keepLocation, makeSipUri } satisfies AssignmentRequest;
}

// A time that no calendar has fails the item, not the call.
function readEffective({ effectiveTime }: NumberAssignment): Micros | undefined {
  if (!effectiveTime) return undefined;
  const { seconds, nanos } = effectiveTime;
  const isTime = seconds >= 0n && seconds <= 253_402_300_799n && nanos >= 0 && nanos <= 999_999_999;
  return isTime ? seconds * 1_000_000n + BigInt(Math.floor(nanos / 1_000)) : 0n;
}

function pickFailure({ reason, actingParty, message }: NonNullable<NumberAssignment["activationFailure"]>) {
  return { reason, actingParty, message };
}

function assertEffective(time: Micros | undefined): void {
  if (time === undefined || isEffectiveTime(time, wallMicros())) return;
  throw invalidArgument("effective_time", EFFECTIVE_RANGE);
}

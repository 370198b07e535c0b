import type { HandlerContext } from "@connectrpc/connect";
import { TandemError } from "../../domain/errors.ts";
import { FeedId } from "../../domain/feed-id.ts";
import type { NumberProblem } from "../../domain/numbers/number-changes.ts";
import { findNumberProblem, findProvisionProblem } from "../../domain/numbers/number-item.ts";
import type { NumberAttributes } from "../../domain/numbers/number-state.ts";
import { microsFromTimestamp } from "../../domain/time/instant.ts";
import { cursorText, epochChanged, type FeedPlace } from "../../feed/position.ts";
import {
  type GetNumberRequest,
  type ListNumbersRequest,
  type NumberProvision,
  NumberProvisionSchema,
  type NumberService,
  type ProvisionNumbersRequest,
  ProvisionNumbersResponseSchema,
  type ReleaseNumbersRequest,
  ReleaseNumbersResponseSchema,
} from "../../gen/tandem/carrier/v1/number_service_pb.js";
import { PhoneNumberSchema } from "../../gen/tandem/type/v1/phone_number_pb.js";
import { carrierTransaction, LIST_PAGE } from "../../store/database/database.ts";
import type { Tx } from "../../store/database/run.ts";
import { readFeedHead } from "../../store/feeds/feed-head.ts";
import { readEntryIngestTime } from "../../store/feeds/feed-position.ts";
import { type NumberSnapshotRow, readNumberSnapshotPage } from "../../store/numbers/number-feed.ts";
import { releaseNumbers } from "../../store/numbers/number-inventory.ts";
import { readCurrentRows } from "../../store/numbers/number-rows.ts";
import { type NumberOffer, provisionNumbers, TooManyUnavailable } from "../../store/numbers/provision-numbers.ts";
import { carrierOf } from "../shared/access/caller.ts";
import type { Methods, Services } from "../shared/context.ts";
import { discloseRecords } from "../shared/disclosure/disclose.ts";
import { disclosedNumbers } from "../shared/disclosure/disclosed-records.ts";
import { ListPage } from "../shared/list-page.ts";
import { decodePhoneNumber } from "../shared/messages/phone-number.ts";
import { repeatableCall } from "../shared/repeatable-call.ts";
import { readNumberFilter } from "./filter.ts";
import { answerBatch, fieldsSet, readNumberItems } from "./number-call.ts";
import type { ProbeLimit } from "./probe-limit.ts";
import { watchNumbers } from "./watch.ts";

/** @param probes counted for all carriers of this process. */
export function carrierNumberMethods(probes: ProbeLimit): Methods<typeof NumberService> {
  return {
    getNumber,
    listNumbers,
    watchNumbers,
    provisionNumbers: (services, request, context) => provision(services, probes, request, context),
    releaseNumbers: release,
  };
}

async function getNumber(services: Services, request: GetNumberRequest, context: HandlerContext) {
  const { carrierId } = carrierOf(context);
  const { phoneNumber } = request;
  assertNumber(phoneNumber);
  const rows = await carrierTransaction(services.db, carrierId, (tx) => readCurrentRows(tx, carrierId, [phoneNumber]));
  const row = rows.get(phoneNumber);
  if (!row) throw numberNotFound(phoneNumber);
  const number = decodePhoneNumber(row.payload);
  await discloseRecords(services, context, { request, masked: false, disclosed: disclosedNumbers([number]) });
  return { number };
}

/** Throws NUMBER_INVALID for what cannot be anybody's number. */
export function assertNumber(phoneNumber: string): void {
  const problem = findNumberProblem(phoneNumber);
  if (!problem) return;
  const violation = {
    field: "phone_number",
    description: "expected E.164: + and 2 to 15 digits, possible in its country",
  };
  throw new TandemError(problem.reason, problem.message, { field: "phone_number" }, { fieldViolations: [violation] });
}

export function numberNotFound(phoneNumber: string): TandemError {
  return new TandemError("NUMBER_NOT_FOUND", "the number is not held", { phone_number: phoneNumber });
}

/** Where a list stands: the feed's position that its first page fixed, and the last number sent. */
interface ListPosition {
  readonly epoch: bigint;
  readonly sequence: bigint;
  readonly ingestTime: bigint;
  readonly afterNumber: string;
}

async function listNumbers(services: Services, request: ListNumbersRequest, context: HandlerContext) {
  const { carrierId } = carrierOf(context);
  const { filter, hash } = readNumberFilter(request.filter);
  const page = await ListPage.open(services, context, request, ["carrier.ListNumbers", carrierId, String(hash)]);
  const { limit, after: token } = page;
  const read = async (tx: Tx) => {
    const position = await readListPosition(tx, carrierId, token);
    const { afterNumber } = position;
    return { position, ...(await readNumberSnapshotPage(tx, { carrierId, afterNumber, limit, filter })) };
  };
  const { position, found, scannedTo } = await carrierTransaction(services.db, carrierId, read, LIST_PAGE);
  const show = (row: NumberSnapshotRow) => decodePhoneNumber(row.payload);
  const { messages: numbers, last } = await page.cut(found, PhoneNumberSchema, show);
  const { epoch, sequence, ingestTime } = position;
  const place: FeedPlace = { db: services.db, seals: services.seals, carrierId, feed: FeedId.NUMBERS, filter: hash };
  // As the first page gave it: the same position has another text each time.
  const watchCursor = token?.["cursor"] ?? cursorText(place, { epoch, sequence, ingestTime });
  const end = last ?? scannedTo;
  const next = end && {
    epoch: String(epoch),
    sequence: String(sequence),
    ingestTime: String(ingestTime),
    after: end.phoneNumber,
    cursor: watchCursor,
  };
  await discloseRecords(services, context, { request, masked: false, disclosed: disclosedNumbers(numbers) });
  return {
    numbers,
    nextPageToken: page.tokenAfter(next),
    watchCursor,
  };
}

// The head is read before any row, so that changes that a row does not show come after it.
async function readListPosition(
  tx: Tx,
  carrierId: string,
  token: Readonly<Record<string, string>> | undefined,
): Promise<ListPosition> {
  const head = await readFeedHead(tx, carrierId, FeedId.NUMBERS);
  if (!token) {
    const ingestTime = (await readEntryIngestTime(tx, carrierId, FeedId.NUMBERS, head.headSequence)) ?? 0n;
    return { epoch: head.epoch, sequence: head.headSequence, ingestTime, afterNumber: "" };
  }
  const position = {
    epoch: BigInt(token["epoch"] ?? 0),
    sequence: BigInt(token["sequence"] ?? 0),
    ingestTime: BigInt(token["ingestTime"] ?? 0),
    afterNumber: token["after"] ?? "",
  };
  if (position.epoch !== head.epoch) throw epochChanged(head);
  if (position.sequence > head.headSequence) {
    const message = "this process does not see yet what the first page saw: call again";
    throw new TandemError("CURSOR_AHEAD_OF_HEAD", message, { head_sequence: String(head.headSequence) });
  }
  return position;
}

async function provision(
  services: Services,
  probes: ProbeLimit,
  request: ProvisionNumbersRequest,
  context: HandlerContext,
) {
  const { carrierId } = carrierOf(context);
  const call = repeatableCall(services, request, context);
  const { items, slots } = readNumberItems(request.items, (item) => item.phoneNumber, readProvision, "fail");
  const changedFields = fieldsSet(NumberProvisionSchema, request.items);
  const { most, settle } = await probes.reserve(carrierId, items.size, context.signal);
  const offers = { items, mostUnavailable: most, mostHeld: services.config.limits.maxNumbers };
  const schema = ProvisionNumbersResponseSchema;
  let spent = 0;
  try {
    const asked = { context, call, carrierId, schema, slots, mayReadLocations: true, changedFields };
    return await answerBatch(services, asked, async (once) => {
      const answer = await provisionNumbers(once, offers);
      spent = answer.unavailable;
      return answer;
    });
  } catch (error) {
    if (!(error instanceof TooManyUnavailable)) throw error;
    spent = most;
    throw probes.refusal(carrierId, items.size);
  } finally {
    settle(spent);
  }
}

async function release(services: Services, request: ReleaseNumbersRequest, context: HandlerContext) {
  const { carrierId } = carrierOf(context);
  const call = repeatableCall(services, request, context);
  const { items, slots } = readPlainNumbers(request.phoneNumbers);
  const asked = { context, call, carrierId, schema: ReleaseNumbersResponseSchema, slots, mayReadLocations: true };
  return answerBatch(services, asked, (once) => releaseNumbers(once, [...items.keys()]));
}

export function readPlainNumbers(phoneNumbers: readonly string[]) {
  const read = (phoneNumber: string) => {
    const problem = findNumberProblem(phoneNumber);
    return problem ? { problem } : {};
  };
  return readNumberItems(phoneNumbers, (phoneNumber) => phoneNumber, read, "follow");
}

function readProvision(item: NumberProvision): { problem: NumberProblem } | NumberOffer {
  const { numberType, countryCode, locationId, customerReference, customerId } = item;
  const attributes: NumberAttributes = {
    numberType,
    usages: sortedSet(item.usages),
    capabilities: sortedSet(item.capabilities),
    ...(countryCode === undefined ? {} : { countryCode }),
    ...(locationId === undefined ? {} : { locationId }),
    ...(customerReference === undefined ? {} : { customerReference }),
    ...(customerId === undefined ? {} : { customerId }),
  };
  const problem = findProvisionProblem(item.phoneNumber, attributes);
  if (problem) return { problem };
  if (!item.effectiveTime) return { attributes };
  return { attributes, effectiveTime: microsFromTimestamp(item.effectiveTime) };
}

function sortedSet(values: readonly number[]): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}

import { randomUUID } from "node:crypto";
import type { HandlerContext } from "@connectrpc/connect";
import { isCarrierId } from "../../domain/carriers/carrier.ts";
import { invalidArgument, TandemError } from "../../domain/errors.ts";
import { HoldSchema, HoldState } from "../../gen/tandem/platform/v1/hold_pb.js";
import {
  type CreateHoldRequest,
  CreateHoldResponseSchema,
  type ListHoldsRequest,
  type ReleaseHoldRequest,
  ReleaseHoldResponseSchema,
} from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { systemTransaction } from "../../store/database/database.ts";
import type { Tx } from "../../store/database/run.ts";
import {
  endHold,
  findCarrierOfHold,
  findMissing,
  insertHold,
  listHolds as listStoredHolds,
  lockHolds,
  readHold,
  type StoredHold,
  writeHeldCount,
} from "../../store/privacy/holds.ts";
import { act } from "../shared/act.ts";
import { actorOf } from "../shared/audit/audit.ts";
import { requireCarrier, type Services } from "../shared/context.ts";
import { ListPage } from "../shared/list-page.ts";
import { isText } from "../shared/lists.ts";
import { repeatableCall } from "../shared/repeatable-call.ts";
import { assertServedHere } from "../shared/residency.ts";
import { holdMessage, readHoldMessage } from "./hold-message.ts";

/** Counting what a hold keeps may read all calls of a year. */
const COUNT_TIMEOUT_MS = 30_000;

export async function createHold(services: Services, request: CreateHoldRequest, context: HandlerContext) {
  const call = repeatableCall(services, request, context);
  const asked = readHoldMessage(request.hold);
  const { carrierId } = asked;
  const { timeZone } = await requireCarrier(services, carrierId);
  const records = "records" in asked.target ? asked.target.records : [];
  const work = async (tx: Tx) => {
    const missing = records.length > 0 && (await findMissing(tx, carrierId, records));
    if (missing) {
      const metadata = { record_id: missing.recordId, record_date: missing.recordDate };
      throw new TandemError("RECORD_NOT_FOUND", "a record does not exist or was deleted: nothing is held", metadata);
    }
    const holdId = randomUUID();
    await insertHold(tx, { ...asked, holdId, createdBy: actorOf(context) }, timeZone);
    await writeHeldCount(tx, { carrierId, holdId });
    const hold = describe(await readHold(tx, { carrierId, holdId }));
    const details = { reason: asked.reason, record_count: records.length };
    return { answer: { hold }, resource: `hold/${holdId}`, details };
  };
  const acting = { context, call, carrierId, schema: CreateHoldResponseSchema };
  return systemTransaction(
    services.db,
    async (tx) => {
      await lockHolds(tx, carrierId);
      return act(tx, acting, () => work(tx));
    },
    { statementTimeoutMs: COUNT_TIMEOUT_MS },
  );
}

export async function releaseHold(services: Services, request: ReleaseHoldRequest, context: HandlerContext) {
  const call = repeatableCall(services, request, context);
  const { holdId, releaseNote } = request;
  if (!isText(holdId, 64)) throw invalidArgument("hold_id", "is required: 1 to 64 characters");
  if (!isText(releaseNote, 256)) throw invalidArgument("release_note", "is required: 1 to 256 characters");
  return systemTransaction(services.db, async (tx) => {
    const carrierId = await findCarrierOfHold(tx, holdId);
    if (carrierId === undefined) throw new TandemError("HOLD_NOT_FOUND", "no hold with this id", { hold_id: holdId });
    const name = { carrierId, holdId };
    await assertServedHere(tx, services, [carrierId]);
    await lockHolds(tx, carrierId);
    return act(tx, { context, call, carrierId, schema: ReleaseHoldResponseSchema }, async () => {
      const found = await readHold(tx, name);
      await endHold(tx, name, { by: actorOf(context), note: releaseNote });
      const hold = describe(await readHold(tx, name));
      const changedFields = found?.state === HoldState.ACTIVE ? ["state"] : [];
      return { answer: { hold }, resource: `hold/${holdId}`, changedFields };
    });
  });
}

export async function listHolds(services: Services, request: ListHoldsRequest, context: HandlerContext) {
  const { carrierId, state } = request;
  if (carrierId !== "" && !isCarrierId(carrierId)) throw invalidArgument("carrier_id", "expected a carrier's id");
  if (HoldState[state] === undefined) throw invalidArgument("state", "expected ACTIVE, RELEASED or EXPIRED, or none");
  const { region } = services.config;
  const page = await ListPage.open(services, context, request, ["ListHolds", carrierId, String(state)]);
  const token = page.after;
  const before = token && { createTime: BigInt(token["createTime"] ?? 0), holdId: token["holdId"] ?? "" };
  const of = { carrierId: carrierId || undefined, state: (state as HoldState) || undefined, region };
  return systemTransaction(services.db, async (tx) => {
    await assertServedHere(tx, services, carrierId === "" ? [] : [carrierId]);
    const found = await listStoredHolds(tx, of, { before, limit: page.limit });
    const { messages: holds, last } = await page.cut(found, HoldSchema, holdMessage);
    const next = last && { createTime: String(last.createTime), holdId: last.holdId };
    return { holds, nextPageToken: page.tokenAfter(next) };
  });
}

function describe(hold: StoredHold | undefined) {
  if (!hold) throw new Error("a hold that was just written is not there");
  return holdMessage(hold);
}

import { randomUUID } from "node:crypto";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { isCarrierId } from "../../domain/carriers/carrier.ts";
import { invalidArgument, TandemError } from "../../domain/errors.ts";
import { AuditOutcome } from "../../gen/tandem/platform/v1/audit_event_pb.js";
import { HoldSchema, HoldState } from "../../gen/tandem/platform/v1/hold_pb.js";
import {
  type CreateHoldRequest,
  CreateHoldRequestSchema,
  CreateHoldResponseSchema,
  type ListHoldsRequest,
  type PrivacyService,
  type ReleaseHoldRequest,
  ReleaseHoldRequestSchema,
  ReleaseHoldResponseSchema,
} from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { appendAuditEvent } from "../../store/audit/audit-log.ts";
import { systemTransaction } from "../../store/database/database.ts";
import { findResponse, insertResponse } from "../../store/database/request-log.ts";
import type { Tx } from "../../store/database/run.ts";
import {
  countHeld,
  endHold,
  findCarrierOfHold,
  findMissing,
  insertHold,
  listHolds as listStoredHolds,
  lockHolds,
  readHold,
  type StoredHold,
} from "../../store/privacy/holds.ts";
import { actorOf, methodOf } from "../shared/audit/audit.ts";
import { requireCarrier, type Services } from "../shared/context.ts";
import { ListPage } from "../shared/list-page.ts";
import { repeatableCall } from "../shared/repeatable-call.ts";
import { assertServedHere } from "../shared/residency.ts";
import { holdMessage, readHoldMessage } from "./hold-message.ts";
import { isText } from "./text.ts";

/** Counting what a hold keeps may read all calls of a year. */
const COUNT_TIMEOUT_MS = 30_000;

/** Holds: made, ended, listed. */
export function holdMethods(services: Services): Partial<ServiceImpl<typeof PrivacyService>> {
  return {
    createHold: (request, context) => createHold(services, request, context),
    releaseHold: (request, context) => releaseHold(services, request, context),
    listHolds: (request, context) => listHolds(services, request, context),
  };
}

async function createHold(services: Services, request: CreateHoldRequest, context: HandlerContext) {
  const call = repeatableCall(services, "CreateHold", CreateHoldRequestSchema, request);
  const asked = readHoldMessage(request.hold);
  const { carrierId } = asked;
  const { timeZone } = await requireCarrier(services, carrierId);
  const response = await systemTransaction(
    services.db,
    async (tx) => {
      await lockHolds(tx, carrierId);
      const given = await findResponse(tx, carrierId, call);
      if (given) return given;
      const missing = "records" in asked.target ? await findMissing(tx, carrierId, asked.target.records) : undefined;
      if (missing) {
        const metadata = { record_id: missing.recordId, record_date: missing.recordDate };
        throw new TandemError("RECORD_NOT_FOUND", "a record does not exist or was deleted: nothing is held", metadata);
      }
      const holdId = randomUUID();
      await insertHold(tx, { ...asked, holdId, createdBy: actorOf(context) }, timeZone);
      const hold = await describe(tx, await readHold(tx, { carrierId, holdId }));
      const fresh = toBinary(CreateHoldResponseSchema, create(CreateHoldResponseSchema, { hold }));
      await insertResponse(tx, carrierId, call, fresh);
      await appendAuditEvent(tx, {
        carrierId,
        actor: actorOf(context),
        method: methodOf(context),
        resource: `hold/${holdId}`,
        outcome: AuditOutcome.DONE,
        requestId: call.auditedId,
        details: { reason: asked.reason, record_count: "records" in asked.target ? asked.target.records.length : 0 },
      });
      return fresh;
    },
    { statementTimeoutMs: COUNT_TIMEOUT_MS },
  );
  return fromBinary(CreateHoldResponseSchema, response);
}

async function releaseHold(services: Services, request: ReleaseHoldRequest, context: HandlerContext) {
  const call = repeatableCall(services, "ReleaseHold", ReleaseHoldRequestSchema, request);
  const { holdId, releaseNote } = request;
  if (!isText(holdId, 64)) throw invalidArgument("hold_id", "is required: 1 to 64 characters");
  if (!isText(releaseNote, 256)) throw invalidArgument("release_note", "is required: 1 to 256 characters");
  const response = await systemTransaction(services.db, async (tx) => {
    const carrierId = await findCarrierOfHold(tx, holdId);
    if (carrierId === undefined) throw new TandemError("HOLD_NOT_FOUND", "no hold with this id", { hold_id: holdId });
    const name = { carrierId, holdId };
    await assertServedHere(tx, services, [carrierId]);
    await lockHolds(tx, carrierId);
    const given = await findResponse(tx, carrierId, call);
    if (given) return given;
    const found = await readHold(tx, name);
    await endHold(tx, name, { by: actorOf(context), note: releaseNote });
    const ended = await readHold(tx, name);
    const message = create(ReleaseHoldResponseSchema, { hold: await describe(tx, ended) });
    const fresh = toBinary(ReleaseHoldResponseSchema, message);
    await insertResponse(tx, carrierId, call, fresh);
    await appendAuditEvent(tx, {
      carrierId,
      actor: actorOf(context),
      method: methodOf(context),
      resource: `hold/${holdId}`,
      outcome: AuditOutcome.DONE,
      requestId: call.auditedId,
      changedFields: found?.state === HoldState.ACTIVE ? ["state"] : [],
    });
    return fresh;
  });
  return fromBinary(ReleaseHoldResponseSchema, response);
}

async function listHolds(services: Services, request: ListHoldsRequest, context: HandlerContext) {
  const { carrierId, state } = request;
  if (carrierId !== "" && !isCarrierId(carrierId)) throw invalidArgument("carrier_id", "expected a carrier's id");
  if (HoldState[state] === undefined) throw invalidArgument("state", "expected ACTIVE, RELEASED or EXPIRED, or none");
  const { region } = services.config;
  const page = await ListPage.open(services, context, request, ["ListHolds", carrierId, String(state)]);
  const token = page.after;
  const before = token && { createTime: BigInt(token["createTime"] ?? 0), holdId: token["holdId"] ?? "" };
  const of = { carrierId: carrierId || undefined, state: (state as HoldState) || undefined, region };
  return systemTransaction(
    services.db,
    async (tx) => {
      await assertServedHere(tx, services, carrierId === "" ? [] : [carrierId]);
      const found = await listStoredHolds(tx, of, { before, limit: page.limit });
      const shown = new Map<StoredHold, ReturnType<typeof holdMessage>>();
      for (const hold of found.slice(0, page.size)) shown.set(hold, await describe(tx, hold));
      const show = (hold: StoredHold) => shown.get(hold) ?? {};
      const { messages: holds, last } = await page.cut(found, HoldSchema, show);
      const next = last && { createTime: String(last.createTime), holdId: last.holdId };
      return { holds, nextPageToken: page.tokenAfter(next) };
    },
    { statementTimeoutMs: COUNT_TIMEOUT_MS },
  );
}

async function describe(tx: Tx, hold: StoredHold | undefined) {
  if (!hold) throw new Error("a hold that was just written is not there");
  return holdMessage(hold, hold.state === HoldState.ACTIVE ? await countHeld(tx, hold) : 0n);
}

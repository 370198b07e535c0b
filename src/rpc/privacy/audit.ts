import type { MessageInitShape } from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { isCarrierId } from "../../domain/carriers/carrier.ts";
import { invalidArgument } from "../../domain/errors.ts";
import type { AuditEvent } from "../../domain/privacy/audit.ts";
import { maskInternational } from "../../domain/privacy/masking.ts";
import { timestampFromMicros } from "../../domain/time/instant.ts";
import { AuditEventSchema } from "../../gen/tandem/platform/v1/audit_event_pb.js";
import type { ListAuditEventsRequest, VerifyAuditLogRequest } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { type AuditConditions, listAuditEvents } from "../../store/audit/audit-events.ts";
import { systemTransaction } from "../../store/database/database.ts";
import { verifyAuditChain } from "../../store/verify/verify-audit.ts";
import { requireCarrier, type Services } from "../shared/context.ts";
import { ListPage } from "../shared/list-page.ts";
import { optionalPeriod } from "../shared/lists.ts";

/** Longest actor and method that are looked for, characters. */
const MAX_FILTER = 1_024;
const HASH_BYTES = 32;

export async function listEvents(services: Services, request: ListAuditEventsRequest, context: HandlerContext) {
  const conditions = readConditions(request);
  const scope = [
    "platform.ListAuditEvents",
    JSON.stringify(conditions, (_, v) => (typeof v === "bigint" ? `${v}` : v)),
  ];
  const page = await ListPage.open(services, context, request, scope);
  if (conditions.carrierId !== undefined) await requireCarrier(services, conditions.carrierId);
  const found = await systemTransaction(services.db, (tx) =>
    listAuditEvents(tx, conditions, { afterSequence: BigInt(page.after?.["after"] ?? 0), limit: page.limit }),
  );
  const { messages: events, last } = await page.cut(found, AuditEventSchema, auditEventMessage);
  return { events, nextPageToken: page.tokenAfter(last && { after: String(last.sequence) }) };
}

export async function verify(services: Services, request: VerifyAuditLogRequest, { signal }: HandlerContext) {
  const { firstSequence, lastSequence, expectedHash } = request;
  assertRange(request);
  const carrierId = readChain(request.carrierId);
  if (carrierId !== undefined) await requireCarrier(services, carrierId);
  const asked = { carrierId, firstSequence, lastSequence, expectedHash };
  const verdict = await verifyAuditChain(services.db, asked, AbortSignal.any([signal, services.drain]));
  if (!verdict) throw new Error("a chain without a head");
  const { firstBreak, lastHash = new Uint8Array(0) } = verdict;
  return { ...verdict, lastHash, intact: firstBreak === undefined };
}

function assertRange({ firstSequence, lastSequence, expectedHash }: VerifyAuditLogRequest): void {
  if (firstSequence !== undefined && firstSequence < 1n) throw invalidArgument("first_sequence", "expected 1 or more");
  if (lastSequence !== undefined && lastSequence < (firstSequence ?? 1n))
    throw invalidArgument("last_sequence", "expected first_sequence (or 1) or more");
  if (expectedHash === undefined) return;
  if (expectedHash.length !== HASH_BYTES) throw invalidArgument("expected_hash", "expected 32 bytes");
  if (lastSequence === undefined) throw invalidArgument("last_sequence", "is required with expected_hash");
}

function readConditions(request: ListAuditEventsRequest): AuditConditions {
  const { start, end } = optionalPeriod(request);
  const carrierId = readChain(request.carrierId);
  // As the log keeps it.
  const actor = maskInternational(readFilter("actor", request.actor)) || undefined;
  return { carrierId, start, end, actor, method: readFilter("method", request.method) || undefined };
}

function readFilter(field: string, text: string): string {
  if (text.length > MAX_FILTER || /[\p{Cc}\p{Cs}]/u.test(text))
    throw invalidArgument(field, `expected at most ${MAX_FILTER} characters without control characters`);
  return text;
}

// Empty: the platform's.
function readChain(carrierId: string): string | undefined {
  if (carrierId === "") return undefined;
  if (!isCarrierId(carrierId))
    throw invalidArgument("carrier_id", "expected 3 to 32 characters of a-z, 0-9 and -, the first a letter");
  return carrierId;
}

function auditEventMessage(event: AuditEvent): MessageInitShape<typeof AuditEventSchema> {
  return { ...event, changedFields: [...event.changedFields], eventTime: timestampFromMicros(event.eventTime) };
}

import { randomUUID } from "node:crypto";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { isE164 } from "../../domain/calls/party.ts";
import { invalidArgument, TandemError } from "../../domain/errors.ts";
import { auditedRequestId } from "../../domain/privacy/audited-request-id.ts";
import { ErasedNumber } from "../../domain/privacy/erased-number.ts";
import { holdsNumber, isSubjectRole } from "../../domain/privacy/subject.ts";
import { type Micros, microsFromTimestamp } from "../../domain/time/instant.ts";
import { wallMicros } from "../../domain/time/wall-clock.ts";
import { forecastErasure } from "../../erasure/forecast.ts";
import type { JournalEntry } from "../../erasure/journal.ts";
import {
  type ErasePhoneNumberRequest,
  ErasureState,
  type GetErasureRequest,
} from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { appendAuditEvent } from "../../store/audit/audit-log.ts";
import { systemTransaction } from "../../store/database/database.ts";
import { type ErasureRow, insertErasure, readErasure } from "../../store/privacy/erasures.ts";
import { actorOf, doneBy } from "../shared/audit/audit.ts";
import type { Services } from "../shared/context.ts";
import { fieldChecks, isText, isTimestamp } from "../shared/lists.ts";
import { erasureMessage, forecastMessage } from "./erasure-message.ts";
import { isPast } from "./text.ts";

export async function erasePhoneNumber(services: Services, request: ErasePhoneNumberRequest, context: HandlerContext) {
  const asked = readRequest(request);
  if (request.validateOnly) {
    const scope = { erasureId: "", number: new ErasedNumber(asked.phoneNumber), ...periodOf(asked), role: asked.role };
    const found = await forecastErasure(services.db, scope, context.signal);
    return { erasure: forecastMessage(asked, actorOf(context), found) };
  }
  const entry: JournalEntry = {
    ...asked,
    erasureId: randomUUID(),
    requestedBy: actorOf(context),
    createTime: String(wallMicros()),
  };
  const erasure = await accept(services, entry, context);
  services.erasures.wake();
  return { erasure: await erasureMessage(services.db, erasure) };
}

export async function getErasure(services: Services, { erasureId }: GetErasureRequest) {
  if (!isText(erasureId, 64)) throw invalidArgument("erasure_id", "is required: 1 to 64 characters");
  const erasure = await systemTransaction(services.db, (tx) => readErasure(tx, { erasureId }));
  if (!erasure) throw new TandemError("ERASURE_NOT_FOUND", "no erasure with this id", { erasure_id: erasureId });
  return { erasure: await erasureMessage(services.db, erasure) };
}

type Asked = Omit<JournalEntry, "erasureId" | "requestedBy" | "createTime">;

// Journalled in the file and the database, or not at all: the line is on disk before the row is
// committed, and one without a row is taken up at the next start.
async function accept(
  { db, erasures, installation }: Services,
  entry: JournalEntry,
  context: HandlerContext,
): Promise<ErasureRow> {
  const { journal } = erasures;
  const sealed = journal.seal(entry);
  return systemTransaction(db, async (tx) => {
    const row = { ...entry, ...periodOf(entry), createTime: BigInt(entry.createTime), journal: sealed.sealed };
    if (!(await insertErasure(tx, row))) {
      const known = await readErasure(tx, { requestId: entry.requestId });
      if (!known) throw new TandemError("STORE_UNAVAILABLE", "another call with this request is running: call again");
      assertSame(journal.unseal({ erasureId: known.erasureId, sealed: known.journal }), entry);
      return known;
    }
    await journal.append(sealed);
    const act = {
      carrierId: undefined,
      resource: `erasure/${entry.erasureId}`,
      requestId: auditedRequestId(installation.secret, entry.requestId),
      details: { case_reference: entry.caseReference, verified_by: entry.verifiedBy, role: entry.role },
    };
    await appendAuditEvent(tx, doneBy(context, act));
    const notYet = { drainTime: undefined, completeTime: undefined, receiptTime: undefined };
    return { ...row, ...notYet, state: ErasureState.ACCEPTED };
  });
}

function assertSame(known: JournalEntry, asked: Asked): void {
  const names = ["phoneNumber", "start", "end", "role", "caseReference", "verifiedBy"] as const;
  if (names.every((name) => known[name] === asked[name])) return;
  const message = "request_id: it was used before with a different request; choose a new one";
  throw new TandemError("REQUEST_ID_REUSED", message, { request_id: asked.requestId });
}

function periodOf({ start, end }: Pick<Asked, "start" | "end">): { start: Micros; end: Micros } {
  return { start: BigInt(start), end: BigInt(end) };
}

function readRequest(request: ErasePhoneNumberRequest): Asked {
  const { requestId, phoneNumber, startTime, endTime, role, caseReference, verifiedBy, validateOnly } = request;
  const { check, done } = fieldChecks();
  const isNumber = isE164(phoneNumber);
  // A forecast is not kept, so it needs no name.
  check(isText(requestId, 64) || (validateOnly && requestId === ""), "request_id", "is required: 1 to 64 characters");
  check(isNumber, "phone_number", "expected E.164: + and 2 to 15 digits, the first not 0");
  const start = startTime && instantOf(startTime);
  const end = endTime && instantOf(endTime);
  check(start !== undefined, "start_time", "is required: when the number became the person's");
  check(end !== undefined, "end_time", "is required: until when the number was the person's");
  if (start !== undefined && end !== undefined) {
    check(end > start, "end_time", "expected a time after start_time");
    check(isPast(end), "end_time", "expected a time that is not in the future");
  }
  check(isSubjectRole(role), "role", "expected SUBSCRIBER, OTHER_PARTY or ANY");
  const number = isNumber ? new ErasedNumber(phoneNumber) : undefined;
  const texts = { request_id: requestId, case_reference: caseReference, verified_by: verifiedBy };
  for (const [field, text] of Object.entries(texts)) {
    if (field !== "request_id") check(isText(text, 128), field, "is required: 1 to 128 characters");
    const isFree = !number?.isIn(text) && !(isNumber && holdsNumber(text, phoneNumber));
    check(isFree, field, "holds the number that is to be erased");
  }
  done();
  return { requestId, phoneNumber, start: String(start), end: String(end), role, caseReference, verifiedBy };
}

function instantOf(time: Timestamp): Micros | undefined {
  return isTimestamp(time) ? microsFromTimestamp(time) : undefined;
}

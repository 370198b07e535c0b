import { create, type DescMessage, fromBinary, type Message, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { reflect } from "@bufbuild/protobuf/reflect";
import type { HandlerContext } from "@connectrpc/connect";
import { type ErrorReason, TandemError } from "../../domain/errors.ts";
import { FeedId } from "../../domain/feed-id.ts";
import { MAX_NUMBER_ITEMS } from "../../domain/limits.ts";
import type { NumberProblem } from "../../domain/numbers/number-changes.ts";
import type { AuditAct } from "../../domain/privacy/audit.ts";
import { AuditOutcome } from "../../gen/tandem/platform/v1/audit_event_pb.js";
import type { NumberOutcome } from "../../gen/tandem/type/v1/phone_number_pb.js";
import type { RepeatableCall } from "../../store/database/request-log.ts";
import type { NumberBatchOutcome } from "../../store/numbers/number-batch.ts";
import type { NumberAnswer, NumberAudit, NumberCall } from "../../store/numbers/number-call.ts";
import type { NumberWriter } from "../../store/numbers/number-writer.ts";
import { principalOf } from "../shared/access/caller.ts";
import { doneBy } from "../shared/audit/audit.ts";
import type { Services } from "../shared/context.ts";
import { encodePhoneNumber, outcomeOfResult, redactLocation } from "../shared/messages/phone-number.ts";

/** How much of a number an outcome repeats, characters. */
const MAX_ECHO = 64;

export function numberWriter(
  services: Pick<Services, "db" | "hub" | "config" | "log" | "onNumbersChanged">,
): NumberWriter {
  return {
    db: services.db,
    encode: encodePhoneNumber,
    sipDomain: services.config.sipDomain,
    changed: (carrierId, { changed, headSequence }) => {
      if (changed.length === 0) return;
      services.hub.notify(carrierId, FeedId.NUMBERS, headSequence);
      services.onNumbersChanged(carrierId);
    },
    onError: (error) => services.log.warn({ err: error }, "a change of numbers was committed and is finished by a job"),
  };
}

/** An item of a call: which number, or which problem. */
type NumberSlot = { readonly echo: string } & ({ readonly phoneNumber: string } | { readonly problem: NumberProblem });

/** The items of a call, by number: those that can be tried, and why the others cannot. */
export interface NumberItems<Item> {
  readonly items: ReadonlyMap<string, Item>;
  /** In request order: which number, or which problem. */
  readonly slots: readonly NumberSlot[];
}

/** Throws BATCH_TOO_LARGE. A repeated number fails, or follows: it gets the first's outcome. */
export function readNumberItems<Request, Item extends object>(
  requests: readonly Request[],
  numberOf: (request: Request) => string,
  read: (request: Request) => Item | { problem: NumberProblem },
  repeats: "fail" | "follow",
): NumberItems<Item> {
  if (requests.length < 1 || requests.length > MAX_NUMBER_ITEMS) {
    const message = `expected 1 to ${MAX_NUMBER_ITEMS} numbers, got ${requests.length}`;
    const metadata = { records: String(requests.length), limit: String(MAX_NUMBER_ITEMS) };
    throw new TandemError("BATCH_TOO_LARGE", message, metadata);
  }
  const items = new Map<string, Item>();
  const slots: NumberSlot[] = [];
  const seen = new Map<string, NumberSlot>();
  for (const request of requests) {
    const phoneNumber = numberOf(request);
    const echo = [...phoneNumber.slice(0, MAX_ECHO * 2)].slice(0, MAX_ECHO).join("");
    const first = seen.get(phoneNumber);
    if (first) {
      slots.push(repeats === "follow" ? first : { echo, problem: NAMED_TWICE });
      continue;
    }
    const item = read(request);
    const isProblem = "problem" in item;
    const slot: NumberSlot = isProblem ? { echo, problem: item.problem as NumberProblem } : { echo, phoneNumber };
    if (!isProblem) items.set(phoneNumber, item);
    slots.push(slot);
    seen.set(phoneNumber, slot);
  }
  return { items, slots };
}

export interface ChangingCall<Desc extends DescMessage> {
  readonly context: HandlerContext;
  readonly call: RepeatableCall;
  readonly carrierId: string;
  /** Of the answer, a list of outcomes in request order. */
  readonly schema: Desc;
  readonly slots: readonly NumberSlot[];
  readonly mayReadLocations: boolean;
  readonly changedFields?: readonly string[];
  readonly details?: Readonly<Record<string, unknown>>;
}

/** Changes numbers, tells the audit log, and answers with one outcome for each item. */
export async function answerBatch<Desc extends DescMessage>(
  services: Services,
  asked: ChangingCall<Desc>,
  change: (writer: NumberWriter, call: NumberCall) => Promise<NumberAnswer>,
): Promise<MessageShape<Desc>> {
  const { context, schema, slots } = asked;
  const respond: NumberCall["respond"] = (results) => {
    const outcomes = slots.map((slot) => {
      const result = "problem" in slot ? slot : results.get(slot.phoneNumber);
      if (!result) throw new Error("a number of the batch has no result");
      return outcomeOfResult(slot.echo, result);
    });
    return toBinary(schema as DescMessage, create(schema as DescMessage, { outcomes }));
  };
  const call = { ...asked.call, respond, audit: (outcome: NumberBatchOutcome) => auditBatch(asked, outcome) };
  const { response, refusal } = await change(numberWriter(services), call);
  if (refusal) await services.refusals.record({ act: refusal, principal: principalOf(context) });
  const message = fromBinary(schema, response);
  // All that a schema of outcomes has in common with another; which one it is does not matter here.
  for (const { result } of (message as Message & { outcomes: NumberOutcome[] }).outcomes)
    if (result.case === "number") redactLocation(result.value, asked.mayReadLocations);
  return message;
}

/**
 * How many numbers were changed, and why others were not. A batch that changed nothing is no act,
 * but a refusal if every number was refused; kept in any case if it told that a number is
 * another's.
 */
function auditBatch(
  { context, call, carrierId, slots, changedFields, details }: ChangingCall<DescMessage>,
  { results, changed }: NumberBatchOutcome,
): NumberAudit {
  const reasons = slots.flatMap((slot): ErrorReason[] => {
    const result = "problem" in slot ? slot : results.get(slot.phoneNumber);
    return result && "problem" in result ? [result.problem.reason] : [];
  });
  const refused: Record<string, number> = {};
  for (const reason of reasons) refused[reason] = (refused[reason] ?? 0) + 1;
  const act = doneBy(context, {
    carrierId,
    resource: `numbers/${slots.length}`,
    requestId: call.auditedId,
    details: { ...details, changed: changed.length, ...(reasons.length > 0 ? { refused } : {}) },
  });
  if (changed.length > 0) return { act: { ...act, changedFields } };
  const refusal = (errorReason: ErrorReason): AuditAct => ({ ...act, outcome: AuditOutcome.REFUSED, errorReason });
  if (reasons.includes("NUMBER_UNAVAILABLE")) return { act: refusal("NUMBER_UNAVAILABLE") };
  return reasons[0] === undefined ? {} : { refusal: refusal(reasons[0]) };
}

/** Fields that any of these items sets, besides those that say which number and when. */
export function fieldsSet<Desc extends DescMessage>(schema: Desc, items: readonly MessageShape<Desc>[]): string[] {
  const set = new Set<string>();
  for (const item of items) {
    const message = reflect(schema, item);
    for (const field of message.sortedFields) if (message.isSet(field)) set.add(field.name);
  }
  return [...set].filter((name) => name !== "phone_number" && name !== "effective_time").sort();
}

const NAMED_TWICE: NumberProblem = {
  reason: "INVALID_ARGUMENT",
  field: "phone_number",
  message: "phone_number: the number is named twice in this call; the first item counts",
  retryable: false,
};

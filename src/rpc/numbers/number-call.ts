import {
  create,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { TandemError } from "../../domain/errors.ts";
import { FeedId } from "../../domain/feed-id.ts";
import { MAX_NUMBER_ITEMS } from "../../domain/limits.ts";
import type { NumberProblem } from "../../domain/numbers/number-changes.ts";
import type { NumberOutcome, NumberOutcomeSchema } from "../../gen/tandem/type/v1/phone_number_pb.js";
import type { RepeatableCall } from "../../store/database/request-log.ts";
import type { NumberCall } from "../../store/numbers/number-call.ts";
import type { NumberWriter } from "../../store/numbers/number-writer.ts";
import type { Services } from "../shared/context.ts";
import { encodePhoneNumber, outcomeOfResult, redactLocation } from "../shared/messages/phone-number.ts";
import { type AuditedBatch, auditBatch, type NumberSlot } from "./audit.ts";

/** How much of a number an outcome repeats, characters. */
const MAX_ECHO = 64;

/** What changing numbers needs, from what services have. */
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

/** The items of a call, by number: those that can be tried, and why the others cannot. */
export interface NumberItems<Item> {
  readonly items: ReadonlyMap<string, Item>;
  /** In request order: which number, or which problem. */
  readonly slots: readonly NumberSlot[];
}

/**
 * Sorts out the items of a call. Throws BATCH_TOO_LARGE.
 * @param repeats what a number that is named again gets: a failure, or the outcome of the first.
 */
export function readNumberItems<Request, Item>(
  requests: readonly Request[],
  numberOf: (request: Request) => string,
  read: (request: Request) => Item | { problem: NumberProblem },
  repeats: "fail" | "follow",
): NumberItems<Item> {
  if (requests.length < 1 || requests.length > MAX_NUMBER_ITEMS) {
    const metadata = { records: String(requests.length), limit: String(MAX_NUMBER_ITEMS) };
    throw new TandemError(
      "BATCH_TOO_LARGE",
      `expected 1 to ${MAX_NUMBER_ITEMS} numbers, got ${requests.length}`,
      metadata,
    );
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
    const isProblem = typeof item === "object" && item !== null && "problem" in item;
    const slot: NumberSlot = isProblem ? { echo, problem: item.problem as NumberProblem } : { echo, phoneNumber };
    if (!isProblem) items.set(phoneNumber, item as Item);
    slots.push(slot);
    seen.set(phoneNumber, slot);
  }
  return { items, slots };
}

/** A response that is a list of outcomes. */
type OutcomesDesc = DescMessage & { readonly "~outcomes"?: never };

/** A call whose answer is one outcome for each item, in request order. */
export function numberCall(
  call: RepeatableCall,
  schema: OutcomesDesc,
  { slots }: NumberItems<unknown>,
  batch: AuditedBatch,
): NumberCall {
  return {
    ...call,
    audit: (outcome) => auditBatch(batch, slots, outcome),
    respond: (results) => {
      const outcomes = slots.map((slot): MessageInitShape<typeof NumberOutcomeSchema> => {
        const result = "problem" in slot ? slot : results.get(slot.phoneNumber);
        if (!result) throw new Error("a number of the batch has no result");
        return outcomeOfResult(slot.echo, result);
      });
      return toBinary(schema, create(schema, { outcomes } as MessageInitShape<typeof schema>));
    },
  };
}

/** An answer as its message, without the locations that the caller may not see. */
export function decodeAnswer<Desc extends DescMessage>(
  schema: Desc,
  response: Uint8Array,
  mayReadLocations: boolean,
): MessageShape<Desc> {
  const message = fromBinary(schema, response);
  for (const outcome of (message as unknown as { outcomes: NumberOutcome[] }).outcomes) {
    if (outcome.result.case === "number") redactLocation(outcome.result.value, mayReadLocations);
  }
  return message;
}

const NAMED_TWICE: NumberProblem = {
  reason: "INVALID_ARGUMENT",
  field: "phone_number",
  message: "phone_number: the number is named twice in this call; the first item counts",
  retryable: false,
};

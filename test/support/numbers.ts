import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { NumberProvisionSchema } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { ErrorReason } from "../../src/gen/tandem/type/v1/error_reason_pb.js";
import { type NumberOutcome, NumberState, type PhoneNumber } from "../../src/gen/tandem/type/v1/phone_number_pb.js";

let taken = 0;

/** So many Danish numbers that no other test of this file has. */
export function takeNumbers(count: number): string[] {
  return Array.from({ length: count }, () => `+45${32_000_000 + taken++}`);
}

/** One such number. */
export function takeNumber(): string {
  return takeNumbers(1)[0] ?? "";
}

/** An id that no other call has. */
export function newRequestId(): string {
  return crypto.randomUUID();
}

/** What a carrier states of a number, unless a test says otherwise. */
export function provisionItem(
  phoneNumber: string,
  more: MessageInitShape<typeof NumberProvisionSchema> = {},
): MessageInitShape<typeof NumberProvisionSchema> {
  return { phoneNumber, numberType: 1, usages: [1, 2], capabilities: [1, 2], countryCode: "DK", ...more };
}

/** An outcome in a word: the state, or the reason of the failure and its field. */
export function describeOutcome({ result }: NumberOutcome): string {
  if (result.case === "number") return NumberState[result.value.state] ?? "?";
  if (result.case === "failure") return `${ErrorReason[result.value.reason]} ${result.value.field}`.trim();
  return "no result";
}

/** The row of an outcome that must be a success. */
export function numberOf(outcome: NumberOutcome | undefined): PhoneNumber {
  if (outcome?.result.case !== "number")
    throw new Error(`expected a success, got ${outcome && describeOutcome(outcome)}`);
  return outcome.result.value;
}

/** A time so many milliseconds from now. */
export function fromNow(ms: number) {
  return timestampFromMs(Date.now() + ms);
}

import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { NumberProblem } from "../../../domain/numbers/number-changes.ts";
import type { NumberRow } from "../../../domain/numbers/number-state.ts";
import { timestampFromMicros } from "../../../domain/time/instant.ts";
import { ErrorReason } from "../../../gen/tandem/type/v1/error_reason_pb.js";
import {
  type NumberOutcomeSchema,
  type PhoneNumber,
  PhoneNumberSchema,
} from "../../../gen/tandem/type/v1/phone_number_pb.js";
import type { NumberResult } from "../../../store/numbers/number-batch.ts";

/** A row as the message that readers get. */
export function phoneNumberMessage(row: NumberRow): PhoneNumber {
  const { usages, capabilities, effectiveStart, effectiveEnd, recordedTime, ...same } = row;
  return create(PhoneNumberSchema, {
    ...same,
    usages: [...usages],
    capabilities: [...capabilities],
    effectiveStartTime: timestampFromMicros(effectiveStart),
    ...(effectiveEnd === undefined ? {} : { effectiveEndTime: timestampFromMicros(effectiveEnd) }),
    recordedTime: timestampFromMicros(recordedTime),
  });
}

/** A row as it is stored in the feed and in the list. */
export function encodePhoneNumber(row: NumberRow): Uint8Array {
  return toBinary(PhoneNumberSchema, phoneNumberMessage(row));
}

/** A stored row as a message. */
export function decodePhoneNumber(payload: Uint8Array): PhoneNumber {
  return fromBinary(PhoneNumberSchema, payload);
}

/**
 * A number without what the reader may not see: the location, unless the credential has its scope.
 */
export function redactLocation(number: PhoneNumber, mayRead: boolean): PhoneNumber {
  if (!mayRead) delete number.locationId;
  return number;
}

/** The result of one item of a batch. */
export function outcomeOfResult(
  phoneNumber: string,
  result: NumberResult,
): MessageInitShape<typeof NumberOutcomeSchema> {
  if ("problem" in result) return { phoneNumber, result: { case: "failure", value: failureMessage(result.problem) } };
  return { phoneNumber, result: { case: "number", value: decodePhoneNumber(result.payload) } };
}

function failureMessage(problem: NumberProblem) {
  return {
    reason: ErrorReason[problem.reason],
    field: problem.field,
    message: problem.message,
    retryable: problem.retryable,
  };
}

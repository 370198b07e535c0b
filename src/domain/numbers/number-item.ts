import {
  ActingParty,
  ActivationFailureReason,
  ActivationState,
  AssigneeKind,
  NumberCapability,
  NumberType,
} from "../../gen/tandem/type/v1/phone_number_pb.js";
import { isCountry } from "../carriers/country.ts";
import { lastValue } from "../enum-values.ts";
import type { Micros } from "../time/instant.ts";
import { invalid, isEffectiveTime, MAX_AHEAD_DAYS, MAX_PAST_DAYS, type NumberProblem } from "./number-changes.ts";
import type { ActivationFailure, NumberAttributes } from "./number-state.ts";
import { isGlobalService, isPossibleNumber, isServedByCallingCode } from "./phone-number.ts";
import { findSipUriProblem } from "./sip-uri.ts";

const LAST_NUMBER_TYPE = lastValue(NumberType);
const LAST_ASSIGNEE_KIND = lastValue(AssigneeKind);
const LAST_CAPABILITY = lastValue(NumberCapability);
const LAST_ACTIVATION_STATE = lastValue(ActivationState);
const LAST_FAILURE_REASON = lastValue(ActivationFailureReason);
const LAST_ACTING_PARTY = lastValue(ActingParty);
const MAX_SIP_URI = 255;
/** Limits lists, whose repeats do not matter. */
const MAX_LIST = 16;

/** Also for a location's id. */
export function isCustomerId(text: string): boolean {
  return /^[A-Za-z0-9._-]{1,64}$/.test(text);
}

/** Undefined: nothing is wrong. */
export function findNumberProblem(phoneNumber: string): NumberProblem | undefined {
  if (isPossibleNumber(phoneNumber)) return undefined;
  const message = `phone_number: ${unlikeNumber(phoneNumber)}`;
  return { reason: "NUMBER_INVALID", field: "phone_number", message, retryable: false };
}

// Longer numbers and extensions exist, so the message says what to send instead.
function unlikeNumber(text: string): string {
  if (/^\+[0-9]{16,}$/.test(text))
    return "has over 15 digits, the most that ITU-T E.164 has: give the number without the extension that was dialled in";
  if (/^\+[0-9]+;/.test(text)) return "has an extension or parameters: give the number alone, which has one assignee";
  return "expected E.164, + and 2 to 15 digits, possible in its country";
}

/** Undefined: nothing is wrong. */
export function findProvisionProblem(phoneNumber: string, attributes: NumberAttributes): NumberProblem | undefined {
  const { numberType, usages, capabilities, locationId, customerReference, customerId } = attributes;
  return (
    findNumberProblem(phoneNumber) ??
    check(isValue(numberType, LAST_NUMBER_TYPE), "number_type", "is required: one of the contract's values") ??
    check(
      areValues(usages, LAST_ASSIGNEE_KIND),
      "usages",
      "expected at least one of the contract's values, at most 16",
    ) ??
    check(
      areValues(capabilities, LAST_CAPABILITY),
      "capabilities",
      "expected at least one of the contract's values, at most 16",
    ) ??
    findCountryProblem(phoneNumber, attributes.countryCode) ??
    check(locationId === undefined || isCustomerId(locationId), "location_id", ID_FORM) ??
    check(
      customerReference === undefined || isReference(customerReference),
      "customer_reference",
      "expected 1 to 60 printable characters",
    ) ??
    check(customerId === undefined || isCustomerId(customerId), "customer_id", ID_FORM)
  );
}

export interface AssignmentItem {
  readonly customerId: string;
  readonly assigneeKind: number;
  readonly sipUri?: string;
  readonly locationId?: string;
  readonly activationState: number;
  readonly activationFailure?: ActivationFailure;
  readonly effectiveTime?: Micros;
}

/** Undefined: nothing is wrong. */
export function findAssignmentItemProblem(
  phoneNumber: string,
  item: AssignmentItem,
  now: Micros,
): NumberProblem | undefined {
  const { customerId, assigneeKind, sipUri, locationId, activationState, effectiveTime } = item;
  return (
    findNumberProblem(phoneNumber) ??
    check(isCustomerId(customerId), "customer_id", ID_FORM) ??
    check(isValue(assigneeKind, LAST_ASSIGNEE_KIND), "assignee_kind", "is required: one of the contract's values") ??
    findSipProblem(phoneNumber, sipUri) ??
    check(locationId === undefined || isCustomerId(locationId), "location_id", ID_FORM) ??
    check(isValue(activationState, LAST_ACTIVATION_STATE), "activation_state", "is not one of the contract's values") ??
    findFailureProblem(activationState, item.activationFailure) ??
    check(effectiveTime === undefined || isEffectiveTime(effectiveTime, now), "effective_time", EFFECTIVE_RANGE)
  );
}

export const EFFECTIVE_RANGE = `expected at most ${MAX_PAST_DAYS} days back and ${MAX_AHEAD_DAYS} days ahead`;
const ID_FORM = "expected 1 to 64 characters of A-Z, a-z, 0-9, ., _ and -";

function check(holds: boolean, field: string, description: string): NumberProblem | undefined {
  return holds ? undefined : invalid(field, description).problem;
}

function isValue(value: number, last: number): boolean {
  return value >= 1 && value <= last;
}

function areValues(values: readonly number[], last: number): boolean {
  return values.length >= 1 && values.length <= MAX_LIST && values.every((value) => isValue(value, last));
}

// Control characters could steer a terminal; length counts characters.
function isReference(text: string): boolean {
  const length = [...text].length;
  return length >= 1 && length <= 60 && isPrintable(text);
}

function isPrintable(text: string): boolean {
  return text.isWellFormed() && /^[^\p{Cc}\p{Zl}\p{Zp}]*$/u.test(text);
}

function findCountryProblem(phoneNumber: string, countryCode: string | undefined): NumberProblem | undefined {
  if (isGlobalService(phoneNumber)) {
    return check(
      countryCode === undefined,
      "country_code",
      "an ITU global service belongs to no country: leave it out",
    );
  }
  if (countryCode === undefined) return check(false, "country_code", "is required");
  if (!isCountry(countryCode)) return check(false, "country_code", "expected an ISO 3166-1 alpha-2 code in upper case");
  return check(
    isServedByCallingCode(phoneNumber, countryCode),
    "country_code",
    "this country does not use the number's calling code",
  );
}

function findSipProblem(phoneNumber: string, sipUri: string | undefined): NumberProblem | undefined {
  if (sipUri === undefined) return undefined;
  const description =
    sipUri.length > MAX_SIP_URI ? `is longer than ${MAX_SIP_URI} characters` : findSipUriProblem(sipUri, phoneNumber);
  return description === undefined ? undefined : invalid("sip_uri", description).problem;
}

function findFailureProblem(
  activationState: number,
  failure: ActivationFailure | undefined,
): NumberProblem | undefined {
  if (activationState !== ActivationState.FAILED) {
    return check(failure === undefined, "activation_failure", "expected only with activation_state FAILED");
  }
  if (!failure) return check(false, "activation_failure", "is required with activation_state FAILED");
  return (
    check(
      isValue(failure.reason, LAST_FAILURE_REASON),
      "activation_failure.reason",
      "is required: one of the contract's values",
    ) ??
    check(
      isValue(failure.actingParty, LAST_ACTING_PARTY),
      "activation_failure.acting_party",
      "is required: one of the contract's values",
    ) ??
    check(
      [...failure.message].length <= 256 && isPrintable(failure.message),
      "activation_failure.message",
      "expected at most 256 printable characters",
    )
  );
}

import { ErrorReasonSchema } from "../../gen/tandem/type/v1/error_reason_pb.js";
import {
  ActivationStateSchema,
  AssigneeKindSchema,
  NumberCapabilitySchema,
  type NumberOutcome,
  NumberStateSchema,
  NumberTypeSchema,
  type PhoneNumber,
} from "../../gen/tandem/type/v1/phone_number_pb.js";
import { printFields, printRows, type RowColumn, styled } from "../shared/output.ts";
import { enumName, formatTime } from "../shared/values.ts";

export function printNumbers(numbers: readonly PhoneNumber[], empty = "No numbers."): void {
  printRows(COLUMNS, numbers, empty);
}

const COLUMNS: readonly RowColumn<PhoneNumber>[] = [
  { title: "number", read: ({ phoneNumber }) => phoneNumber },
  { title: "carrier", read: ({ carrierId }) => carrierId },
  { title: "state", read: ({ state }) => enumName(NumberStateSchema, state) },
  { title: "customer", read: ({ customerId }) => customerId },
  { title: "assigned to", read: ({ assigneeKind }) => enumName(AssigneeKindSchema, assigneeKind) },
  { title: "since", read: ({ effectiveStartTime }) => formatTime(effectiveStartTime) },
];

export function printNumber(number: PhoneNumber): void {
  const failure = number.activationFailure;
  const endTime = formatTime(number.effectiveEndTime);
  printFields([
    ["number", number.phoneNumber],
    ["SIP URI", number.sipUri],
    ["carrier", number.carrierId],
    ["country", number.countryCode],
    ["type", enumName(NumberTypeSchema, number.numberType)],
    ["usages", number.usages.map((usage) => enumName(AssigneeKindSchema, usage)).join(", ")],
    ["capabilities", number.capabilities.map((each) => enumName(NumberCapabilitySchema, each)).join(", ")],
    ["state", enumName(NumberStateSchema, number.state)],
    ["customer", number.customerId],
    ["assigned to", enumName(AssigneeKindSchema, number.assigneeKind)],
    ["activation", enumName(ActivationStateSchema, number.activationState)],
    ["failure", failure?.message],
    ["location", number.locationId],
    ["reference", number.customerReference],
    ["in force", `${formatTime(number.effectiveStartTime)}${endTime === "" ? "" : ` to ${endTime}`}`],
    ["revision", `${number.revision}, ${formatTime(number.recordedTime)}`],
  ]);
}

/** Prints what became of each item of a batch. */
export function printOutcomes(outcomes: readonly NumberOutcome[]): void {
  const failures = outcomes.filter(({ result }) => result.case === "failure");
  printNumbers(
    outcomes.flatMap(({ result }) => (result.case === "number" ? [result.value] : [])),
    "No number was changed.",
  );
  for (const { phoneNumber, result } of failures) {
    if (result.case !== "failure") continue;
    const reason = enumName(ErrorReasonSchema, result.value.reason)?.toUpperCase().replaceAll("-", "_");
    console.log(`${styled("red", phoneNumber)}  ${reason}: ${result.value.message}`);
  }
}

import { isE164 } from "../../domain/calls/party.ts";
import { holdsNumber, isSubjectRole, partyMatcher } from "../../domain/privacy/subject.ts";
import type { Micros } from "../../domain/time/instant.ts";
import type { ExportPhoneNumberRequest } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { fieldChecks, isText, requiredInstant } from "../shared/lists.ts";
import type { Subject } from "./export-item.ts";
import { isPast } from "./text.ts";

/** Longest case reference, and name of who verified, characters. */
const MAX_CASE = 128;

export interface AskedExport {
  readonly subject: Subject;
  readonly start: Micros;
  readonly end: Micros;
  readonly caseReference: string;
  readonly verifiedBy: string;
}

/** Throws INVALID_ARGUMENT with every wrong field, without any number. */
export function readExportRequest(request: ExportPhoneNumberRequest): AskedExport {
  const { phoneNumber, role, caseReference, verifiedBy } = request;
  const start = requiredInstant("start_time", request.startTime);
  const end = requiredInstant("end_time", request.endTime);
  const { check: expect, done } = fieldChecks();
  expect(isE164(phoneNumber), "phone_number", "expected E.164: + and 2 to 15 digits, the first not 0");
  expect(end > start, "end_time", "expected a time after start_time");
  expect(isPast(end), "end_time", "is in the future");
  for (const [field, text] of [
    ["case_reference", caseReference],
    ["verified_by", verifiedBy],
  ] as const) {
    expect(text.trim() !== "" && isText(text, MAX_CASE), field, `is required: 1 to ${MAX_CASE} characters`);
    expect(!holdsNumber(text, phoneNumber), field, "contains the number, and would put it into the audit log for good");
  }
  expect(isSubjectRole(role), "role", "is required: a role");
  done();
  const subject = { phoneNumber, role: role as Subject["role"], isParty: partyMatcher(phoneNumber) };
  return { subject, start, end, caseReference, verifiedBy };
}

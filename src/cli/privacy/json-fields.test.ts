import { expect, test } from "vitest";
import { formatJsonFields } from "./json-fields.ts";

test("details are told in words, enums by name, and hashes not at all", () => {
  expect(formatJsonFields("{}")).toBe("");
  expect(formatJsonFields('{"case_reference":"DSR-17","role":1}')).toBe("case reference DSR-17; role subscriber");
  expect(formatJsonFields('{"reason":3,"record_count":2}')).toBe("reason legal-claim; record count 2");
  const hashed = { phone_number: "0".repeat(64), role: "SUBJECT_ROLE_OTHER_PARTY" };
  expect(formatJsonFields(JSON.stringify(hashed))).toBe("phone number (a hash); role other-party");
  expect(formatJsonFields('{"refused":{"NUMBER_UNAVAILABLE":2}}')).toBe('refused {"NUMBER_UNAVAILABLE":2}');
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PartyKind } from "../../gen/tandem/type/v1/party_pb.js";
import { RecordIssue } from "../../gen/tandem/type/v1/upload_pb.js";
import { checkParty, checkPartyDetails, e164Of, isEmergencyNumber, maskedValue } from "./party.ts";

const check = (kind: number, value?: string, countryCode?: string) => {
  const party = { kind, value, countryCode, presentation: 0 };
  return checkParty(party) ?? checkPartyDetails(party);
};

describe("a party is taken", () => {
  test.each([
    ["an E.164 number of 2 digits", PartyKind.E164, "+12"],
    ["an E.164 number of 15 digits", PartyKind.E164, "+123456789012345"],
    ["a number of no known range", PartyKind.E164, "+999123"],
    ["a short code of 2 digits", PartyKind.SHORT_CODE, "10"],
    ["a short code of 8 digits", PartyKind.SHORT_CODE, "12345678"],
    ["118 without a country", PartyKind.SHORT_CODE, "118"],
    ["an emergency number", PartyKind.EMERGENCY, "112"],
    ["64 characters", PartyKind.NON_E164, "é".repeat(64)],
    ["64 characters beyond the basic plane", PartyKind.NON_E164, "😀".repeat(64)],
    ["a restricted party", PartyKind.RESTRICTED, undefined],
    ["an unavailable party", PartyKind.UNAVAILABLE, undefined],
  ])("%s", (_, kind, value) => {
    expect(check(kind, value)).toBeUndefined();
  });

  test.each(["DE", "US", "XK", "AQ"])("with country %s", (country) => {
    expect(check(PartyKind.RESTRICTED, undefined, country)).toBeUndefined();
  });
});

describe("a party is refused", () => {
  test.each([
    ["no kind", 0, undefined, RecordIssue.FIELD_REQUIRED, "kind"],
    ["an unknown kind", 8, undefined, RecordIssue.UNKNOWN_ENUM_VALUE, "kind"],
    ["a negative kind", -1, undefined, RecordIssue.UNKNOWN_ENUM_VALUE, "kind"],
    ["an erased party", PartyKind.ERASED, undefined, RecordIssue.FIELD_MALFORMED, "kind"],
    ["E.164 without value", PartyKind.E164, undefined, RecordIssue.FIELD_REQUIRED, "value"],
    ["E.164 without +", PartyKind.E164, "4930123", RecordIssue.FIELD_MALFORMED, "value"],
    ["E.164 of one digit", PartyKind.E164, "+1", RecordIssue.FIELD_MALFORMED, "value"],
    ["E.164 of 16 digits", PartyKind.E164, "+1234567890123456", RecordIssue.FIELD_MALFORMED, "value"],
    ["E.164 that begins with 0", PartyKind.E164, "+0123", RecordIssue.FIELD_MALFORMED, "value"],
    ["E.164 with a line break", PartyKind.E164, "+4930123\n", RecordIssue.FIELD_MALFORMED, "value"],
    ["E.164 in other digits", PartyKind.E164, "+٤٩٣٠", RecordIssue.FIELD_MALFORMED, "value"],
    ["a short code of 1 digit", PartyKind.SHORT_CODE, "1", RecordIssue.FIELD_MALFORMED, "value"],
    ["a short code of 9 digits", PartyKind.SHORT_CODE, "123456789", RecordIssue.FIELD_MALFORMED, "value"],
    ["a short code that is an emergency number", PartyKind.SHORT_CODE, "112", RecordIssue.FIELDS_INCONSISTENT, "kind"],
    ["an emergency number without digits", PartyKind.EMERGENCY, "sos", RecordIssue.FIELD_MALFORMED, "value"],
    ["an empty NON_E164", PartyKind.NON_E164, "", RecordIssue.FIELD_REQUIRED, "value"],
    ["257 characters", PartyKind.NON_E164, "x".repeat(257), RecordIssue.FIELD_OUT_OF_RANGE, "value"],
    ["a control character", PartyKind.NON_E164, "a\u0007", RecordIssue.FIELD_MALFORMED, "value"],
    ["a hidden character", PartyKind.NON_E164, "a\u202e", RecordIssue.FIELD_MALFORMED, "value"],
    ["NUL", PartyKind.NON_E164, "a\0", RecordIssue.INVALID_TEXT, "value"],
    ["a restricted party with a value", PartyKind.RESTRICTED, "+4930123", RecordIssue.FIELDS_INCONSISTENT, "value"],
    ["an unavailable party with an empty value", PartyKind.UNAVAILABLE, "", RecordIssue.FIELDS_INCONSISTENT, "value"],
  ])("with %s", (_, kind, value, issue, fieldPath) => {
    expect(check(kind, value)).toMatchObject({ issue, fieldPath });
  });

  test.each(["", "de", "DEU", "ZZ", "UK", "__proto__"])("with country %j", (country) => {
    expect(check(PartyKind.RESTRICTED, undefined, country)).toMatchObject({
      issue: RecordIssue.FIELD_MALFORMED,
      fieldPath: "country_code",
    });
  });

  test("with an unknown presentation", () => {
    expect(checkPartyDetails({ kind: PartyKind.RESTRICTED, presentation: 3 })).toMatchObject({
      fieldPath: "presentation",
    });
  });

  test("never with its number in the message", () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9 ()-]{7,30}$/), fc.constantFrom(1, 2, 3), (value, kind) => {
        const said = check(kind, value)?.message ?? "";
        const digits = value.replaceAll(/\D/g, "");
        expect(digits.length < 3 || !said.replaceAll(/[^\d*]/g, "").startsWith(digits)).toBe(true);
      }),
    );
  });
});

test("an emergency number is one everywhere or only in its country", () => {
  expect(["112", "911", "000", "999"].every((code) => isEmergencyNumber(code))).toBe(true);
  expect([isEmergencyNumber("118", "IT"), isEmergencyNumber("118", "DE"), isEmergencyNumber("118")]).toEqual([
    true,
    false,
    false,
  ]);
  expect(check(PartyKind.SHORT_CODE, "118", "IT")).toMatchObject({ fieldPath: "kind" });
});

test("only an E.164 party has an E.164 number", () => {
  expect(e164Of({ kind: PartyKind.E164, value: "+4930123", presentation: 0 })).toBe("+4930123");
  expect(e164Of({ kind: PartyKind.NON_E164, value: "+4930123", presentation: 0 })).toBeUndefined();
  expect(e164Of(undefined)).toBeUndefined();
});

test("a value is masked but for short and emergency codes", () => {
  const masked = (kind: number, value?: string) => maskedValue({ kind, value, presentation: 0 });
  expect(masked(PartyKind.E164, "+15552823001")).toBe("+15552823***");
  expect(masked(PartyKind.NON_E164, "tel 030-12 34")).toBe("tel 030-1* **");
  expect(masked(PartyKind.NON_E164, "alice")).toBe("***");
  expect(masked(PartyKind.SHORT_CODE, "11833")).toBe("11833");
  expect(masked(PartyKind.EMERGENCY, "4930123456")).toBe("4930123***");
  expect(masked(PartyKind.RESTRICTED)).toBeUndefined();
});

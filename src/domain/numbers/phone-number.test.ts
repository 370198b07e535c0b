import fc from "fast-check";
import { expect, test } from "vitest";
import { isE164 } from "../calls/party.ts";
import { isGlobalService, isPossibleNumber, isServedByCallingCode } from "./phone-number.ts";

const e164 = fc.stringMatching(/^\+[1-9][0-9]{1,14}$/);

test("E.164 is a plus and 2 to 15 digits without a leading zero, and nothing else", () => {
  fc.assert(fc.property(e164, isE164));
  for (const text of [
    "",
    "+",
    "+1",
    "4532123456",
    "+0123",
    "+1234567890123456",
    "+45 32",
    "+45321２３",
    "+4532\n",
    "tel:+45",
    "+45-32",
  ]) {
    expect(isE164(text), text).toBe(false);
  }
});

test("numbers of every kind and region that could be somebody's are possible", () => {
  for (const number of [
    "+4532123456",
    "+12025550123",
    "+496920",
    "+390612345678",
    "+5491123456789",
    "+80012345678",
    "+882130000000",
  ]) {
    expect(isPossibleNumber(number), number).toBe(true);
  }
});

test("a wrong length, an unknown calling code and a national prefix are not possible", () => {
  for (const number of [
    "+45321234",
    "+4532123456789",
    "+1202555012",
    "+999123456789",
    "+210123456",
    "+440201234567",
    "+45",
  ]) {
    expect(isPossibleNumber(number), number).toBe(false);
  }
});

test("any text gets an answer, and only E.164 can be possible", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary" }), e164), (text) => {
      if (isPossibleNumber(text)) expect(isE164(text)).toBe(true);
    }),
  );
});

test("a country serves the numbers of its calling code, shared codes included", () => {
  expect(isServedByCallingCode("+12025550123", "US")).toBe(true);
  expect(isServedByCallingCode("+12025550123", "CA")).toBe(true);
  expect(isServedByCallingCode("+4532123456", "DK")).toBe(true);
  expect(isServedByCallingCode("+4532123456", "SE")).toBe(false);
  for (const country of ["", "dk", "XX", "DKK", "001"])
    expect(isServedByCallingCode("+4532123456", country)).toBe(false);
});

test("global services belong to no country", () => {
  for (const number of ["+80012345678", "+8811234567", "+97912345678"]) expect(isGlobalService(number)).toBe(true);
  for (const number of ["+18005551234", "+4580012345", "+81312345678"]) expect(isGlobalService(number)).toBe(false);
});

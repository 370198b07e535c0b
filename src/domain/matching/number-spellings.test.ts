import { describe, expect, test } from "vitest";
import {
  carrierCall,
  dialled,
  e164,
  matchingInput,
  platformCall,
  RESTRICTED,
  tellResults,
} from "../../../test/support/matching-calls.ts";
import { DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { isCallerRestricted } from "../privacy/subject.ts";
import { matchCalls } from "./match-calls.ts";
import { areContradicting, areSameParties, type CallNumbers, numbersOf } from "./number-keys.ts";

type Address = ReturnType<typeof dialled>;

function called(party: Address): CallNumbers {
  return numbersOf(carrierCall("c", {}, { called: party }));
}

function isSame(a: Address, b: Address): boolean {
  return areSameParties(called(a), called(b)) && areSameParties(called(b), called(a));
}

describe("one subscriber's number in two spellings is one number", () => {
  test.each([
    ["the mobile 9 of Argentina", e164("+5491155550101"), e164("+541155550101")],
    ["the former 1 of Mexico", e164("+525555550101"), e164("+5215555550101")],
    ["the zero of an Italian number", e164("+390655550101"), e164("+39655550101")],
    ["an Italian number with 00", e164("+390655550102"), dialled("00390655550102")],
    ["a bracketed trunk zero", e164("+441632960105"), dialled("+44 (0)1632 960105")],
    ["a trunk zero behind the calling code", e164("+441632960105"), e164("+4401632960105")],
    ["an Argentine mobile as dialled at home", e164("+5491155550107"), dialled("0111555550107", "AR")],
    ["the same without a country", e164("+5491155550107"), dialled("0111555550107")],
    ["a trunk prefix and a calling code", dialled("01711234567"), dialled("491711234567")],
    ["a trunk prefix and 00", dialled("01711234567"), dialled("00491711234567")],
    ["an Australian prefix for calls abroad", e164("+441632960105"), dialled("0011 44 1632 960105", "AU")],
    ["an address in angle brackets", e164("+441632960105"), dialled('"A" <sip:01632960105@192.0.2.1:5060>', "GB")],
    ["a tel: URI with its context", e164("+441632960105"), dialled("tel:01632-960105;phone-context=+44")],
    ["full-width digits", e164("+441632960105"), dialled("０１６３２ ９６０１０５", "GB")],
  ])("%s", (_, a, b) => expect(isSame(a, b)).toBe(true));
});

describe("two numbers are two numbers", () => {
  test.each([
    ["an Italian mobile and an office whose zero was left out", e164("+393312345678"), e164("+3903312345678")],
    ["trunk prefixes of two countries", dialled("01711234567", "DE"), dialled("441711234567")],
    ["an Argentine number of one digit less", e164("+549115555010"), e164("+54115555010")],
  ])("%s", (_, a, b) => expect(isSame(a, b)).toBe(false));
});

test("a number without its area code is neither the same as a longer one nor another", () => {
  const [local, whole] = [called(dialled("5550123", "US")), called(e164("+12025550123"))];
  expect(areSameParties(local, whole)).toBe(false);
  expect(areContradicting(local, whole)).toBe(false);
  expect(areContradicting(called(dialled("5550124", "US")), whole)).toBe(true);
});

test("a caller that is hidden by a word is as hidden as one that is restricted", () => {
  const written = ["anonymous", "restricted", "private", "unknown", "unavailable", "0", "+00000000000"];
  for (const caller of [...written.map((value) => dialled(value)), dialled("sip:anonymous@anonymous.invalid")]) {
    expect(numbersOf(carrierCall("c", {}, { calling: caller })).callers, caller.value).toEqual([]);
  }
  expect(numbersOf(carrierCall("c", {}, { calling: e164("+266696687") })).callers).toEqual([]);
  expect(numbersOf(carrierCall("c", {}, { called: dialled("0") })).called).toHaveLength(1);
  expect([dialled("anonymous"), dialled("unknown")].map((calling) => isCallerRestricted({ calling }))).toEqual([
    true,
    false,
  ]);
});

test.each([
  ["anonymous", dialled("anonymous")],
  ["the letters of anonymous on the keys", e164("+266696687")],
  ["restricted", RESTRICTED],
])("an inbound call from a caller who is hidden as %s is paired by the called number", (_, calling) => {
  const direction = 2;
  const results = matchCalls(
    matchingInput(
      [platformCall("p", {}, { direction, calling })],
      [carrierCall("c", {}, { direction, calling: e164("+441632960155") })],
    ),
  );
  expect(tellResults(results, ({ status }) => status)).toEqual({ "p/c": DiscrepancyStatus.MATCHED_EXACT });
});

test("a copy under another spelling of the number is a copy", () => {
  const results = matchCalls(
    matchingInput(
      [platformCall("p", {}, { called: e164("+491711234567") })],
      [
        carrierCall("c1", {}, { called: dialled("01711234567", "DE") }),
        carrierCall("c2", {}, { called: dialled("491711234567") }),
      ],
    ),
  );
  expect(results.map(({ status }) => status).sort()).toEqual([
    DiscrepancyStatus.MATCHED_EXACT,
    DiscrepancyStatus.DUPLICATE_AT_CARRIER,
  ]);
});

import { describe, expect, test } from "vitest";
import { ALICE, BOB, CAROL, carrierCall, dialled, e164, RESTRICTED } from "../../../test/support/matching-calls.ts";
import { PartyKind } from "../../gen/tandem/type/v1/party_pb.js";
import type { Party } from "../calls/party.ts";
import { areContradicting, areSameParties, type CallNumbers, numbersOf } from "./number-keys.ts";

function called(party: Party): CallNumbers {
  return numbersOf(carrierCall("c", {}, { called: party }));
}

function isSame(a: Party, b: Party): boolean {
  const isSameOneWay = areSameParties(called(a), called(b));
  expect(areSameParties(called(b), called(a))).toBe(isSameOneWay);
  return isSameOneWay;
}

function code(
  kind: typeof PartyKind.SHORT_CODE | typeof PartyKind.EMERGENCY,
  value: string,
  countryCode?: string,
): Party {
  return { kind, value, presentation: 0, ...(countryCode === undefined ? {} : { countryCode }) };
}

describe("an E.164 number", () => {
  test.each([
    ["the same number", e164("+441632960001")],
    ["its national form with a trunk prefix", dialled("01632 960001", "GB")],
    ["its national form without a country", dialled("01632960001")],
    ["the international prefix of Europe", dialled("00441632960001", "DE")],
    ["the international prefix of North America", dialled("011441632960001", "US")],
    ["its E.164 form as a dialled text", dialled("+44 (1632) 960-001")],
    ["a routing prefix before the national form", dialled("123401632960001")],
    ["a SIP address of the number", dialled("sip:+441632960001@carrier.example;user=phone")],
    ["a service code before it", dialled("*67#01632960001")],
  ])("is the same as %s", (_, party) => {
    expect(isSame(e164("+441632960001"), party)).toBe(true);
  });

  test.each([
    ["another number", e164("+441632960002")],
    ["a national form of another country", dialled("01632960001", "DE")],
    ["the same national digits behind another calling code", dialled("+491632960001")],
    ["another calling code without a plus", dialled("491632960001")],
    ["a number that is only its end", dialled("960001")],
    ["a user name", dialled("alice")],
  ])("is not %s", (_, party) => {
    expect(isSame(e164("+441632960001"), party)).toBe(false);
  });
});

test("short codes are their country's, and emergency numbers everybody's", () => {
  expect(isSame(code(PartyKind.SHORT_CODE, "118", "SE"), code(PartyKind.SHORT_CODE, "118", "SE"))).toBe(true);
  expect(isSame(code(PartyKind.SHORT_CODE, "118", "SE"), code(PartyKind.SHORT_CODE, "118", "DK"))).toBe(false);
  expect(isSame(code(PartyKind.SHORT_CODE, "118118", "SE"), dialled("118118"))).toBe(true);
  expect(isSame(code(PartyKind.SHORT_CODE, "118118", "SE"), e164("+46118118"))).toBe(true);
  expect(isSame(code(PartyKind.EMERGENCY, "112", "SE"), code(PartyKind.EMERGENCY, "112", "DK"))).toBe(true);
});

test("user names are the same in any case, and never a number", () => {
  expect(isSame(dialled("Alice@example.com"), dialled("alice@EXAMPLE.com"))).toBe(true);
  expect(isSame(dialled("alice"), dialled("bob"))).toBe(false);
});

test("a party that one side does not show neither fits nor contradicts by itself", () => {
  const shown = numbersOf(carrierCall("c"));
  const hiddenCaller = numbersOf(carrierCall("c", {}, { calling: RESTRICTED }));
  const hiddenCalled = called({ kind: PartyKind.UNAVAILABLE, presentation: 0 });
  expect(areSameParties(shown, hiddenCaller)).toBe(true);
  expect(areSameParties(shown, hiddenCalled)).toBe(true);
  expect(areSameParties(hiddenCaller, hiddenCalled)).toBe(false);
  expect(areContradicting(hiddenCaller, hiddenCalled)).toBe(false);
});

test("an erased number is the same as an erased one, and as nothing else; nor does it contradict", () => {
  const erased = called({ kind: PartyKind.ERASED, presentation: 0 });
  expect(areSameParties(erased, called({ kind: PartyKind.ERASED, presentation: 0 }))).toBe(true);
  expect(areSameParties(erased, called(BOB))).toBe(false);
  expect(areContradicting(erased, called(BOB))).toBe(false);
});

test("any of the numbers of who called may be the same, and none of them the same contradicts", () => {
  const forwarded = numbersOf(
    carrierCall("c", {}, { calling: CAROL, asserted: BOB, redirecting: ALICE, called: CAROL }),
  );
  expect(areSameParties(forwarded, numbersOf(carrierCall("c", {}, { called: CAROL })))).toBe(true);
  const stranger = numbersOf(carrierCall("c", {}, { calling: e164("+4532999999"), called: CAROL }));
  expect(areSameParties(forwarded, stranger)).toBe(false);
  expect(areContradicting(forwarded, stranger)).toBe(true);
});

test("a user name does not contradict a number", () => {
  expect(areContradicting(called(dialled("reception")), called(BOB))).toBe(false);
});

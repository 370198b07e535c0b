import { describe, expect, test } from "vitest";
import { SubjectRole } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { PartyKind } from "../../gen/tandem/type/v1/party_pb.js";
import type { Party } from "../calls/party.ts";
import { findParticipation, holdsNumber, isCallerRestricted, isInRole, partyMatcher } from "./subject.ts";

const NUMBER = "+4533123456";
const isSubject = partyMatcher(NUMBER);
const e164 = (value: string, presentation = 1): Party => ({ kind: PartyKind.E164, value, presentation });
const subject = e164(NUMBER);
const other = e164("+12025550123");
const third = e164("+442079460018");

describe("a party has the number", () => {
  test.each([
    ["E.164", subject, true],
    ["another number", other, false],
    [
      "a national spelling",
      { kind: PartyKind.NON_E164, value: "33 12 34 56", countryCode: "DK", presentation: 0 },
      true,
    ],
    ["a SIP URI", { kind: PartyKind.NON_E164, value: "sip:+4533123456@example.com", presentation: 0 }, true],
    ["an international spelling", { kind: PartyKind.NON_E164, value: "004533123456", presentation: 0 }, true],
    [
      "the same digits of another country",
      { kind: PartyKind.NON_E164, value: "33123456", countryCode: "SE", presentation: 0 },
      false,
    ],
    ["a restricted party", { kind: PartyKind.RESTRICTED, presentation: 2 }, false],
  ])("%s", (_, party, expected) => expect(isSubject(party)).toBe(expected));
});

describe("roles", () => {
  test.each([
    ["who calls out", { direction: 1, calling: subject, called: other }, "subscriber"],
    ["who is called from the platform", { direction: 1, calling: other, called: subject }, "other party"],
    ["who is called at the platform", { direction: 2, calling: other, called: subject }, "subscriber"],
    ["who calls the platform", { direction: 2, calling: subject, called: other }, "other party"],
    ["who forwards", { direction: 1, calling: other, redirecting: subject, called: third }, "subscriber"],
    [
      "whose call is forwarded",
      { direction: 1, calling: subject, redirecting: third, called: other },
      "subscriber other party",
    ],
    ["whose asserted number it is", { direction: 1, calling: third, asserted: subject, called: other }, "subscriber"],
    ["who has no part in it", { direction: 1, calling: other, called: third }, ""],
  ])("%s", (_, call, expected) => {
    const found = findParticipation(call, isSubject);
    const roles = [found?.isSubscriber && "subscriber", found?.isOtherParty && "other party"].filter(Boolean);
    expect(roles.join(" ")).toBe(expected);
    if (!found) return;
    expect(isInRole(found, SubjectRole.SUBSCRIBER)).toBe(found.isSubscriber);
    expect(isInRole(found, SubjectRole.OTHER_PARTY)).toBe(found.isOtherParty);
    expect(isInRole(found, SubjectRole.ANY)).toBe(true);
  });
});

test("a caller is restricted by kind or by presentation, in From or as asserted", () => {
  expect(isCallerRestricted({ calling: other })).toBe(false);
  expect(isCallerRestricted({ calling: e164("+12025550123", 2) })).toBe(true);
  expect(isCallerRestricted({ calling: { kind: PartyKind.RESTRICTED, presentation: 0 } })).toBe(true);
  expect(
    isCallerRestricted({
      calling: { kind: PartyKind.UNAVAILABLE, presentation: 0 },
      asserted: e164("+12025550123", 2),
    }),
  ).toBe(true);
});

test("a text holds the number in any spelling", () => {
  expect(
    ["case +45 33 12 34 56", "DSR 33123456", "tel:+4533-123-456"].map((text) => holdsNumber(text, NUMBER)),
  ).toEqual([true, true, true]);
  expect(["DSR-2026-0042", "3456", ""].map((text) => holdsNumber(text, NUMBER))).toEqual([false, false, false]);
});

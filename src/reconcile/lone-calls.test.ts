import fc from "fast-check";
import { expect, test } from "vitest";
import { carrierCall, e164, matchingInput, platformCall, RESTRICTED, TEN } from "../../test/support/matching-calls.ts";
import { setApart } from "../domain/matching/lone-results.ts";
import { matchCalls } from "../domain/matching/match-calls.ts";
import { partLonePairs } from "../domain/matching/pairing/lone-pairs.ts";
import { ZoneDays } from "../domain/time/zone-days.ts";
import { loneCall, loneRow } from "./lone-calls.ts";
import { judgedRow, nameOf, nameText } from "./result-row.ts";

const DAY = 86_400_000_000n;
const DAYS = new ZoneDays(
  "1970-01-01",
  Array.from({ length: 30_000 }, (_, day) => BigInt(day) * DAY),
);

/** As a turn has it where nothing else is known. */
const RIGHT = { offsetMs: 0, kind: "NONE", pairCount: 0, ratio: 0 } as const;

test("a lone pair's row is the one that its result is written as", () => {
  fc.assert(
    fc.property(anyPair(), ({ platform, carrier }) => {
      const input = matchingInput([platform], [carrier], { offsetOf: () => RIGHT });
      const [result, ...others] = matchCalls(input);
      const [lone] = setApart(partLonePairs(input.platform, input.carrier), input).lone;
      if (lone === undefined || result === undefined) return;
      expect(others).toEqual([]);
      const expected = judgedRow(result, DAYS);
      const { row, name } = loneRow(loneCall(lone), DAYS, input.agreement.toleranceMs);
      // The hash is of all columns but the arrival.
      expect(row.resultHash).toBe(expected.resultHash);
      expect([BigInt(row.arrivalMs) * 1_000n, name]).toEqual([expected.arrivalTime, nameText(nameOf(result))]);
      expect({ ...row, ...inMicros(row) }).toMatchObject(toldOf(expected));
    }),
    { numRuns: 500 },
  );
});

function inMicros({ startMs, clockMs }: { startMs: number; clockMs: number }) {
  return { startTime: BigInt(startMs) * 1_000n, clockTime: BigInt(clockMs) * 1_000n };
}

function toldOf(row: ReturnType<typeof judgedRow>) {
  const { recordId, recordDate, revision, startTime, callDate, status, matchedBy, direction, phoneNumber } = row;
  const { customerId, trunkId, callId, otherNumber, otherCountry, clockTrunk, clockTime } = row;
  const named = { recordId, recordDate, revision, startTime, callDate, status, matchedBy, direction, phoneNumber };
  return { ...named, customerId, trunkId, callId, otherNumber, otherCountry, clockTrunk, clockTime };
}

function anyPair() {
  const optional = <T>(...values: T[]) => fc.constantFrom(undefined, ...values);
  return fc
    .record({
      connectedMs: fc.constantFrom(null, 0, 30_000),
      offMs: fc.constantFrom(0, 0, 400, -1_200),
      longerMs: fc.constantFrom(0, 0, 300, -900),
      direction: fc.constantFrom(1, 2),
      called: fc.constantFrom(e164("+4633000002"), { ...e164("+4633000002"), presentation: 2, countryCode: "SE" }),
      redirecting: optional(e164("+4532000009"), RESTRICTED),
      trunkId: optional("trunk-1", "trunk-2"),
      ids: fc.record(
        { dialogCallId: fc.constantFrom("d1"), icid: fc.constantFrom("i1"), sessionId: fc.constant("a1;remote=b1") },
        { requiredKeys: [] },
      ),
      ofPlatform: fc.record({
        callId: optional("call-1"),
        trunkId: optional("trunk-3"),
        revision: fc.constantFrom(1, 3),
      }),
      billedS: optional(30, 60),
      phoneNumber: optional("+4532000001"),
      customerId: optional("customer-1"),
    })
    .map((of) => {
      const shape = { direction: of.direction, called: of.called, redirecting: of.redirecting, ids: of.ids };
      const known = { trunkId: of.trunkId, phoneNumber: of.phoneNumber, customerId: of.customerId };
      const { connectedMs, longerMs, billedS } = of;
      const heardMs = connectedMs === null ? null : Math.max(0, connectedMs + longerMs);
      return {
        platform: platformCall("p1", { connectedMs }, { ...shape, ...known, ...of.ofPlatform }),
        carrier: carrierCall("c1", { startMs: TEN + of.offMs, connectedMs: heardMs }, { ...shape, ...known, billedS }),
      };
    });
}

import fc from "fast-check";
import { expect, test } from "vitest";
import {
  ALICE,
  BOB,
  CAROL,
  canonical,
  carrierCall,
  crowdedRecords,
  DAY_MS,
  dialled,
  e164,
  matchingInput,
  nameOf,
  platformCall,
  RESTRICTED,
  TEN,
} from "../../../test/support/matching-calls.ts";
import { DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import type { CarrierFacts, ClockOffset, MatchingInput, PlatformFacts } from "./facts.ts";
import { type LoneResult, setApart } from "./lone-results.ts";
import { matchCalls } from "./match-calls.ts";
import { partLonePairs } from "./pairing/lone-pairs.ts";
import type { CallResult } from "./result.ts";

const RUNS = { numRuns: 500 };

test.each([
  ["crowded", crowdedRecords],
  ["sparse", sparseRecords()],
])("lone pairs come to what the matcher says, and so does the rest: %s records", (_, records) => {
  fc.assert(
    fc.property(records, anyRules(), ({ platform, carrier }, rules) => {
      const input = matchingInput(platform, carrier, rules);
      const whole = matchCalls(input);
      const { lone, rest } = matchApart(input);
      const names = new Set(lone.map(nameOfLone));
      const ofLone = whole.filter((result) => names.has(nameOf(result)));
      expect(ofLone.map(toldOf).sort()).toEqual(lone.map(toldOfLone).sort());
      expect(canonical(rest)).toEqual(canonical(whole.filter((result) => !names.has(nameOf(result)))));
    }),
    RUNS,
  );
});

test("calls that agree are lone, whoever else calls", () => {
  const calls = Array.from({ length: 50 }, (_, at) => ({ startMs: TEN + at * 10_000, connectedMs: 30_000 + at }));
  const parties = (at: number) => ({ calling: e164(`+4532000${100 + at}`), called: e164(`+4633000${500 - at}`) });
  const platform = calls.map((call, at) => platformCall(`p${at}`, call, parties(at)));
  const carrier = calls.map((call, at) => carrierCall(`c${at}`, call, parties(at)));
  const { lone, rest } = matchApart(matchingInput(platform, carrier));
  expect(lone).toHaveLength(50);
  expect(rest).toEqual([]);
});

test("a third record of the same parties near a pair leaves all three to the matcher", () => {
  const input = matchingInput(
    [platformCall("p1"), platformCall("p2", { startMs: TEN + 120_000 })],
    [carrierCall("c1")],
  );
  const { lone } = matchApart(input);
  expect(lone).toEqual([]);
});

test.each<[string, Partial<PlatformFacts>, Partial<CarrierFacts>]>([
  ["is PARTIAL", { isPartial: true }, {}],
  ["is a part", {}, { part: { index: 1 } }],
  ["disagrees", {}, { connectedMs: 50_000 }],
  ["has only a bill", {}, { connectedMs: undefined, endMs: undefined, billedS: 100 }],
  ["is late", {}, { ingestMs: TEN + 30 * DAY_MS }],
  ["names another record", {}, { echoedRecordId: "p9" }],
  [
    "was paired before an erasure",
    {},
    { joinedTo: { recordId: "p1", recordDate: "2026-06-01", by: 4, isAlone: true } },
  ],
])("a pair that %s is left to the matcher", (_, ofPlatform, ofCarrier) => {
  const input = matchingInput([platformCall("p1", {}, ofPlatform)], [carrierCall("c1", {}, ofCarrier)]);
  expect(matchApart(input).lone).toEqual([]);
});

function matchApart(input: MatchingInput): { lone: readonly LoneResult[]; rest: CallResult[] } {
  const offsets = (record: CarrierFacts) => offsetsIn(input.offsetOf(record)).filter((offsetMs) => offsetMs !== 0);
  const { lone, input: rest } = setApart(partLonePairs(input.platform, input.carrier, offsets), input);
  return { lone, rest: matchCalls(rest) };
}

function offsetsIn(offset: ClockOffset | undefined): number[] {
  return offset === undefined ? [] : [offset.offsetMs, ...offsetsIn(offset.second)];
}

function nameOfLone({ pair }: LoneResult): string {
  return `${pair.platform.recordId}/${pair.carrier.recordId}`;
}

function toldOfLone({ pair, status, basis, startMs, carrierStartMs, platformMs, carrierMs }: LoneResult): string {
  const { recordId } = pair.platform;
  const span = [Math.min(startMs, carrierStartMs), Math.max(startMs, carrierStartMs)];
  return JSON.stringify([recordId, status, basis, pair.by, pair.deltaMs, platformMs, carrierMs, startMs, span, 0]);
}

function toldOf(result: CallResult): string {
  const { platform, status, basis, matchedBy, offsetVoteMs, platformMeasure, carrierMeasure, startMs } = result;
  const { span, findings, pendingReason, graceEndMs } = result;
  expect([pendingReason, graceEndMs, result.carrier.length]).toEqual([undefined, undefined, 1]);
  return JSON.stringify([
    platform?.recordId,
    status,
    basis,
    matchedBy,
    offsetVoteMs,
    platformMeasure?.connectedMs,
    carrierMeasure?.connectedMs,
    startMs,
    [span.firstMs, span.lastMs],
    findings.length,
  ]);
}

/** Calls that mostly agree, of more parties and hours than crowded ones. */
function sparseRecords(): fc.Arbitrary<{ platform: PlatformFacts[]; carrier: CarrierFacts[] }> {
  return fc.array(anyPlanned(), { maxLength: 12 }).map((calls) => ({
    platform: calls.flatMap(({ call, shape, platform }, at) =>
      platform === null ? [] : [platformCall(`p${at}`, call, { ...shape, ...platform })],
    ),
    carrier: calls.flatMap(({ call, shape, carrier, offMs, shownAs }, at) =>
      carrier === null
        ? []
        : [
            carrierCall(
              `c${at}`,
              { ...call, startMs: call.startMs + offMs },
              { ...shape, ...(shownAs === null ? {} : { called: shownAs }), ...carrier },
            ),
          ],
    ),
  }));
}

function anyPlanned() {
  return fc.record({
    call: fc.record({
      startMs: fc.integer({ min: 0, max: 3_000 }).map((seconds) => TEN + seconds * 1_000),
      ringMs: fc.constantFrom(2_000, 20_000, 140_000),
      connectedMs: fc.constantFrom(null, 0, 15_000, 30_000, 31_000, 100_000, 10_800_000),
    }),
    shape: fc.record({
      calling: fc.constantFrom(ALICE, ALICE, CAROL, e164("+4532111001"), RESTRICTED),
      called: fc.constantFrom(BOB, BOB, e164("+4633222002"), e164("+4633222003")),
      direction: fc.constantFrom(1, 1, 1, 2),
      isVoid: fc.constantFrom(false, false, false, false, true),
      ids: anyIds(),
    }),
    platform: nullable(
      fc.record(
        {
          isPartial: fc.constantFrom(false, false, true),
          isEmergency: fc.constantFrom(false, true),
          ids: anyIds(),
          asserted: fc.constantFrom(ALICE, CAROL),
        },
        { requiredKeys: [] },
      ),
    ),
    carrier: nullable(
      fc.record(
        {
          connectedMs: fc.constantFrom(30_500, 30_000, 29_000, undefined),
          billedS: fc.constantFrom(30, 60),
          roundingRule: fc.constant({ incrementS: 60, minimumS: 0 }),
          resolutionMs: fc.constantFrom(1, 1_000, 60_000),
          echoedRecordId: fc.nat(12).map((at) => `p${at}`),
          part: fc.record({ index: fc.integer({ min: 1, max: 3 }) }),
          ids: anyIds(),
          inviteMs: fc.constant(undefined),
          answerMs: fc.constant(undefined),
          trunkId: fc.constantFrom("trunk-1", "trunk-2"),
          ingestMs: fc.constantFrom(TEN + DAY_MS, TEN + 3 * DAY_MS),
          joinedTo: fc.record({
            recordId: fc.nat(12).map((at) => `p${at}`),
            recordDate: fc.constant("2026-06-01"),
            by: fc.constantFrom(1, 4),
            isAlone: fc.boolean(),
          }),
        },
        { requiredKeys: [] },
      ),
    ),
    offMs: fc.constantFrom(0, 0, 0, 300, -1_500, 2_500, 61_000, -125_000, 3_600_000),
    shownAs: fc.option(fc.constantFrom(dialled("0733000002", "SE"), dialled("033222002", "SE"), CAROL)),
  });
}

/** Mostly there, and mostly without anything odd. */
function nullable<T>(odd: fc.Arbitrary<T>): fc.Arbitrary<T | Record<never, never> | null> {
  return fc.oneof({ weight: 5, arbitrary: fc.constant({}) }, { weight: 1, arbitrary: fc.constant(null) }, odd);
}

function anyIds() {
  return fc
    .record(
      {
        dialogCallId: fc.nat(20).map((at) => `d${at}`),
        dialogFromTag: fc.constantFrom("a", "b"),
        icid: fc.nat(20).map((at) => `i${at}`),
        sessionId: fc.nat(20).map((at) => `${at}a;remote=${at}b`),
      },
      { requiredKeys: [] },
    )
    .filter((ids) => Object.keys(ids).length < 4);
}

function anyRules(): fc.Arbitrary<Partial<MatchingInput>> {
  const offset: ClockOffset = { kind: "ZONE_SHIFT", offsetMs: 3_600_000, pairCount: 30, ratio: 1 };
  const none: ClockOffset = { kind: "NONE", offsetMs: 0, pairCount: 0, ratio: 0 };
  const both: ClockOffset = { ...none, second: offset };
  const rule = { rule: { incrementS: 6, minimumS: 0 }, isInferred: true, pairCount: 40, ratio: 1 };
  const ofTrunk =
    <T>(value: T, trunkId: string) =>
    (record: CarrierFacts) =>
      record.trunkId === trunkId ? value : undefined;
  return fc
    .record({
      offset: fc.constantFrom(undefined, none, offset, both),
      rule: fc.constantFrom(undefined, rule),
      trunkId: fc.constantFrom("trunk-1", "trunk-2"),
      isWide: fc.boolean(),
    })
    .map(({ offset: each, rule: inferred, trunkId, isWide }) => ({
      offsetOf: ofTrunk(each, trunkId),
      roundingOf: ofTrunk(inferred, trunkId),
      agreement: {
        toleranceMs: isWide ? 5_000 : 1_000,
        graceMs: DAY_MS,
        scopeAt: () => ({ directions: isWide ? [1, 2] : [1], unanswered: isWide, emergency: false }),
      },
    }));
}

test("an unanswered pair is lone too", () => {
  const input = matchingInput([platformCall("p1", { connectedMs: null })], [carrierCall("c1", { connectedMs: null })]);
  expect(matchApart(input).lone.map(({ status }) => status)).toEqual([DiscrepancyStatus.MATCHED_UNANSWERED]);
});

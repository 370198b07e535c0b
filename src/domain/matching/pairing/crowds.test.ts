import { describe, expect, test } from "vitest";
import {
  ALICE,
  BOB,
  CAROL,
  carrierCall,
  matchingInput,
  platformCall,
  SECOND_MS,
  TEN,
  tellResults,
} from "../../../../test/support/matching-calls.ts";
import { DiscrepancyStatus } from "../../../gen/tandem/type/v1/discrepancy_pb.js";
import { carrierUnit, platformUnit } from "../call-unit.ts";
import type { CarrierFacts, PlatformFacts } from "../facts.ts";
import { matchCalls } from "../match-calls.ts";
import type { CallResult } from "../result.ts";
import { MOST_TIMES, NumberIndex, rangesAround } from "./number-index.ts";

/** Over 200 calls within each one's window. */
const PER_SECOND = 4;
const SECONDS = 100;

describe("a crowd of calls between the same two numbers", () => {
  test("is told apart where each call has its own length", () => {
    const results = matchCalls(matchingInput(...crowd({ lengthOf: (index) => 10_000 + (index % 97) * 3_000 })));

    expect(results).toHaveLength(PER_SECOND * SECONDS);
    expect(statuses(results)).toEqual([DiscrepancyStatus.MATCHED_EXACT]);
  });

  test("says of a call that has no record left near it that it is missing", () => {
    const [platform, carrier] = crowd({ lengthOf: (index) => 10_000 + (index % 97) * 3_000 });
    const results = tellResults(matchCalls(matchingInput(platform, carrier.toSpliced(150, 1))), ({ status }) => status);

    expect(results["p150"]).toBe(DiscrepancyStatus.MISSING_AT_CARRIER);
    expect(Object.keys(results)).toHaveLength(PER_SECOND * SECONDS);
  });

  // Of 64 a second even those of one time are too many to look at.
  test.each([4, 64])("is ambiguous on both sides where nothing tells its calls apart: %i a second", (perSecond) => {
    const results = matchCalls(matchingInput(...crowd({ perSecond, lengthOf: () => 60_000 })));

    expect(statuses(results)).toEqual([DiscrepancyStatus.AMBIGUOUS]);
    expect(results).toHaveLength(2 * perSecond * SECONDS);
  });

  test("is ambiguous in what is left of it, as far as both sides have something left", () => {
    const [platform, carrier] = crowd({ lengthOf: (index) => 10_000 + (index % 97) * 3_000 });
    const strays = [15, 25].map((afterS, index) =>
      carrierCall(`stray${index}`, { startMs: (platform[150]?.inviteMs ?? 0) + afterS * SECOND_MS, connectedMs: 777 }),
    );
    const records = [...carrier.toSpliced(150, 1), ...strays];
    const results = tellResults(matchCalls(matchingInput(platform, records)), ({ status }) => status);
    const left = Object.entries(results).filter(([, status]) => status !== DiscrepancyStatus.MATCHED_EXACT);

    expect(Object.fromEntries(left)).toEqual({
      p150: DiscrepancyStatus.AMBIGUOUS,
      stray0: DiscrepancyStatus.AMBIGUOUS,
      stray1: DiscrepancyStatus.AMBIGUOUS,
    });
  });

  test("comes to the same in any order of its records", () => {
    const [platform, carrier] = crowd({ lengthOf: (index) => 10_000 + (index % 3) * 30_000 });
    const inOrder = tellResults(matchCalls(matchingInput(platform, carrier)), ({ status }) => status);
    const turned = matchCalls(matchingInput(platform.toReversed(), carrier.toReversed()));

    expect(tellResults(turned, ({ status }) => status)).toEqual(inOrder);
  });

  test.each([4, 16, 64])("has each record held against a bounded number of others: %i a second", (perSecond) => {
    const asked = workOf({ perSecond, lengthOf: () => 60_000 });

    expect(asked).toBeLessThan(MOST_TIMES * perSecond * SECONDS);
  });
});

describe("what is sought among the calls of the same parties", () => {
  test.each([
    [4, DiscrepancyStatus.DUPLICATE_AT_PLATFORM],
    [64, DiscrepancyStatus.MISSING_AT_CARRIER],
  ])("copies, of %i alike a second: status %i", (perSecond, status) => {
    const [platform] = crowd({ perSecond, lengthOf: () => 60_000 });
    const results = tellResults(matchCalls(matchingInput(platform, [])), (result) => result.status);

    expect(results[`p${50 * perSecond}`]).toBe(status);
  });

  test.each([
    [390, true],
    [410, false],
  ])("%i left parts of a call are put together: %s", (count, areTogether) => {
    const connectedMs = (count + 60) * 10_000;
    const parts = Array.from({ length: count }, (_, index) =>
      carrierCall(`c${index}`, { startMs: TEN + 600_000 + index * 10_000, ringMs: 0, connectedMs: 10_000 }),
    );
    const results = matchCalls(matchingInput([platformCall("p", { ringMs: 0, connectedMs })], parts));

    expect(results).toHaveLength(areTogether ? 1 : count + 1);
  });

  test.each([
    [1_900, true],
    [2_100, false],
  ])("the call of a part without a first, among %i that day: %s", (count, isFound) => {
    const short = Array.from({ length: count }, (_, index) =>
      platformCall(`s${index}`, { startMs: TEN - (index + 1) * 30_000, ringMs: 1_000, connectedMs: 2_000 }),
    );
    const long = platformCall("long", { startMs: TEN, connectedMs: 7_200_000 });
    const part = carrierCall(
      "part",
      { startMs: TEN + 3_600_000, ringMs: 0, connectedMs: 600_000 },
      { part: { index: 2, count: 3 } },
    );
    const results = matchCalls(matchingInput([...short, long], [part]));

    expect(tellResults(results, () => true)).toHaveProperty([isFound ? "long/part" : "long"]);
  });
});

describe("an index of numbers", () => {
  const seeker = platformUnit(platformCall("p", { startMs: TEN }));

  test.each([10, 100])("counts times of the same parties, with %i of others among them", (others) => {
    const index = indexOf([
      ...Array.from({ length: 10 }, (_, at) => ({ startMs: TEN + at, called: BOB })),
      // The same last three digits.
      ...Array.from({ length: others }, (_, at) => ({
        startMs: TEN + at,
        called: { ...CAROL, value: "+4933009002" },
      })),
    ]);
    const ranges = rangesAround(seeker, 10 * SECOND_MS);

    expect(index.hasMore(seeker, ranges, 19)).toBe(true);
    expect(index.hasMore(seeker, ranges, 20)).toBe(false);
  });

  test.each([10, 100])("visits each of %i once, until it is told to stop", (count) => {
    const index = indexOf(Array.from({ length: count }, (_, at) => ({ startMs: TEN + at, called: BOB })));
    const visited: number[] = [];
    const ranges = rangesAround(seeker, 10 * SECOND_MS);
    index.visit(seeker, ranges, (at) => visited.push(at));
    expect(visited.toSorted((a, b) => a - b)).toEqual([...Array(count).keys()]);

    visited.length = 0;
    index.visit(seeker, ranges, (at) => visited.push(at) < 3);
    expect(visited).toHaveLength(3);
  });

  test("looks around the start and the answer, and not at the ringing between", () => {
    const ringing = platformUnit(platformCall("p", { startMs: TEN, ringMs: 600_000 }));
    const index = indexOf([0, 300_000, 600_000].map((afterMs) => ({ startMs: TEN + afterMs, called: BOB })));
    const visited: number[] = [];
    index.visit(ringing, rangesAround(ringing, 60_000), (at) => visited.push(at));

    expect(visited.sort()).toEqual([0, 2]);
  });

  function indexOf(calls: readonly { startMs: number; called: typeof BOB }[]): NumberIndex {
    const units = calls.map(({ startMs, called }, at) =>
      carrierUnit(carrierCall(`c${at}`, { startMs }, { calling: ALICE, called }), () => undefined),
    );
    return new NumberIndex(units, [seeker]);
  }
});

interface Crowd {
  readonly perSecond?: number;
  readonly lengthOf: (index: number) => number;
}

// The carrier's clock is 300 ms behind.
function crowd({ perSecond = PER_SECOND, lengthOf }: Crowd): [platform: PlatformFacts[], carrier: CarrierFacts[]] {
  const calls = Array.from({ length: perSecond * SECONDS }, (_, index) => ({
    startMs: TEN + Math.floor((index * SECOND_MS) / perSecond),
    connectedMs: lengthOf(index),
  }));
  return [
    calls.map((call, index) => platformCall(`p${index}`, call)),
    calls.map((call, index) => carrierCall(`c${index}`, { ...call, startMs: call.startMs + 300 })),
  ];
}

// How often it is asked what the carrier reports, which it is for each pair that is looked at.
function workOf(options: Crowd): number {
  let asked = 0;
  const input = matchingInput(...crowd(options));
  const { scopeAt } = input.agreement;
  matchCalls({
    ...input,
    agreement: {
      ...input.agreement,
      scopeAt: (at) => {
        asked++;
        return scopeAt(at);
      },
    },
  });
  return asked;
}

function statuses(results: readonly CallResult[]): DiscrepancyStatus[] {
  return [...new Set(results.map(({ status }) => status))];
}

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  AGREEMENT,
  ALICE,
  BOB,
  CAROL,
  type Call,
  carrierCall,
  e164,
  HOUR_MS,
  MINUTE_MS,
  matchingInput,
  nameOf,
  platformCall,
  RESTRICTED,
  SECOND_MS,
  TEN,
  tellResults,
} from "../../../test/support/matching-calls.ts";
import { DiscrepancyCause, DiscrepancyStatus, MatchedBy } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import type { Party } from "../calls/party.ts";
import { PLATFORM_SIDE } from "../record-kind.ts";
import { explainCall } from "./explain/explain.ts";
import type { CarrierFacts, MatchingInput, PlatformFacts } from "./facts.ts";
import { matchCalls } from "./match-calls.ts";
import type { CallResult } from "./result.ts";

// One test, or more, for each row of the table "The order of evidence" in docs/decisions/0004.

const IDS = { dialogCallId: "r2@192.0.2.1", dialogFromTag: "a1", dialogToTag: "b1" };
const LOCAL = "ab30317f1a784dc48ff824d0d3715d86";
const REMOTE = "47755a9de7794ba387653f2099600ef2";
const NIL = "0".repeat(32);

describe("row 1: ids of the signalling", () => {
  test("of both tags join a call whose called number was changed on the way, and the contradiction is a finding", () => {
    const called = e164("+12125550177");
    const [result, ...others] = match(
      [platformCall("p", {}, { ids: IDS })],
      [carrierCall("c", { startMs: TEN + 100 }, { ids: IDS, called })],
    );
    expect(others).toEqual([]);
    expect(result).toMatchObject({ status: DiscrepancyStatus.MATCHED_EXACT, matchedBy: MatchedBy.INTERCONNECT_DIALOG });
    expect(result?.findings).toEqual([{ cause: DiscrepancyCause.NUMBERS_DIFFER }]);
  });

  test("of a Call-ID alone do not join numbers that contradict: switches have used one for two calls", () => {
    const ids = { dialogCallId: IDS.dialogCallId };
    const other = carrierCall("c", { startMs: TEN + MINUTE_MS, connectedMs: 300_000 }, { ids, called: CAROL });
    expect(match([platformCall("p", {}, { ids })], [other]).map(nameOf)).toEqual(["p", "c"]);
  });

  test.each([
    ["another remote end that is not yet known", `${LOCAL};${REMOTE}`, `${LOCAL};${NIL}`],
    ["a half that is absent", `${LOCAL};${NIL}`, LOCAL],
    ["the header field as it stands on the wire", `${LOCAL};${REMOTE}`, `${REMOTE};remote=${LOCAL}`],
    ["a nil remote end on the wire", `${LOCAL};${REMOTE}`, `${LOCAL};remote=${NIL}`],
    ["quotes and capitals", `${LOCAL};${REMOTE}`, `"${LOCAL.toUpperCase()}; remote=${REMOTE}"`],
  ])("of a Session-ID join a pair with %s", (_, sessionId, others) => {
    const results = match(
      [platformCall("p", {}, { ids: { sessionId } })],
      [carrierCall("c", { startMs: TEN + 5 * MINUTE_MS }, { ids: { sessionId: others } })],
    );
    expect(matchedBy(results)).toEqual({ "p/c": MatchedBy.SESSION_ID });
  });

  test.each([
    ["of which both halves are nil", `${NIL};${NIL}`, `${NIL};${NIL}`],
    ["that has one end in common, and another other end", `${LOCAL};${REMOTE}`, `${LOCAL};${"c".repeat(32)}`],
  ])("of a Session-ID %s join nothing", (_, sessionId, others) => {
    const carrier = carrierCall("c", { startMs: TEN + 5 * MINUTE_MS }, { ids: { sessionId: others } });
    expect(match([platformCall("p", {}, { ids: { sessionId } })], [carrier]).map(nameOf)).toEqual(["p", "c"]);
  });

  test.each([
    ["in quotes", '"4f1c-9a"'],
    ["with the name of its parameter", 'icid-value="4f1c-9a";icid-generated-at=192.0.2.9'],
  ])("of an ICID that stands %s join a pair", (_, icid) => {
    const results = match(
      [platformCall("p", {}, { ids: { icid: "4f1c-9a" } })],
      [carrierCall("c", { startMs: TEN + 5 * MINUTE_MS }, { ids: { icid } })],
    );
    expect(matchedBy(results)).toEqual({ "p/c": MatchedBy.ICID });
  });

  test("join the answered leg of a call that was re-routed, though the failed one is nearer", () => {
    // As real programs wrote it: 503 and 200 share a Call-ID, and the carrier writes whole seconds.
    const at = (time: string) => Date.parse(`2026-11-29T18:02:${time}Z`);
    const dialogCallId = "1-30996-uac_answer@platform.example";
    const failed = platformCall(
      "leg-0",
      { startMs: at("27.253"), connectedMs: null },
      {
        ids: { dialogCallId, dialogFromTag: "30996plat1", dialogToTag: "30278pstn1" },
        endMs: at("27.304"),
      },
    );
    const answered = platformCall(
      "leg-1",
      { startMs: at("27.306"), ringMs: 3_179, connectedMs: 4_207 },
      { ids: { dialogCallId, dialogFromTag: "30996plat1", dialogToTag: "30270pstn2" } },
    );
    const carrier: CarrierFacts = {
      ...carrierCall("sbc2-17", { startMs: at("27.000") }, { ids: { dialogCallId }, resolutionMs: 1_000 }),
      answerMs: at("30.000"),
      endMs: at("34.000"),
      connectedMs: 4_200,
    };
    for (const platform of [
      [failed, answered],
      [answered, failed],
    ]) {
      expect(tellResults(match(platform, [carrier]), ({ status }) => status)).toEqual({
        "leg-0": DiscrepancyStatus.NOT_REPORTED,
        "leg-1/sbc2-17": DiscrepancyStatus.WITHIN_TOLERANCE,
      });
    }
  });
});

describe("row 2: a pair that fits in every figure", () => {
  test("outweighs the number of pairs", () => {
    const results = match(
      [at("p2", 20_000, 12_000), at("p3", 40_000, 31_000)],
      [atCarrier("c1", 0, 25_000), atCarrier("c2", 20_000, 12_000)],
    );
    expect(results.map(nameOf).sort()).toEqual(["c1", "p2/c2", "p3"]);
  });

  test("and shows its caller goes before one of a hidden caller, who might be anybody", () => {
    const inbound = { direction: 2 };
    const platform = [
      platformCall("hidden", { startMs: TEN + 550, connectedMs: 90_030 }, { ...inbound, calling: RESTRICTED }),
      platformCall("shown", { connectedMs: 90_000 }, { ...inbound, calling: CAROL }),
    ];
    const carrier = [
      carrierCall("c1", { startMs: TEN + 1_980, connectedMs: 90_030 }, { ...inbound, calling: ALICE }),
      carrierCall("c2", { startMs: TEN + 700, connectedMs: 90_000 }, { ...inbound, calling: CAROL }),
    ];
    expect(match(platform, carrier).map(nameOf).sort()).toEqual(["hidden/c1", "shown/c2"]);
  });

  test("is found first among five tries of a hunt group of which the last was answered", () => {
    const tries = [0, 8, 16, 24].map((seconds, index) => at(`p${index}`, seconds * SECOND_MS, null));
    const results = match([...tries, at("p4", 32_000, 61_000)], [atCarrier("c", 32_400, 61_000)]);
    expect(tellResults(results, ({ status }) => status)).toMatchObject({ "p4/c": DiscrepancyStatus.MATCHED_EXACT });
  });

  test("solves a crowd of hundreds in which each counterpart is a tenth of a second away", () => {
    const starts = Array.from({ length: 410 }, (_, index) => index * 25_000 + ((index * 7_919) % 9_000));
    const results = match(
      starts.map((startMs, index) => at(`p${index}`, startMs, 4_000 + (index % 3) * 1_500)),
      starts.map((startMs, index) => atCarrier(`c${index}`, startMs + 100, 4_000 + (index % 3) * 1_500)),
    );
    expect(results.map(nameOf).sort()).toEqual(starts.map((_, index) => `p${index}/c${index}`).sort());
    expect(new Set(results.map(({ status }) => status))).toEqual(new Set([DiscrepancyStatus.MATCHED_EXACT]));
  });

  test("rests on its own neighbours only: the span of one in a crowd is not the crowd's", () => {
    const starts = Array.from({ length: 300 }, (_, index) => index * 20_000);
    const results = match(
      starts.map((startMs, index) => at(`p${index}`, startMs)),
      starts.map((startMs, index) => atCarrier(`c${index}`, startMs + 100)),
    );
    const longest = Math.max(...results.map(({ span }) => span.lastMs - span.firstMs));
    expect(longest).toBeLessThanOrEqual(2_000);
  });

  test("is always found, however much noise is around it", () => {
    fc.assert(
      fc.property(plantedPairs(), ({ platform, carrier, planted }) => {
        const found = new Set(match(platform, carrier).map(nameOf));
        expect(planted.filter((name) => !found.has(name))).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });
});

describe("row 3: like answers and times", () => {
  test("goes before a length that only looks alike, and before the number of pairs", () => {
    // p1 is c1 with another length; p2 has no counterpart, and as long as c1.
    const results = match([at("p1", 0, 60_000), at("p2", 20_000, 75_000)], [atCarrier("c1", 300, 75_000)]);
    expect(results.map(nameOf).sort()).toEqual(["p1/c1", "p2"]);
  });

  test("of the invites are enough where a network on the way answered while it rang: no other call's length goes before", () => {
    const tryAgain = { startMs: TEN + 28_000, ringMs: 18_000, connectedMs: 18_100 };
    const platform = [platformCall("p0", { connectedMs: null }, { endMs: TEN + 22_800 }), platformCall("p1", tryAgain)];
    const carrier = [
      carrierCall("c0", { ringMs: 4_600, connectedMs: 18_300 }),
      carrierCall("c1", { startMs: TEN + 28_000, ringMs: 3_700, connectedMs: 33_200 }),
    ];
    expect(match(platform, carrier).map(nameOf).sort()).toEqual(["p0/c0", "p1/c1"]);
  });

  test("goes before a call of which one side says unanswered, though that is nearer", () => {
    const results = match([at("p1", 0, null), at("p2", 1_500, 30_000)], [atCarrier("c", 100, 38_000)]);
    expect(tellResults(results, ({ status }) => status)).toMatchObject({
      p1: DiscrepancyStatus.NOT_REPORTED,
      "p2/c": DiscrepancyStatus.DURATION_MISMATCH,
    });
  });
});

describe("row 4: like answers and lengths", () => {
  test("pair calls of a clock that is off, and the most of them", () => {
    const results = match(
      [at("p0", 0, 8_000), at("p1", 50_000, 8_000)],
      [atCarrier("c0", 45_000, 8_000), atCarrier("c1", 100_000, 8_000)],
    );
    expect(results.map(nameOf)).toEqual(["p0/c0", "p1/c1"]);
  });
});

describe("row 5: like times, and one side says unanswered", () => {
  const tries = [
    platformCall("p0", { connectedMs: null }, { endMs: TEN + 19_000 }),
    platformCall("p1", { startMs: TEN + 24_000, connectedMs: 16_300 }),
  ];

  test("goes before a length that is alike by chance", () => {
    const carrier = [
      carrierCall("c0", { ringMs: 4_000, connectedMs: 15_600 }),
      carrierCall("c1", { startMs: TEN + 24_000, connectedMs: null }),
    ];
    expect(match(tries, carrier).map(nameOf).sort()).toEqual(["p0/c0", "p1/c1"]);
  });

  test("does not go before the same length: a clock may be off by the time between two tries", () => {
    const carrier = [carrierCall("c1", { startMs: TEN + 1_000, connectedMs: 16_350 })];
    expect(match(tries, carrier).map(nameOf).sort()).toEqual(["p0", "p1/c1"]);
  });
});

describe("what is refused", () => {
  test.each([
    ["10 s and 40 min", 10_000, 40 * MINUTE_MS],
    ["40 min and 10 s", 40 * MINUTE_MS, 10_000],
    ["unanswered and answered", null, 30_000],
  ])("is a pair of %s that begins 20 s apart", (_, mine, others) => {
    const results = match([at("p", 0, mine)], [atCarrier("c", 20_000, others)]);
    expect(results.map(nameOf)).toEqual(["p", "c"]);
  });

  test("is not a pair that begins together, whatever its lengths: that is one call, and a mismatch", () => {
    const results = match([at("p", 0, 10_000)], [atCarrier("c", 500, 40 * MINUTE_MS)]);
    expect(results).toMatchObject([{ status: DiscrepancyStatus.DURATION_MISMATCH }]);
  });

  test("is a pair of two Call-IDs, and the explanation says so", () => {
    const platform = [platformCall("p", {}, { ids: { dialogCallId: "one@192.0.2.1" } })];
    const carrier = [carrierCall("c", { startMs: TEN + 100 }, { ids: { dialogCallId: "two@192.0.2.1" } })];
    expect(match(platform, carrier).map(nameOf)).toEqual(["p", "c"]);
    const target = { side: PLATFORM_SIDE, recordId: "p", recordDate: "2026-06-01" } as const;
    const refused = explainCall(matchingInput(platform, carrier), target)?.refused;
    expect(refused).toMatchObject([{ record: { recordId: "c" } }]);
    expect(refused?.[0]?.explanation).toContain("another Call-ID");
  });

  test("is a pair of two Session-IDs that agrees neither in its time nor in its length; networks on the way may replace ids", () => {
    const platform = [platformCall("p", { connectedMs: 5_000 }, { ids: { sessionId: `${LOCAL};${REMOTE}` } })];
    const other = { ids: { sessionId: `${"1".repeat(32)};${"2".repeat(32)}` } };
    const beside = [carrierCall("c", { startMs: TEN + 12_000, connectedMs: 5_900 }, other)];
    expect(match(platform, beside).map(nameOf)).toEqual(["p", "c"]);
    const target = { side: PLATFORM_SIDE, recordId: "p", recordDate: "2026-06-01" } as const;
    const refused = explainCall(matchingInput(platform, beside), target)?.refused;
    expect(refused?.[0]?.explanation).toContain("another ICID or Session-ID");
    const replaced = [
      carrierCall("c", { startMs: TEN + 900, connectedMs: 5_900 }, other),
      carrierCall("c", { startMs: TEN + 12_000, connectedMs: 5_060 }, other),
    ];
    for (const carrier of replaced) expect(match(platform, [carrier]).map(nameOf)).toEqual(["p/c"]);
  });

  test("is a copy of a paired record for the call beside it", () => {
    const results = match(
      [at("p1", 0, 30_000), at("p2", 20_000, 55_000)],
      [atCarrier("c1", 300, 30_000), atCarrier("copy", 900, 30_000)],
    );
    expect(tellResults(results, ({ status }) => status)).toEqual({
      "p1/c1": DiscrepancyStatus.MATCHED_EXACT,
      p2: DiscrepancyStatus.MISSING_AT_CARRIER,
      copy: DiscrepancyStatus.DUPLICATE_AT_CARRIER,
    });
  });

  test("is another hidden caller's, who dials the same number a second later and hangs up with the first", () => {
    const hidden = (recordId: string, startMs: number, connectedMs: number) =>
      platformCall(recordId, { startMs: TEN + startMs, connectedMs }, { direction: 2, calling: RESTRICTED });
    const shown = (recordId: string, startMs: number, connectedMs: number, calling: Party) =>
      carrierCall(recordId, { startMs: TEN + startMs, connectedMs }, { direction: 2, calling });
    const inbound = { ...AGREEMENT, scopeAt: () => ({ directions: [1, 2], unanswered: false, emergency: false }) };
    const results = match(
      [hidden("p1", 0, 90_000), hidden("p2", 1_300, 88_900), hidden("copy", 900, 88_900)],
      [shown("c1", 50, 90_000, ALICE), shown("c2", 2_700, 88_700, CAROL)],
      { agreement: inbound },
    );
    expect(tellResults(results, ({ status }) => status)).toEqual({
      "p1/c1": DiscrepancyStatus.MATCHED_EXACT,
      "p2/c2": DiscrepancyStatus.WITHIN_TOLERANCE,
      copy: DiscrepancyStatus.DUPLICATE_AT_PLATFORM,
    });
  });

  test("is a copy at the platform's side, of a pair that ids joined, for the carrier's record beside it", () => {
    const results = match(
      [platformCall("p1", { connectedMs: 30_000 }, { ids: IDS }), at("copy", 700, 30_000)],
      [carrierCall("c1", { connectedMs: 30_000 }, { ids: IDS }), atCarrier("c2", 40_000, 31_000)],
    );
    expect(tellResults(results, ({ status }) => status)).toEqual({
      "p1/c1": DiscrepancyStatus.MATCHED_EXACT,
      copy: DiscrepancyStatus.DUPLICATE_AT_PLATFORM,
      c2: DiscrepancyStatus.MISSING_AT_PLATFORM,
    });
  });
});

test("hundreds of records that begin together and last alike are AMBIGUOUS, for nothing tells them apart", () => {
  const starts = Array.from({ length: 101 }, (_, index) => index * 400);
  const results = match(
    starts.map((startMs, index) => at(`p${index}`, startMs)),
    starts.map((startMs, index) => atCarrier(`c${index}`, startMs + 200)),
  );
  expect(results).toHaveLength(202);
  expect(new Set(results.map(({ status }) => status))).toEqual(new Set([DiscrepancyStatus.AMBIGUOUS]));
});

describe("a call that the platform split", () => {
  const first = platformCall("p1", { connectedMs: 60_000 }, { ids: IDS });
  const second = platformCall("p2", { startMs: TEN + 65_000, ringMs: 0, connectedMs: 120_000 }, { ids: IDS });

  test("by a transfer on one dialog agrees with the carrier's one record, and its further part counts nowhere", () => {
    for (const platform of [
      [first, second],
      [second, first],
    ]) {
      const results = match(platform, [carrierCall("c", { connectedMs: 180_000 }, { ids: IDS })]);
      expect(tellResults(results, ({ status }) => status)).toEqual({
        "p1/c": DiscrepancyStatus.MATCHED_EXACT,
        p2: DiscrepancyStatus.PART_OF_CALL,
      });
      const [call, part] = results.toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
      expect(call?.platformMeasure?.connectedMs).toBe(180_000);
      expect(part?.duplicateOf).toMatchObject({ recordId: "p1" });
      expect(part?.span).toEqual(call?.span);
    }
  });

  test("agrees as well where the carrier split it too", () => {
    const carrier = [
      carrierCall("c1", { connectedMs: 60_000 }, { ids: IDS }),
      carrierCall("c2", { startMs: TEN + 65_000, ringMs: 0, connectedMs: 120_000 }, { ids: IDS }),
    ];
    const statuses = match([first, second], carrier).map(({ status }) => status);
    expect(statuses).toContain(DiscrepancyStatus.MATCHED_EXACT);
    expect(statuses).not.toContain(DiscrepancyStatus.DURATION_MISMATCH);
  });

  test("by a transfer in its last seconds is one call, though the carrier's length is nearer to the first record", () => {
    const first = platformCall("p1", { connectedMs: 60_000 }, { ids: IDS });
    const next = platformCall("p2", { startMs: TEN + 65_000, ringMs: 0, connectedMs: 2_600 }, { ids: IDS });
    const results = match([first, next], [carrierCall("c", { connectedMs: 61_200 }, { ids: IDS })]);
    expect(tellResults(results, ({ status }) => status)).toEqual({
      "p1/c": DiscrepancyStatus.WITHIN_TOLERANCE,
      p2: DiscrepancyStatus.PART_OF_CALL,
    });
  });

  test("is no split where the second record overlaps the first: that is a copy", () => {
    const copy = platformCall("p2", { startMs: TEN + 400, connectedMs: 60_000 }, { ids: IDS });
    const results = match([first, copy], [carrierCall("c", { connectedMs: 60_000 }, { ids: IDS })]);
    expect(results.map(({ status }) => status).sort()).toEqual([
      DiscrepancyStatus.MATCHED_EXACT,
      DiscrepancyStatus.DUPLICATE_AT_PLATFORM,
    ]);
  });

  test("explains its further part by the call that it is of", () => {
    const input = matchingInput([first, second], [carrierCall("c", { connectedMs: 180_000 }, { ids: IDS })]);
    const evidence = explainCall(input, { side: PLATFORM_SIDE, recordId: "p2", recordDate: "2026-06-01" });
    expect(evidence?.result).toMatchObject({ status: DiscrepancyStatus.PART_OF_CALL });
    expect(evidence?.steps.map(({ explanation }) => explanation).join(" ")).toContain(
      "later part of the call that began with p1 ",
    );
  });
});

describe("a copy outside the reporting scope", () => {
  test("counts once: it is a copy, and only its original is not reported", () => {
    const inbound = { direction: 2 };
    const results = match([at("p1", 0, 600_000, inbound), at("p2", 800, 600_000, inbound)], []);
    expect(tellResults(results, ({ status, duplicateOf }) => [status, duplicateOf?.recordId])).toEqual({
      p1: [DiscrepancyStatus.NOT_REPORTED, undefined],
      p2: [DiscrepancyStatus.DUPLICATE_AT_PLATFORM, "p1"],
    });
  });

  test("is found at once, also of a call that the carrier reported all the same", () => {
    const input = matchingInput(
      [at("p1", 0, 600_000, { direction: 2 }), at("p2", 800, 600_000, { direction: 2 })],
      [carrierCall("c", { connectedMs: 600_000 }, { direction: 2 })],
      { nowMs: TEN + HOUR_MS },
    );
    expect(tellResults(matchCalls(input), ({ status }) => status)).toEqual({
      "p1/c": DiscrepancyStatus.MATCHED_EXACT,
      p2: DiscrepancyStatus.DUPLICATE_AT_PLATFORM,
    });
  });

  test("is not what a second try is that rang for another time", () => {
    const results = match([at("p1", 0, null, { endMs: TEN + 500 }), at("p2", 1_500, null)], []);
    expect(results.map(({ status }) => status)).toEqual([
      DiscrepancyStatus.NOT_REPORTED,
      DiscrepancyStatus.NOT_REPORTED,
    ]);
  });
});

function match(
  platform: readonly PlatformFacts[],
  carrier: readonly CarrierFacts[],
  others: Partial<MatchingInput> = {},
): CallResult[] {
  return matchCalls(matchingInput(platform, carrier, { agreement: AGREEMENT, ...others }));
}

function at(recordId: string, afterMs: number, connectedMs: number | null = 8_000, facts: Partial<PlatformFacts> = {}) {
  return platformCall(recordId, { startMs: TEN + afterMs, connectedMs }, facts);
}

function atCarrier(recordId: string, afterMs: number, connectedMs: number | null = 8_000) {
  return carrierCall(recordId, { startMs: TEN + afterMs, connectedMs });
}

function matchedBy(results: readonly CallResult[]) {
  return tellResults(results, (result) => result.matchedBy);
}

interface Planted {
  readonly platform: PlatformFacts[];
  readonly carrier: CarrierFacts[];
  readonly planted: string[];
}

/**
 * Pairs that are equal to the millisecond, each of its own length, and records of the same parties
 * around them that are no copies of any: these begin over a second from each planted call, or last
 * otherwise.
 */
function plantedPairs(): fc.Arbitrary<Planted> {
  const call = fc.record({
    startMs: fc.integer({ min: 0, max: 240_000 }),
    ringMs: fc.constantFrom(2_000, 9_000),
    connectedMs: fc.integer({ min: 1_000, max: 90_000 }),
  });
  return fc
    .record({
      planted: fc.uniqueArray(call, { minLength: 1, maxLength: 8, comparator: isAlike }),
      platform: fc.array(call, { maxLength: 14 }),
      carrier: fc.array(call, { maxLength: 14 }),
      numbers: fc.constantFrom(BOB, CAROL),
    })
    .map(({ planted, platform, carrier, numbers }) => {
      const shape = { calling: ALICE, called: numbers };
      const moved = (each: Call) => ({ ...each, startMs: TEN + (each.startMs ?? 0) });
      const noise = (calls: readonly Call[]) => calls.filter((each) => !planted.some((other) => isAlike(each, other)));
      return {
        platform: [
          ...planted.map((each, index) => platformCall(`p${index}`, moved(each), shape)),
          ...noise(platform).map((each, index) => platformCall(`np${index}`, moved(each), shape)),
        ],
        carrier: [
          ...planted.map((each, index) => carrierCall(`c${index}`, moved(each), shape)),
          ...noise(carrier).map((each, index) => carrierCall(`nc${index}`, moved(each), shape)),
        ],
        planted: planted.map((_, index) => `p${index}/c${index}`),
      };
    });
}

function isAlike(a: Call, b: Call): boolean {
  const answer = ({ startMs = 0, ringMs = 0 }: Call) => startMs + ringMs;
  return Math.abs(answer(a) - answer(b)) <= 2_000 && Math.abs((a.connectedMs ?? 0) - (b.connectedMs ?? 0)) <= 2_000;
}

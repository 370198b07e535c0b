import { describe, expect, test } from "vitest";
import {
  AGREEMENT,
  ALICE,
  BOB,
  CAROL,
  carrierCall,
  DAY_MS,
  dialled,
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
import {
  ComparisonBasis,
  DiscrepancyCause,
  DiscrepancyStatus,
  MatchedBy,
  PendingReason,
} from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { CARRIER_SIDE, PLATFORM_SIDE } from "../record-kind.ts";
import type { CarrierFacts, ClockOffset, MatchingInput, PlatformFacts } from "./facts.ts";
import { matchCalls } from "./match-calls.ts";
import type { CallResult } from "./result.ts";

describe("numbers and time", () => {
  test("tell apart the calls of a pair that calls each other many times within minutes", () => {
    const starts = [0, 20, 45, 70, 110, 140, 200, 215].map((seconds) => TEN + seconds * SECOND_MS);
    const calls = starts.map((startMs, index) => ({ startMs, ringMs: 3_000, connectedMs: 5_000 + index * 1_000 }));
    const results = match(
      calls.map((call, index) => platformCall(`p${index}`, call)),
      calls.map((call, index) => carrierCall(`c${index}`, { ...call, startMs: call.startMs + 700 })),
    );
    expect(tellResults(results, ({ status }) => status)).toEqual(
      Object.fromEntries(calls.map((_, index) => [`p${index}/c${index}`, DiscrepancyStatus.MATCHED_EXACT])),
    );
  });

  test("pair the most calls first, even if one of them could have been nearer", () => {
    const results = match(
      [at("p0", TEN), at("p1", TEN + 50_000)],
      [atCarrier("c0", TEN + 45_000), atCarrier("c1", TEN + 100_000)],
    );
    expect(results.map(nameOf)).toEqual(["p0/c0", "p1/c1"]);
  });

  test("pair by the durations where the times are equal", () => {
    const results = match(
      [platformCall("p0", { connectedMs: 10_000 }), platformCall("p1", { connectedMs: 60_000 })],
      [carrierCall("c0", { connectedMs: 60_000 }), carrierCall("c1", { connectedMs: 10_000 })],
    );
    expect(results.map(nameOf)).toEqual(["p0/c1", "p1/c0"]);
  });

  test("match a call over midnight, whose records have other dates", () => {
    const midnight = Date.UTC(2026, 5, 2);
    const results = match([at("p", midnight - 400)], [atCarrier("c", midnight + 300)]);
    expect(results.map((result) => [nameOf(result), result.status])).toEqual([
      ["p/c", DiscrepancyStatus.MATCHED_EXACT],
    ]);
    expect(results[0]?.carrier[0]?.recordDate).toBe("2026-06-02");
  });

  test.each([
    ["in spring, when the hour from 02:00 does not exist", Date.UTC(2026, 2, 29, 1)],
    ["in autumn, when the hour from 02:00 comes twice", Date.UTC(2026, 9, 25, 1)],
  ])("match calls over the change of daylight saving time %s", (_, change) => {
    const starts = [-90, -59, -1, 0, 1, 59].map((minutes) => change + minutes * MINUTE_MS);
    const results = match(
      starts.map((startMs, index) => at(`p${index}`, startMs, 30 * MINUTE_MS)),
      starts.map((startMs, index) => atCarrier(`c${index}`, startMs + 900, 30 * MINUTE_MS)),
    );
    expect(results.map(({ status }) => status)).toEqual(starts.map(() => DiscrepancyStatus.MATCHED_EXACT));
    expect(results.map(nameOf)).toEqual(starts.map((__, index) => `p${index}/c${index}`));
  });

  test.each([
    [59_900, 1, true],
    [60_000, 1, true],
    [60_001, 1, false],
    [-60_000, 1, true],
    [-60_001, 1, false],
    [60_999, 1_000, true],
    [61_000, 1_000, false],
  ])("take an answer %d ms off, told to %d ms, as the same call: %s", (offMs, resolutionMs, isSame) => {
    const carrier = carrierCall("c", { startMs: TEN + offMs }, { resolutionMs });
    const results = match([platformCall("p")], [carrier]);
    expect(results.map(nameOf)).toEqual(isSame ? ["p/c"] : ["p", "c"]);
  });

  test("compare answers with answers however long it rang on either side", () => {
    const early = carrierCall("c", { startMs: TEN - 3 * MINUTE_MS, ringMs: 3 * MINUTE_MS + 5_000 });
    expect(match([platformCall("p")], [early]).map(nameOf)).toEqual(["p/c"]);
  });

  test("compare an unanswered call by its invite, and with what there is when neither time is alike", () => {
    const unanswered = platformCall("p", { connectedMs: null });
    expect(match([unanswered], [carrierCall("c")]).map(({ status }) => status)).toEqual([
      DiscrepancyStatus.ANSWER_STATE_MISMATCH,
    ]);
    const { inviteMs: _, ...answerOnly } = carrierCall("c");
    expect(match([unanswered], [answerOnly]).map(nameOf)).toEqual(["p/c"]);
  });

  test("match a forwarded call of which only the redirecting number is the same", () => {
    const platform = platformCall("p", {}, { calling: CAROL, redirecting: ALICE });
    expect(match([platform], [carrierCall("c", {}, { calling: ALICE })]).map(nameOf)).toEqual(["p/c"]);
    expect(match([platform], [carrierCall("c", {}, { calling: e164("+4532999999") })]).map(nameOf)).toEqual(["p", "c"]);
  });

  test("match a restricted caller by the number called, on either side or on both", () => {
    const hidden = [
      platformCall("p", {}, { calling: RESTRICTED }),
      carrierCall("c", {}, { calling: RESTRICTED }),
    ] as const;
    expect(match([hidden[0]], [carrierCall("c")]).map(nameOf)).toEqual(["p/c"]);
    expect(match([platformCall("p")], [hidden[1]]).map(nameOf)).toEqual(["p/c"]);
    expect(match([hidden[0]], [hidden[1]]).map(nameOf)).toEqual(["p/c"]);
    const elsewhere = carrierCall("c", {}, { calling: RESTRICTED, called: CAROL });
    expect(match([platformCall("p")], [elsewhere]).map(nameOf)).toEqual(["p", "c"]);
  });

  test("do not match calls of opposite directions", () => {
    const inbound = carrierCall("c", {}, { direction: 2 });
    expect(match([platformCall("p")], [inbound]).map(({ status }) => status)).toEqual([
      DiscrepancyStatus.MISSING_AT_CARRIER,
      DiscrepancyStatus.NOT_REPORTED,
    ]);
  });

  test("leave more than 200 records that could pair with each other AMBIGUOUS, and pair 200 exactly", () => {
    const many = (count: number) => ({
      platform: Array.from({ length: count }, (_, index) => at(`p${index}`, TEN + index * 700)),
      carrier: Array.from({ length: count }, (_, index) => atCarrier(`c${index}`, TEN + index * 700 + 300)),
    });
    const hundred = many(100);
    const paired = match(hundred.platform, hundred.carrier);
    expect(paired.map(nameOf)).toEqual(hundred.platform.map((_, index) => `p${index}/c${index}`));
    const more = many(101);
    const ambiguous = match(more.platform, more.carrier);
    expect(ambiguous).toHaveLength(202);
    expect(new Set(ambiguous.map(({ status }) => status))).toEqual(new Set([DiscrepancyStatus.AMBIGUOUS]));
    expect(new Set(ambiguous.map(({ candidateCount }) => candidateCount))).toEqual(new Set([201]));
  });
});

describe("correlation", () => {
  const ids = { dialogCallId: "a84b4c76e66710@pc33", dialogFromTag: "1928301774", dialogToTag: "a6c85cf" };

  test("goes before numbers and time, and finds a pair up to 24 h apart", () => {
    const results = match(
      [platformCall("p", {}, { ids })],
      [carrierCall("near"), carrierCall("far", { startMs: TEN + DAY_MS }, { ids })],
    );
    expect(matchedBy(results)).toMatchObject({ "p/far": MatchedBy.INTERCONNECT_DIALOG });
  });

  test.each([
    [
      "numbers that contradict, where the tags are not known",
      carrierCall("c", {}, { ids: { dialogCallId: ids.dialogCallId }, called: CAROL }),
    ],
    ["starts more than 24 h apart", carrierCall("c", { startMs: TEN + DAY_MS + 1 }, { ids })],
    ["other tags on both sides", carrierCall("c", { startMs: TEN + HOUR_MS }, { ids: { ...ids, dialogToTag: "b7" } })],
    ["the other direction", carrierCall("c", {}, { ids, direction: 2 })],
  ])("is refused with %s", (_, carrier) => {
    expect(match([platformCall("p", {}, { ids })], [carrier]).map(nameOf)).toEqual(["p", "c"]);
  });

  test("takes a dialog whose tags one side does not know, or wrote from its own end", () => {
    const { dialogToTag: _, ...withoutTag } = ids;
    const turned = { ...ids, dialogFromTag: ids.dialogToTag, dialogToTag: ids.dialogFromTag };
    for (const others of [withoutTag, turned]) {
      const carrier = carrierCall("c", { startMs: TEN + HOUR_MS }, { ids: others });
      expect(match([platformCall("p", {}, { ids })], [carrier]).map(nameOf)).toEqual(["p/c"]);
    }
  });

  test("keeps the copy of a dialog from going with another call that is near", () => {
    const near = { startMs: TEN + 20_000 };
    const results = match(
      [platformCall("p", {}, { ids }), platformCall("other", near)],
      [carrierCall("c", {}, { ids }), carrierCall("copy", { startMs: TEN + 100 }, { ids })],
    );
    expect(tellResults(results, ({ status }) => status)).toEqual({
      "p/c": DiscrepancyStatus.MATCHED_EXACT,
      other: DiscrepancyStatus.MISSING_AT_CARRIER,
      copy: DiscrepancyStatus.DUPLICATE_AT_CARRIER,
    });
  });

  test("names the first kind that holds", () => {
    const all = { ...ids, icid: "icid-1", sessionId: "session-1" };
    const by = (others: CarrierFacts["ids"]) =>
      match([platformCall("p", {}, { ids: all })], [carrierCall("c", {}, { ids: others })])[0]?.matchedBy;
    expect(by(all)).toBe(MatchedBy.INTERCONNECT_DIALOG);
    expect(by({ icid: "icid-1", sessionId: "session-1" })).toBe(MatchedBy.ICID);
    expect(by({ sessionId: "session-1" })).toBe(MatchedBy.SESSION_ID);
    expect(by({})).toBe(MatchedBy.NUMBERS_AND_TIME);
  });

  test("counts an echoed id only where nothing else speaks for the pair", () => {
    const echoing = (startMs: number) => carrierCall("c", { startMs }, { echoedRecordId: "p" });
    expect(match([platformCall("p")], [echoing(TEN)])[0]?.matchedBy).toBe(MatchedBy.NUMBERS_AND_TIME);
    expect(match([platformCall("p")], [echoing(TEN + HOUR_MS)])[0]?.matchedBy).toBe(MatchedBy.ECHOED);
    const contradicting = { ...echoing(TEN + HOUR_MS), called: CAROL };
    expect(match([platformCall("p")], [contradicting]).map(nameOf)).toEqual(["p", "c"]);
    expect(match([platformCall("p")], [echoing(TEN + DAY_MS + 1)]).map(nameOf)).toEqual(["p", "c"]);
  });

  test("does not trust an id that hundreds of records share", () => {
    const calls = Array.from({ length: 150 }, (_, index) => ({ startMs: TEN + index * 5 * MINUTE_MS }));
    const results = match(
      calls.map((call, index) => platformCall(`p${index}`, call, { ids: { icid: "0" } })),
      calls.map((call, index) => carrierCall(`c${index}`, call, { ids: { icid: "0" } })),
    );
    expect(new Set(results.map((result) => result.matchedBy))).toEqual(new Set([MatchedBy.NUMBERS_AND_TIME]));
  });
});

describe("a clock offset", () => {
  const zone = (offsetMs: number): ClockOffset => ({ offsetMs, kind: "ZONE_SHIFT", pairCount: 40, ratio: 0.95 });

  test("of one hour on one trunk is taken off, and named on every pair of that trunk and hour", () => {
    const isShifted = ({ trunkId, inviteMs = 0 }: CarrierFacts) =>
      trunkId === "trunk-2" && inviteMs >= TEN + HOUR_MS && inviteMs < TEN + 3 * HOUR_MS;
    const starts = [0, 30, 60, 90, 200].map((minutes) => TEN + minutes * MINUTE_MS);
    const platform = starts.flatMap((startMs, index) => [
      platformCall(`a${index}`, { startMs }, { trunkId: "trunk-1" }),
      platformCall(`b${index}`, { startMs }, { trunkId: "trunk-2", called: CAROL }),
    ]);
    const carrier = starts.flatMap((startMs, index) => [
      carrierCall(`a${index}`, { startMs }, { trunkId: "trunk-1" }),
      carrierCall(
        `b${index}`,
        { startMs: index < 4 ? startMs + HOUR_MS : startMs },
        { trunkId: "trunk-2", called: CAROL },
      ),
    ]);
    const results = matchCalls(
      matchingInput(platform, carrier, { offsetOf: (record) => (isShifted(record) ? zone(HOUR_MS) : undefined) }),
    );
    expect(results.every(({ status }) => status === DiscrepancyStatus.MATCHED_EXACT)).toBe(true);
    const shifted = results.filter(({ findings }) => findings.length > 0);
    expect(shifted.map(nameOf).sort()).toEqual(["b0/b0", "b1/b1", "b2/b2", "b3/b3"]);
    expect(shifted[0]?.findings).toEqual([
      {
        cause: DiscrepancyCause.ZONE_SHIFT,
        suspectedSide: CARRIER_SIDE,
        offsetMs: HOUR_MS,
        pairCount: 40,
        ratio: 0.95,
      },
    ]);
    expect(shifted[0]?.offsetVoteMs).toBe(HOUR_MS);
  });

  test("of +5:30 is taken off, and the figures stay as they were reported", () => {
    const offsetMs = 5.5 * HOUR_MS;
    const [result] = matchCalls(
      matchingInput([platformCall("p")], [carrierCall("c", { startMs: TEN + offsetMs })], {
        offsetOf: () => zone(offsetMs),
      }),
    );
    expect(result).toMatchObject({ status: DiscrepancyStatus.MATCHED_EXACT, appliedOffsetMs: offsetMs, startMs: TEN });
    expect(result?.carrierMeasure?.inviteMs).toBe(TEN + offsetMs);
  });

  test("that only part of an hour's calls have is taken off those, whose copies are found all the same", () => {
    const set: ClockOffset = { offsetMs: 0, kind: "NONE", pairCount: 30, ratio: 1, second: zone(HOUR_MS) };
    const platform = [at("p0", TEN), at("p1", TEN + HOUR_MS + 5 * MINUTE_MS)];
    const carrier = [
      atCarrier("c0", TEN + HOUR_MS),
      atCarrier("copy", TEN + HOUR_MS + 500),
      atCarrier("c1", TEN + HOUR_MS + 5 * MINUTE_MS),
    ];
    const results = matchCalls(matchingInput(platform, carrier, { offsetOf: () => set }));
    expect(tellResults(results, ({ status, findings }) => [status, findings.length])).toEqual({
      "p0/c0": [DiscrepancyStatus.MATCHED_EXACT, 1],
      "p1/c1": [DiscrepancyStatus.MATCHED_EXACT, 0],
      copy: [DiscrepancyStatus.DUPLICATE_AT_CARRIER, 0],
    });
  });

  test("that was judged and not found is told as 0, and names no cause", () => {
    const none: ClockOffset = { offsetMs: 0, kind: "NONE", pairCount: 30, ratio: 1 };
    const [result] = matchCalls(matchingInput([platformCall("p")], [carrierCall("c")], { offsetOf: () => none }));
    expect(result).toMatchObject({ appliedOffsetMs: 0, findings: [] });
  });

  test("is voted on by pairs without rivals only", () => {
    const results = match(
      [at("p0", TEN), at("p1", TEN + 30_000), at("p2", TEN + HOUR_MS)],
      [atCarrier("c0", TEN + 500), atCarrier("c1", TEN + 30_500), atCarrier("c2", TEN + HOUR_MS + 500)],
    );
    expect(tellResults(results, ({ offsetVoteMs }) => offsetVoteMs)).toEqual({
      "p0/c0": undefined,
      "p1/c1": undefined,
      "p2/c2": 500,
    });
  });
});

describe("durations", () => {
  test.each([
    [100_000, DiscrepancyStatus.MATCHED_EXACT],
    [102_000, DiscrepancyStatus.WITHIN_TOLERANCE],
    [98_000, DiscrepancyStatus.WITHIN_TOLERANCE],
    [102_001, DiscrepancyStatus.DURATION_MISMATCH],
    [97_999, DiscrepancyStatus.DURATION_MISMATCH],
  ])("of 100,000 and %d ms come to status %d", (connectedMs, status) => {
    const [result] = match([platformCall("p")], [carrierCall("c", { connectedMs })]);
    expect(result).toMatchObject({ status, basis: ComparisonBasis.CONNECTED_DURATION, toleranceMs: 2_000 });
  });

  test("are not compared when neither side was answered", () => {
    const call = { connectedMs: null };
    expect(match([platformCall("p", call)], [carrierCall("c", call)])[0]).toMatchObject({
      status: DiscrepancyStatus.MATCHED_UNANSWERED,
      basis: ComparisonBasis.UNSPECIFIED,
    });
  });

  test.each([
    // 100 s are two increments of 60 s; the tolerance of 2 s crosses no boundary.
    [100_000, 120, DiscrepancyStatus.MATCHED_EXACT],
    [100_000, 60, DiscrepancyStatus.DURATION_MISMATCH],
    [100_000, 180, DiscrepancyStatus.DURATION_MISMATCH],
    // 119 s and 2 s more are three increments, 121 s and 2 s less are two.
    [119_000, 120, DiscrepancyStatus.MATCHED_EXACT],
    [119_000, 180, DiscrepancyStatus.WITHIN_TOLERANCE],
    [121_000, 120, DiscrepancyStatus.WITHIN_TOLERANCE],
    [122_000, 120, DiscrepancyStatus.WITHIN_TOLERANCE],
    [122_001, 120, DiscrepancyStatus.DURATION_MISMATCH],
    [118_000, 180, DiscrepancyStatus.DURATION_MISMATCH],
    [118_001, 180, DiscrepancyStatus.WITHIN_TOLERANCE],
  ])("of a carrier that has billed seconds only: %d ms and %d s come to status %d", (connectedMs, billedS, status) => {
    const { connectedMs: _, endMs: __, ...billed } = carrierCall("c", { connectedMs }, { billedS });
    const agreement = { ...AGREEMENT, roundingRule: { incrementS: 60, minimumS: 0 } };
    const [result] = matchCalls(matchingInput([platformCall("p", { connectedMs })], [billed], { agreement }));
    expect(result).toMatchObject({
      status,
      basis: ComparisonBasis.BILLED_DURATION,
      billedRule: { incrementS: 60, minimumS: 0 },
    });
    expect(result?.carrierMeasure?.connectedMs).toBeUndefined();
  });

  test("that one answered side does not have agree with nothing", () => {
    const { connectedMs: _, endMs: __, ...unknown } = carrierCall("c");
    expect(match([platformCall("p")], [unknown])[0]).toMatchObject({
      status: DiscrepancyStatus.DURATION_MISMATCH,
      basis: ComparisonBasis.UNSPECIFIED,
      findings: [{ cause: DiscrepancyCause.UNKNOWN }],
    });
  });
});

describe("a cause", () => {
  test("is a stuck call for 43,200 s at one side, and says which", () => {
    const [carrier] = match([platformCall("p")], [carrierCall("c", { connectedMs: 43_200_500 })]);
    expect(carrier).toMatchObject({
      status: DiscrepancyStatus.DURATION_MISMATCH,
      findings: [
        {
          cause: DiscrepancyCause.STUCK_CALL,
          suspectedSide: CARRIER_SIDE,
          timerMs: 43_200_000,
          explainedDeltaMs: 43_100_500,
        },
      ],
    });
    const [platform] = match(
      [platformCall("p", { connectedMs: 10_800_000 })],
      [carrierCall("c", { connectedMs: 5_400_000 })],
    );
    expect(platform?.findings).toMatchObject([{ cause: DiscrepancyCause.STUCK_CALL, suspectedSide: PLATFORM_SIDE }]);
  });

  test("is a stuck call for a timer's length with the ring time before it, of either side's ringing", () => {
    const timerMs = 43_200_000;
    const ringing = { ringMs: 9_000, connectedMs: 43_208_570 };
    const [result] = match([platformCall("p", { ringMs: 9_000 })], [carrierCall("c", ringing)]);
    expect(result).toMatchObject({
      status: DiscrepancyStatus.DURATION_MISMATCH,
      findings: [
        { cause: DiscrepancyCause.STUCK_CALL, suspectedSide: CARRIER_SIDE, timerMs, explainedDeltaMs: 43_108_570 },
      ],
    });
    const [unexplained] = match([platformCall("p")], [carrierCall("c", { connectedMs: 43_208_570 })]);
    expect(unexplained?.findings).toEqual([{ cause: DiscrepancyCause.UNKNOWN }]);
  });

  test("is a zone shift and a skew at once, each with its part of the offset", () => {
    const offset: ClockOffset = { offsetMs: HOUR_MS + 95_000, kind: "ZONE_SHIFT", pairCount: 30, ratio: 1 };
    const [result] = matchCalls(
      matchingInput([platformCall("p")], [carrierCall("c", { startMs: TEN + HOUR_MS + 95_000 })], {
        offsetOf: () => offset,
      }),
    );
    expect(result).toMatchObject({
      status: DiscrepancyStatus.MATCHED_EXACT,
      appliedOffsetMs: HOUR_MS + 95_000,
      findings: [
        { cause: DiscrepancyCause.ZONE_SHIFT, suspectedSide: CARRIER_SIDE, offsetMs: HOUR_MS },
        { cause: DiscrepancyCause.CLOCK_SKEW, offsetMs: 95_000 },
      ],
    });
  });

  test("is the nearer one of an hour's two offsets, where both lie within the window", () => {
    const skew: ClockOffset = { offsetMs: 20_000, kind: "CLOCK_SKEW", pairCount: 30, ratio: 1 };
    const set: ClockOffset = { offsetMs: 0, kind: "NONE", pairCount: 30, ratio: 1, second: skew };
    const platform = [at("p0", TEN), at("p1", TEN + 10 * MINUTE_MS)];
    const carrier = [atCarrier("c0", TEN + 20_400), atCarrier("c1", TEN + 10 * MINUTE_MS + 400)];
    const results = matchCalls(matchingInput(platform, carrier, { offsetOf: () => set }));
    expect(tellResults(results, ({ findings }) => findings.map(({ cause }) => cause))).toEqual({
      "p0/c0": [DiscrepancyCause.CLOCK_SKEW],
      "p1/c1": [],
    });
  });

  test("is no stuck call for a genuine conference of three hours, nor when the other side has more than half", () => {
    const hours = { connectedMs: 10_800_000 };
    expect(match([platformCall("p", hours)], [carrierCall("c", hours)])[0]).toMatchObject({
      status: DiscrepancyStatus.MATCHED_EXACT,
      findings: [],
    });
    const [longer] = match([platformCall("p", { connectedMs: 5_400_001 })], [carrierCall("c", hours)]);
    expect(longer?.findings).toEqual([{ cause: DiscrepancyCause.UNKNOWN }]);
  });

  test("is ring time included when the carrier counts from the invite or from the ringing", () => {
    const call = { ringMs: 20_000, connectedMs: 100_000 };
    for (const [countedMs, explainedDeltaMs] of [
      [120_400, 20_000],
      [118_500, 19_000],
    ] as const) {
      const carrier = { ...carrierCall("c", call), connectedMs: countedMs };
      expect(match([platformCall("p", call)], [carrier])[0]?.findings).toEqual([
        { cause: DiscrepancyCause.RING_TIME_INCLUDED, suspectedSide: CARRIER_SIDE, explainedDeltaMs },
      ]);
    }
  });

  test("is no ring time where the carrier's own answer and end make its duration", () => {
    const call = { ringMs: 20_000, connectedMs: 100_000 };
    const causesOf = (carrier: CarrierFacts) =>
      match([platformCall("p", call)], [carrier])[0]?.findings.map(({ cause }) => cause);
    // It answered with the platform, and ended 20 s later.
    expect(causesOf(carrierCall("c", { ringMs: 20_800, connectedMs: 119_600 }))).toEqual([DiscrepancyCause.UNKNOWN]);
    // It took the ringing for the answer.
    expect(causesOf(carrierCall("c", { ringMs: 1_000, connectedMs: 119_000 }))).toEqual([
      DiscrepancyCause.RING_TIME_INCLUDED,
    ]);
  });

  test("is rounding when the stated rule makes the difference, and not when another length came out of it", () => {
    const roundingRule = { incrementS: 60, minimumS: 0 };
    const rounded = carrierCall("c", {}, { connectedMs: 120_000, roundingRule });
    expect(match([platformCall("p")], [rounded])[0]?.findings).toEqual([
      {
        cause: DiscrepancyCause.ROUNDING,
        suspectedSide: CARRIER_SIDE,
        explainedDeltaMs: 20_000,
        roundingRule,
        ruleInferred: false,
      },
    ]);
    const other = carrierCall("c", {}, { connectedMs: 130_000, roundingRule });
    expect(match([platformCall("p")], [other])[0]?.findings).toEqual([{ cause: DiscrepancyCause.UNKNOWN }]);
  });

  test("is rounding on a pair that agrees only where the trunk and day show it", () => {
    const known = { rule: { incrementS: 6, minimumS: 0 }, isInferred: true, pairCount: 50, ratio: 0.98 };
    const pair = [[platformCall("p", { connectedMs: 101_000 })], [carrierCall("c", { connectedMs: 102_000 })]] as const;
    expect(match(...pair)[0]).toMatchObject({ status: DiscrepancyStatus.WITHIN_TOLERANCE, findings: [] });
    const [inferred] = matchCalls(matchingInput(...pair, { roundingOf: () => known }));
    expect(inferred?.findings).toMatchObject([
      { cause: DiscrepancyCause.ROUNDING, ruleInferred: true, pairCount: 50, ratio: 0.98 },
    ]);
  });

  test("is lateness when a side arrived after the grace of the other, and stands on a pair that agrees", () => {
    const graceEndMs = platformCall("p").ingestMs + DAY_MS;
    const inTime = match([platformCall("p")], [carrierCall("c", {}, { ingestMs: graceEndMs })]);
    expect(inTime[0]?.findings).toEqual([]);
    const late = match([platformCall("p")], [carrierCall("c", {}, { ingestMs: graceEndMs + 1 })]);
    expect(late[0]).toMatchObject({
      status: DiscrepancyStatus.MATCHED_EXACT,
      graceEndMs,
      findings: [{ cause: DiscrepancyCause.LATE, suspectedSide: CARRIER_SIDE, lateByMs: 1 }],
    });
    const corrected = { ingestMs: graceEndMs + DAY_MS, firstIngestMs: graceEndMs, revision: 2 };
    expect(match([platformCall("p")], [carrierCall("c", {}, corrected)])[0]?.findings).toEqual([]);
  });

  test("is told with every other that holds, in their order", () => {
    const offset: ClockOffset = { offsetMs: 20_000, kind: "CLOCK_SKEW", pairCount: 30, ratio: 0.9 };
    const ingestMs = TEN + 3 * DAY_MS;
    const carrier = carrierCall("c", { startMs: TEN + 20_000, connectedMs: 43_200_000 }, { ingestMs });
    const [result] = matchCalls(matchingInput([platformCall("p")], [carrier], { offsetOf: () => offset }));
    expect(causesOf(result)).toEqual([DiscrepancyCause.CLOCK_SKEW, DiscrepancyCause.STUCK_CALL, DiscrepancyCause.LATE]);
  });
});

describe("a split call", () => {
  const midnight = Date.UTC(2026, 5, 2);
  const long = { startMs: midnight - 30 * MINUTE_MS - 5_000, connectedMs: 50 * MINUTE_MS };
  const parts = [
    { startMs: long.startMs, connectedMs: 30 * MINUTE_MS },
    { startMs: midnight, ringMs: 0, connectedMs: 20 * MINUTE_MS },
  ] as const;

  test("whose numbered parts are all there is one call, cut at midnight and in any order", () => {
    const carrier = parts.map((part, index) =>
      carrierCall(`c${index}`, part, { part: { index: index + 1, count: 2, isLast: index === 1 } }),
    );
    expect(match([platformCall("p", long)], carrier.toReversed())).toMatchObject([
      { status: DiscrepancyStatus.MATCHED_EXACT, findings: [], carrier: [{ recordId: "c0" }, { recordId: "c1" }] },
    ]);
  });

  test.each([
    ["the last", 0, -20 * MINUTE_MS],
    ["the first", 1, -30 * MINUTE_MS],
  ] as const)(
    "that lacks %s of its parts waits for it, and then disagrees because of the split",
    (_, index, deltaMs) => {
      const carrier = carrierCall("c", parts[index], { part: { index: index + 1, count: 2, isLast: index === 1 } });
      const input = matchingInput([platformCall("p", long)], [carrier]);
      const graceEndMs = carrier.ingestMs + DAY_MS;
      expect(matchCalls({ ...input, nowMs: graceEndMs - 1 })).toMatchObject([
        { status: DiscrepancyStatus.PENDING, pendingReason: PendingReason.MISSING_PART, graceEndMs },
      ]);
      expect(matchCalls({ ...input, nowMs: graceEndMs })).toMatchObject([
        {
          status: DiscrepancyStatus.DURATION_MISMATCH,
          findings: [{ cause: DiscrepancyCause.SPLIT, suspectedSide: CARRIER_SIDE, explainedDeltaMs: deltaMs }],
        },
      ]);
    },
  );

  test("that lacks a part in the middle is put together around it", () => {
    const thirds = [0, 1, 2].map((index) =>
      carrierCall(
        `c${index}`,
        { startMs: TEN + index * HOUR_MS, ringMs: 0, connectedMs: HOUR_MS },
        { part: { index: index + 1, isLast: index === 2 } },
      ),
    );
    const platform = platformCall("p", { startMs: TEN - 5_000, connectedMs: 3 * HOUR_MS });
    expect(match([platform], thirds)[0]).toMatchObject({ status: DiscrepancyStatus.MATCHED_EXACT });
    const [result] = match([platform], thirds.toSpliced(1, 1));
    expect(nameOf(result as CallResult)).toBe("p/c0+c2");
    expect(result).toMatchObject({ status: DiscrepancyStatus.DURATION_MISMATCH });
    expect(causesOf(result)).toEqual([DiscrepancyCause.SPLIT]);
  });

  test("without numbers is put together when it is of one dialog, or when the whole fits better than a part", () => {
    const ids = { dialogCallId: "d1" };
    const sameDialog = parts.map((part, index) => carrierCall(`c${index}`, part, { ids }));
    expect(match([platformCall("p", long)], sameDialog).map(nameOf)).toEqual(["p/c0+c1"]);
    const plain = parts.map((part, index) => carrierCall(`c${index}`, part));
    expect(match([platformCall("p", long)], plain)).toMatchObject([{ status: DiscrepancyStatus.MATCHED_EXACT }]);
    const shorter = platformCall("p", { ...long, connectedMs: 31 * MINUTE_MS });
    expect(match([shorter], plain).map(nameOf)).toEqual(["p/c0", "c1"]);
  });

  test.each([0, 1, 2, 3])("in four parts without numbers that lacks part %i is put together of the others", (lost) => {
    const fourths = [0, 1, 2, 3].map((index) => {
      const startMs = TEN + 5_000 + index * 10 * MINUTE_MS;
      return carrierCall(`c${index}`, { startMs, ringMs: 0, connectedMs: 10 * MINUTE_MS });
    });
    const platform = platformCall("p", { startMs: TEN, connectedMs: 40 * MINUTE_MS });
    const left = fourths.toSpliced(lost, 1);
    const [result, ...others] = match([platform], left.toReversed());
    expect(others).toEqual([]);
    expect(nameOf(result as CallResult)).toBe(`p/${left.map(({ recordId }) => recordId).join("+")}`);
    expect(result).toMatchObject({ status: DiscrepancyStatus.DURATION_MISMATCH });
    expect(causesOf(result)).toEqual([DiscrepancyCause.SPLIT]);
  });

  test("does not take what ends elsewhere, has another Call-ID, or begins as the call does", () => {
    const platform = platformCall("p", { connectedMs: 40 * MINUTE_MS }, { ids: { dialogCallId: "d1" } });
    const last = { startMs: TEN + 20 * MINUTE_MS, ringMs: 5_000, connectedMs: 20 * MINUTE_MS };
    const endsAs = (startMs: number, facts = {}) => match([platform], [carrierCall("c", { ...last, startMs }, facts)]);
    expect(endsAs(last.startMs).map(nameOf)).toEqual(["p/c"]);
    expect(endsAs(last.startMs - 6_000).map(nameOf)).toEqual(["p", "c"]);
    expect(endsAs(last.startMs, { ids: { dialogCallId: "d2" } }).map(nameOf)).toEqual(["p", "c"]);
    const early = carrierCall("c", { startMs: TEN + 30_000, connectedMs: 40 * MINUTE_MS - 30_000 });
    expect(match([platformCall("p", { connectedMs: 40 * MINUTE_MS })], [early]).map(nameOf)).toEqual(["p", "c"]);
  });

  test("is not made of records that overlap", () => {
    const second = { startMs: long.startMs + 10 * MINUTE_MS, connectedMs: 20 * MINUTE_MS };
    const results = match([platformCall("p", long)], [carrierCall("c0", parts[0]), carrierCall("c1", second)]);
    expect(results.map(nameOf)).toEqual(["p/c0", "c1"]);
  });
});

describe("a record that is left over", () => {
  test("is the copy that a failover wrote under another id", () => {
    const twin = platformCall("p2", { startMs: TEN + 1_500, connectedMs: 98_500 });
    const results = match([platformCall("p1"), twin], [carrierCall("c")]);
    expect(results).toMatchObject([
      { platform: { recordId: "p1" }, status: DiscrepancyStatus.MATCHED_EXACT },
      {
        platform: { recordId: "p2" },
        status: DiscrepancyStatus.DUPLICATE_AT_PLATFORM,
        duplicateOf: { recordId: "p1", revision: 1 },
      },
    ]);
    const apart = platformCall("p2", { startMs: TEN + 2_001 });
    expect(match([platformCall("p1"), apart], [carrierCall("c")]).map(({ status }) => status)).toContain(
      DiscrepancyStatus.MISSING_AT_CARRIER,
    );
  });

  test("is a copy by its dialog, however long it lasted", () => {
    const ids = { dialogCallId: "d1" };
    const carrier = [
      carrierCall("c1", {}, { ids }),
      carrierCall("c2", { startMs: TEN + 9_000, connectedMs: 5_000 }, { ids }),
    ];
    expect(match([platformCall("p", {}, { ids })], carrier)).toMatchObject([
      { status: DiscrepancyStatus.MATCHED_EXACT },
      { status: DiscrepancyStatus.DUPLICATE_AT_CARRIER, duplicateOf: { recordId: "c1" } },
    ]);
  });

  test("is, of copies without a pair, the one with the lower id missing, and each other a copy of it", () => {
    const results = match(
      ["p3", "p1", "p2"].map((id) => platformCall(id)),
      [],
    );
    expect(tellResults(results, ({ status, duplicateOf }) => [status, duplicateOf?.recordId])).toEqual({
      p1: [DiscrepancyStatus.MISSING_AT_CARRIER, undefined],
      p2: [DiscrepancyStatus.DUPLICATE_AT_PLATFORM, "p1"],
      p3: [DiscrepancyStatus.DUPLICATE_AT_PLATFORM, "p1"],
    });
  });

  test("is PENDING until its grace is over, from the later of its end and its arrival, and MISSING then", () => {
    const platform = platformCall("p");
    const carrier = carrierCall("c", { startMs: TEN + HOUR_MS }, { ingestMs: TEN });
    const input = matchingInput([platform], [carrier]);
    const graceEnds = [platform.ingestMs + DAY_MS, (carrier.endMs ?? 0) + DAY_MS] as const;
    expect(matchCalls({ ...input, nowMs: graceEnds[0] - 1 })).toMatchObject([
      { status: DiscrepancyStatus.PENDING, pendingReason: PendingReason.GRACE, graceEndMs: graceEnds[0] },
      { status: DiscrepancyStatus.PENDING, pendingReason: PendingReason.GRACE, graceEndMs: graceEnds[1] },
    ]);
    expect(matchCalls({ ...input, nowMs: graceEnds[1] })).toMatchObject([
      { status: DiscrepancyStatus.MISSING_AT_CARRIER, graceEndMs: graceEnds[0] },
      { status: DiscrepancyStatus.MISSING_AT_PLATFORM, graceEndMs: graceEnds[1] },
    ]);
  });

  test.each([
    ["inbound", platformCall("p", {}, { direction: 2 })],
    ["unanswered", platformCall("p", { connectedMs: null })],
    ["to an emergency number", platformCall("p", {}, { isEmergency: true })],
  ])("is NOT_REPORTED and never missing when it is %s", (_, platform) => {
    expect(match([platform], [])[0]?.status).toBe(DiscrepancyStatus.NOT_REPORTED);
  });

  test("is NOT_REPORTED outside the dates of the scope, and the carrier's beyond the scope as well", () => {
    const agreement = { ...AGREEMENT, scopeAt: (ms: number) => (ms < TEN ? undefined : AGREEMENT.scopeAt(ms)) };
    const early = { startMs: TEN - 1 };
    const outside = matchCalls(matchingInput([platformCall("p", early)], [], { agreement }));
    expect(outside[0]?.status).toBe(DiscrepancyStatus.NOT_REPORTED);
    const carrier = carrierCall("c", {}, { direction: 2 });
    expect(match([], [carrier])[0]?.status).toBe(DiscrepancyStatus.NOT_REPORTED);
    const inbound = platformCall("p", {}, { direction: 2 });
    expect(match([inbound], [carrier])[0]?.status).toBe(DiscrepancyStatus.MATCHED_EXACT);
  });
});

describe("a record's state", () => {
  test("keeps a call PENDING while the platform's record is partial, paired or not", () => {
    const partial = platformCall("p", { connectedMs: 10_000 }, { isPartial: true });
    const pending = { status: DiscrepancyStatus.PENDING, pendingReason: PendingReason.PARTIAL_RECORD };
    expect(match([partial], [])).toMatchObject([pending]);
    expect(match([partial], [carrierCall("c")])).toMatchObject([{ ...pending, matchedBy: MatchedBy.NUMBERS_AND_TIME }]);
  });

  test("takes a correction as the record: the pair that disagreed agrees", () => {
    const wrong = carrierCall("c", { connectedMs: 150_000 });
    const corrected = carrierCall("c", {}, { revision: 2 });
    expect(match([platformCall("p")], [wrong])[0]?.status).toBe(DiscrepancyStatus.DURATION_MISMATCH);
    expect(match([platformCall("p")], [corrected])).toMatchObject([
      { status: DiscrepancyStatus.MATCHED_EXACT, carrier: [{ revision: 2 }] },
    ]);
  });

  test("pairs a voided record with a voided one only; alone it is VOIDED, and the other side's is missing", () => {
    const voidedPlatform = platformCall("p", {}, { isVoid: true, revision: 2 });
    const voidedCarrier = carrierCall("c", {}, { isVoid: true, revision: 2 });
    expect(match([voidedPlatform], [voidedCarrier])).toMatchObject([
      { status: DiscrepancyStatus.VOIDED, matchedBy: MatchedBy.NUMBERS_AND_TIME },
    ]);
    expect(match([platformCall("p")], [voidedCarrier]).map(({ status }) => status)).toEqual([
      DiscrepancyStatus.MISSING_AT_CARRIER,
      DiscrepancyStatus.VOIDED,
    ]);
    expect(match([voidedPlatform], [])).toMatchObject([{ status: DiscrepancyStatus.VOIDED }]);
  });

  test("leaves a VOID of a call that was never reported by itself", () => {
    const bare: CarrierFacts = {
      recordId: "c",
      recordDate: "2026-06-01",
      revision: 2,
      isVoid: true,
      direction: 0,
      ids: {},
      answered: false,
      resolutionMs: 1,
      ingestMs: TEN,
    };
    const results = match([platformCall("p", {}, { isVoid: true })], [bare]);
    expect(results.map(({ status }) => status)).toEqual([DiscrepancyStatus.VOIDED, DiscrepancyStatus.VOIDED]);
  });

  test("matches national numbers, international prefixes and routing prefixes with their E.164 form", () => {
    const spelled = ["0046 33-00 00 02", "033000002", "*31#004633000002", "tel:+4633000002", "D0123033000002"];
    for (const value of spelled) {
      expect(match([platformCall("p")], [carrierCall("c", {}, { called: dialled(value, "SE") })]).map(nameOf)).toEqual([
        "p/c",
      ]);
    }
    const elsewhere = carrierCall("c", {}, { called: dialled("033000002", "NO") });
    expect(match([platformCall("p")], [elsewhere]).map(nameOf)).toEqual(["p", "c"]);
    const byDialled = platformCall("p", {}, { called: e164("+4580000000"), dialed: BOB });
    expect(match([byDialled], [carrierCall("c")]).map(nameOf)).toEqual(["p/c"]);
  });
});

function match(
  platform: readonly PlatformFacts[],
  carrier: readonly CarrierFacts[],
  others: Partial<MatchingInput> = {},
): CallResult[] {
  return matchCalls(matchingInput(platform, carrier, others));
}

function at(recordId: string, startMs: number, connectedMs = 8_000): PlatformFacts {
  return platformCall(recordId, { startMs, connectedMs });
}

function atCarrier(recordId: string, startMs: number, connectedMs = 8_000): CarrierFacts {
  return carrierCall(recordId, { startMs, connectedMs });
}

function matchedBy(results: readonly CallResult[]) {
  return tellResults(results, (result) => result.matchedBy);
}

function causesOf(result: CallResult | undefined): DiscrepancyCause[] {
  return result?.findings.map(({ cause }) => cause) ?? [];
}

import fc from "fast-check";
import { expect, test } from "vitest";
import {
  CAROL,
  canonical,
  carrierCall,
  crowdedRecords,
  HOUR_MS,
  MINUTE_MS,
  matchingInput,
  platformCall,
  SECOND_MS,
  TEN,
} from "../../../../test/support/matching-calls.ts";
import { EvidenceOutcome, EvidenceStage } from "../../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { DiscrepancyStatus } from "../../../gen/tandem/type/v1/discrepancy_pb.js";
import { CARRIER_SIDE, PLATFORM_SIDE } from "../../record-kind.ts";
import type { CarrierFacts, MatchingInput, PlatformFacts } from "../facts.ts";
import { matchCalls } from "../match-calls.ts";
import { tellLength, tellList } from "./evidence.ts";
import { type CallEvidence, explainCall } from "./explain.ts";

const DIALOG = { dialogCallId: "d", dialogFromTag: "a", dialogToTag: "b" };

function explain(
  platform: PlatformFacts[],
  carrier: CarrierFacts[],
  others: Partial<MatchingInput> = {},
): CallEvidence {
  const target = { side: PLATFORM_SIDE, recordId: "p", recordDate: "2026-06-01" };
  const evidence = explainCall(matchingInput(platform, carrier, others), target);
  if (evidence === undefined) throw new Error("the call is among the records");
  return evidence;
}

function sentencesOf({ steps }: CallEvidence): Record<number, string> {
  return Object.fromEntries(steps.map(({ stage, explanation }) => [stage, explanation]));
}

test("an explanation has the result that matching has, for every record of either side", () => {
  fc.assert(
    fc.property(crowdedRecords, ({ platform, carrier }) => {
      const input = matchingInput(platform, carrier);
      const results = canonical(matchCalls(input));
      for (const [side, records] of [
        [PLATFORM_SIDE, platform],
        [CARRIER_SIDE, carrier],
      ] as const) {
        for (const { recordId, recordDate } of records) {
          const evidence = explainCall(input, { side, recordId, recordDate });
          expect(results).toContainEqual(evidence?.result);
          const stages = evidence?.steps.map(({ stage }) => stage) ?? [];
          expect(stages).toEqual([...new Set(stages)].sort((a, b) => a - b));
          expect(stages[0]).toBe(EvidenceStage.RECORD_STATE);
        }
      }
    }),
    { numRuns: 60 },
  );
});

test("a pair that agrees is explained from its records to its durations", () => {
  const evidence = explain([platformCall("p")], [carrierCall("c", { startMs: TEN + 800, connectedMs: 101_200 })]);
  expect(sentencesOf(evidence)).toMatchObject({
    [EvidenceStage.REPORTING_SCOPE]: "The call is outbound and answered, which the carrier has agreed to report.",
    [EvidenceStage.NUMBERS]: "Both sides name the same two parties, after Tandem put their numbers into one format.",
    [EvidenceStage.TIME_WINDOW]: "The answer times are 800 ms apart, within the window of 1 min.",
    [EvidenceStage.ASSIGNMENT]: "Neither record could have been paired with any other.",
    [EvidenceStage.DURATION]:
      "The platform counts 1 min 40 s connected, the carrier 1 min 41.2 s. The carrier has 1.2 s more, within the tolerance of 2 s.",
  });
  expect(evidence.refused).toEqual([]);
});

test("numbers are masked in every value", () => {
  const evidence = explain([platformCall("p")], [carrierCall("c")]);
  expect(JSON.stringify(evidence.steps)).not.toMatch(/\+\d{10,}/);
  expect(evidence.steps.find(({ stage }) => stage === EvidenceStage.NUMBERS)?.values).toContainEqual({
    name: "parties.called",
    platformValue: "+4633000***",
    carrierValue: "+4633000***",
    outcome: EvidenceOutcome.PASSED,
  });
});

test("a call whose carrier record is missing is explained with what is near and why it was not taken", () => {
  const near = carrierCall("near", { startMs: TEN + 5 * MINUTE_MS });
  const wrong = carrierCall("wrong", {}, { called: CAROL, ids: { dialogCallId: "d" } });
  const evidence = explain([platformCall("p", {}, { ids: { dialogCallId: "d" } })], [near, wrong]);
  expect(evidence.result.status).toBe(DiscrepancyStatus.MISSING_AT_CARRIER);
  expect(sentencesOf(evidence)).toMatchObject({
    [EvidenceStage.CORRELATION]: "Record wrong of 2026-06-01 has the same Call-ID, but names other numbers.",
    [EvidenceStage.GRACE]:
      "The deadline for the carrier's record was 2026-06-02T10:01:50.000Z. That is 24 h after the call ended or the platform's record arrived, whichever was later. The deadline has passed. A record that still comes is compared all the same.",
  });
  expect(evidence.refused).toMatchObject([
    {
      record: { recordId: "wrong" },
      refusedAt: EvidenceStage.NUMBERS,
      startDeltaMs: 0,
      explanation: "It has an id in common with p, but names other numbers.",
    },
    {
      record: { recordId: "near" },
      refusedAt: EvidenceStage.TIME_WINDOW,
      startDeltaMs: 5 * MINUTE_MS,
      explanation: "Its numbers fit, but it began 5 min after p. At most 1 min is allowed.",
    },
  ]);
});

test("a rival is told with what it was paired with instead", () => {
  const later = { startMs: TEN + 30 * SECOND_MS };
  const evidence = explain(
    [platformCall("p"), platformCall("p2", later)],
    [carrierCall("c"), carrierCall("c2", later)],
  );
  expect(evidence.refused).toMatchObject([
    {
      side: CARRIER_SIDE,
      record: { recordId: "c2" },
      refusedAt: EvidenceStage.ASSIGNMENT,
      explanation: "It could have been paired with p, but it fits another record better.",
      pairedWith: { recordId: "p2" },
    },
  ]);
  // The pair names the rivals of both its records.
  expect(sentencesOf(evidence)[EvidenceStage.ASSIGNMENT]).toBe(
    "Other records could have been paired with these: c2 of 2026-06-01 and p2 of 2026-06-01. But these fit each other best by answer, time and duration.",
  );
});

test("a record that came too early is told as before the other, from either side", () => {
  const early = explain([platformCall("p")], [carrierCall("c", { startMs: TEN - 5 * MINUTE_MS })]);
  expect(early.refused[0]?.explanation).toBe("Its numbers fit, but it began 5 min before p. At most 1 min is allowed.");
  const [platform, carrier] = [platformCall("p"), carrierCall("c", { startMs: TEN - 5 * MINUTE_MS })];
  const target = { side: CARRIER_SIDE, recordId: "c", recordDate: "2026-06-01" };
  expect(explainCall(matchingInput([platform], [carrier]), target)?.refused[0]?.explanation).toBe(
    "Its numbers fit, but it began 5 min after c. At most 1 min is allowed.",
  );
});

test("of a copy it is told which records are the pair that it might have been of", () => {
  const original = carrierCall("c", {}, { ids: DIALOG });
  const copy = carrierCall("copy", { startMs: TEN + 700 }, { ids: DIALOG });
  const input = matchingInput([platformCall("p", {}, { ids: DIALOG })], [original, copy]);
  const evidence = explainCall(input, { side: CARRIER_SIDE, recordId: "copy", recordDate: "2026-06-01" });
  expect(evidence?.result.status).toBe(DiscrepancyStatus.DUPLICATE_AT_CARRIER);
  expect(evidence && sentencesOf(evidence)).toMatchObject({
    [EvidenceStage.CORRELATION]:
      "Record p of 2026-06-01 has the same SIP dialog (Call-ID), but is already paired with c of 2026-06-01.",
    [EvidenceStage.ASSIGNMENT]:
      "Record p of 2026-06-01 could have been its pair, but is already paired with c of 2026-06-01. No unpaired platform record has these numbers and a time within 1 min.",
  });
});

test("an offset is told with its size, its direction and the pairs it rests on", () => {
  const offset = { offsetMs: -HOUR_MS, kind: "ZONE_SHIFT", pairCount: 43, ratio: 0.93 } as const;
  const evidence = explain([platformCall("p")], [carrierCall("c", { startMs: TEN - HOUR_MS })], {
    offsetOf: () => offset,
  });
  expect(sentencesOf(evidence)[EvidenceStage.CLOCK_OFFSET]).toBe(
    "In this hour the carrier's clock on trunk trunk-1 is 1 h behind the platform's: a time zone error. 93 % of 43 pairs show this. Tandem corrected the carrier's times by 1 h before it compared them.",
  );
});

test("each cause is told in a sentence, with its findings", () => {
  const evidence = explain([platformCall("p")], [carrierCall("c", { connectedMs: 43_200_000 })]);
  expect(evidence.steps.at(-1)).toMatchObject({
    stage: EvidenceStage.CAUSE,
    outcome: EvidenceOutcome.PASSED,
    explanation:
      "The carrier's duration is 12 h. Some switches have a timer that ends a call after that time. The platform counts only 1 min 40 s. The carrier's switch seems to have missed the end of the call.",
    findings: [{ timerMs: 43_200_000 }],
  });
});

test("a pair of which one side was late waited for that side, and not for a part", () => {
  const late = { ingestMs: TEN + 72 * HOUR_MS };
  for (const [evidence, awaited] of [
    [explain([platformCall("p")], [carrierCall("c", {}, late)]), "the carrier's record"],
    [explain([platformCall("p", {}, late)], [carrierCall("c")]), "the platform's record"],
  ] as const)
    expect(sentencesOf(evidence)[EvidenceStage.GRACE]).toContain(`The deadline for ${awaited} was`);
});

test("of too many that could pair, none is said to have been chosen", () => {
  const many = Array.from({ length: 101 }, (_, index) => `${index}`);
  const evidence = explain(
    [platformCall("p"), ...many.map((id) => platformCall(`p${id}`))],
    many.map((id) => carrierCall(`c${id}`)),
  );
  expect(evidence.result.status).toBe(DiscrepancyStatus.AMBIGUOUS);
  expect(evidence.refused[0]?.explanation).toBe(
    "It could belong to the call of p, but so could too many others. Tandem does not guess.",
  );
  // Nor is it said that no other record is like it.
  expect(sentencesOf(evidence)[EvidenceStage.DUPLICATE]).toBeUndefined();
});

test("the scope is told by the platform's record where the sides differ", () => {
  const evidence = explain(
    [platformCall("p", {}, { ids: DIALOG })],
    [carrierCall("c", { connectedMs: null }, { ids: DIALOG })],
  );
  expect(evidence.result.status).toBe(DiscrepancyStatus.ANSWER_STATE_MISMATCH);
  expect(sentencesOf(evidence)[EvidenceStage.REPORTING_SCOPE]).toBe(
    "By the platform's record the call is outbound and answered, which the carrier has agreed to report.",
  );
});

test("a window is widened by how the carrier declares its times", () => {
  for (const [resolutionMs, told] of [
    [1_000, "plus 999 ms, because the carrier's times are in whole seconds"],
    [60_000, "plus 59.999 s, because the carrier's times are in whole minutes"],
    [100, "plus 99 ms, because the carrier's times are in steps of 100 ms"],
  ] as const) {
    const evidence = explain([platformCall("p")], [carrierCall("c", {}, { resolutionMs })]);
    expect(sentencesOf(evidence)[EvidenceStage.TIME_WINDOW]).toContain(`(${told})`);
  }
});

test("a bill is held against the tolerance in seconds", () => {
  const bill = (billedS: number, incrementS: number) => {
    const facts = { connectedMs: undefined, endMs: undefined, billedS, roundingRule: { incrementS, minimumS: 0 } };
    const evidence = explain([platformCall("p")], [carrierCall("c", {}, facts)]);
    return sentencesOf(evidence)[EvidenceStage.DURATION];
  };
  expect(bill(240, 60)).toMatch(/The carrier bills 4 min\. That is 2 min more, beyond the tolerance of 2 s\.$/);
  expect(bill(60, 60)).toMatch(/The carrier bills 1 min\. That is 1 min less, beyond the tolerance of 2 s\.$/);
  expect(bill(101, 1)).toMatch(/The carrier bills 1 min 41 s\. The tolerance of 2 s explains the difference\.$/);
  expect(bill(90, 90)).toContain("(up in steps of 1 min 30 s), the platform's 1 min 40 s would be billed as 3 min.");
  // No multiple of the rule's increment.
  expect(bill(121, 60)).toMatch(/That is 1 s more, and no length within the tolerance of 2 s is billed so\.$/);
});

test("of a split call the parts that are missing are named, and otherwise a part does not fit", () => {
  const parts = (talks: readonly number[], numbers?: readonly number[]) => {
    let startMs = TEN;
    return talks.map((connectedMs, index) => {
      const part = numbers && { part: { index: numbers[index] ?? 0, count: 4 } };
      const facts = carrierCall(`c${index}`, { startMs, ringMs: 5_000, connectedMs }, { ids: DIALOG, ...part });
      startMs += connectedMs;
      return facts;
    });
  };
  const whole = platformCall("p", { connectedMs: 400_000 }, { ids: DIALOG });
  const cause = (carrier: CarrierFacts[]) => sentencesOf(explain([whole], carrier))[EvidenceStage.CAUSE];
  expect(cause(parts([100_000, 100_000], [1, 2]))).toBe("Parts 3 and 4 of 4 are missing, which explains 3 min 20 s.");
  expect(cause(parts([100_000, 100_000, 100_000], [1, 2, 3]))).toBe(
    "Part 4 of 4 is missing, which explains 1 min 40 s.",
  );
  expect(cause(parts([100_000, 250_000]))).toBe("The carrier's switch split the call, and a part does not fit.");
});

test("of a later part the carrier's record is said to belong to the first", () => {
  const later = { startMs: TEN + 105_000, ringMs: 0 };
  const evidence = explain(
    [platformCall("p0", {}, { ids: DIALOG }), platformCall("p", later, { ids: DIALOG })],
    [carrierCall("c", { connectedMs: 200_000 }, { ids: DIALOG })],
  );
  expect(evidence.result.status).toBe(DiscrepancyStatus.PART_OF_CALL);
  expect(evidence.refused).toMatchObject([
    { explanation: "It covers all parts of this call.", pairedWith: { recordId: "p0" } },
  ]);
  expect(sentencesOf(evidence)).toMatchObject({
    [EvidenceStage.RECORD_STATE]: expect.stringMatching(
      / It is a later part of a call, and counted with p0 of 2026-06-01, which is paired with c of 2026-06-01\.$/,
    ),
    [EvidenceStage.CORRELATION]:
      "Record c of 2026-06-01 has the same SIP dialog (Call-ID) and is paired with p0 of 2026-06-01, the first record of this call.",
  });
  const { outcome } = evidence.steps.find(({ stage }) => stage === EvidenceStage.CORRELATION) ?? {};
  expect(outcome).toBe(EvidenceOutcome.PASSED);
});

test("of a call that the platform wrote in parts, each is told with its begin and length, and none is a rival", () => {
  const later = { startMs: TEN + 110_000, ringMs: 0, connectedMs: 50_000 };
  const records = [platformCall("p", {}, { ids: DIALOG }), platformCall("p2", later, { ids: DIALOG })];
  const carrier = [carrierCall("c", { connectedMs: 150_000 }, { ids: DIALOG })];
  const evidence = explain(records, carrier);
  expect(sentencesOf(evidence)).toMatchObject({
    [EvidenceStage.ASSIGNMENT]: "No record outside this call could have been paired with it.",
    [EvidenceStage.SPLIT]: expect.stringMatching(
      / together: p of 2026-06-01 \(revision 1\) from \S+ for 1 min 40 s and p2 of 2026-06-01 \(revision 1\) from 2026-06-01T10:01:50\.000Z for 50 s\.$/,
    ),
  });
  const target = { side: CARRIER_SIDE, recordId: "c", recordDate: "2026-06-01" };
  expect(explainCall(matchingInput(records, carrier), target)?.refused).toEqual([]);
});

test("a record that is not among the input is not explained", () => {
  const input = matchingInput([platformCall("p")], []);
  expect(explainCall(input, { side: PLATFORM_SIDE, recordId: "p", recordDate: "2026-06-02" })).toBeUndefined();
  expect(explainCall(input, { side: CARRIER_SIDE, recordId: "p", recordDate: "2026-06-01" })).toBeUndefined();
});

test("lengths and lists read like a sentence", () => {
  expect([0, 850, -1_500, 60_000, 3_605_250, 19_800_000].map(tellLength)).toEqual([
    "0 ms",
    "850 ms",
    "1.5 s",
    "1 min",
    "1 h 5.25 s",
    "5 h 30 min",
  ]);
  expect([[], ["a"], ["a", "b"], ["a", "b", "c"]].map(tellList)).toEqual(["", "a", "a and b", "a, b and c"]);
});

test("a duration that nothing explains tells how far the answers and the ends are apart", () => {
  const evidence = explain(
    [platformCall("p", {}, { endMs: TEN + 110 * SECOND_MS })],
    [carrierCall("c", { connectedMs: 177_700 }, { answerMs: TEN + 5 * SECOND_MS, endMs: TEN + 187_700 })],
  );
  expect(sentencesOf(evidence)[EvidenceStage.CAUSE]).toMatch(
    /By the carrier's record the call was answered at the same time and ended 1 min 17\.7 s later\.$/,
  );
  const later = explain(
    [platformCall("p", {}, { endMs: TEN + 105 * SECOND_MS })],
    [carrierCall("c", { connectedMs: 177_700 }, { answerMs: TEN + 5 * SECOND_MS + 80, endMs: TEN + 182_780 })],
  );
  expect(sentencesOf(later)[EvidenceStage.CAUSE]).toMatch(
    /answered 80 ms later and ended 1 min 17\.78 s later\. Less the 80 ms, that is the difference of the lengths\.$/,
  );
});

test("times are told with the correction that they have had", () => {
  const offset = { offsetMs: HOUR_MS, kind: "ZONE_SHIFT", pairCount: 43, ratio: 1 } as const;
  const call = explain([platformCall("p")], [carrierCall("c", { startMs: TEN + HOUR_MS })], { offsetOf: () => offset });
  expect(sentencesOf(call)[EvidenceStage.TIME_WINDOW]).toMatch(
    /^After the clock correction of 1 h, the answer times are/,
  );
  expect(call.steps.find(({ stage }) => stage === EvidenceStage.TIME_WINDOW)?.values[0]?.carrierValue).toMatch(
    / \(corrected\)$/,
  );
});

test("a length that is not known leaves nothing to explain, and it is told whose it is", () => {
  const unknown = { connectedMs: undefined, endMs: undefined };
  for (const [mine, others, told] of [
    [{}, unknown, "the carrier does not say"],
    [unknown, {}, "the platform does not say"],
    [unknown, unknown, "neither side says"],
  ] as const) {
    const evidence = explain([platformCall("p", {}, mine)], [carrierCall("c", {}, others)]);
    expect(evidence.steps.at(-1)).toMatchObject({
      stage: EvidenceStage.CAUSE,
      outcome: EvidenceOutcome.NOT_COMPARABLE,
      explanation: `The difference is not known, because ${told} how long the call was.`,
    });
  }
});

test("an answer that one side lost is told where its call ends at the other's answer, and only there", () => {
  const cause = (endMs: number) => {
    const carrier = carrierCall("c", { connectedMs: null }, { ids: DIALOG, endMs });
    return sentencesOf(explain([platformCall("p", {}, { ids: DIALOG, answerMs: TEN + 10_000 })], [carrier]))[
      EvidenceStage.CAUSE
    ];
  };
  expect(cause(TEN + 10_080)).toMatch(
    / By the carrier's record the call ended at the moment at which the platform's record says that it was answered\.$/,
  );
  expect(cause(TEN + 5_000)).toMatch(/answered\.$/);
});

test("parts that overlap are told so", () => {
  const part = (index: number, startMs: number) =>
    carrierCall(
      `c${index}`,
      { startMs, connectedMs: 100_000 },
      { ids: DIALOG, part: { index, count: 2 }, endMs: startMs + 105_000 },
    );
  const split = (startMs: number) =>
    sentencesOf(
      explain([platformCall("p", { connectedMs: 200_000 }, { ids: DIALOG })], [part(1, TEN), part(2, startMs)]),
    )[EvidenceStage.SPLIT];
  expect(split(TEN + 90_000)).toMatch(/ They overlap by \d+ s\. Tandem adds up their lengths all the same\.$/);
  expect(split(TEN + 120_000)).toMatch(/ together\.$/);
});

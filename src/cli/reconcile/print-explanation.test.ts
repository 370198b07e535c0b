import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { expect, test, vi } from "vitest";
import { CARRIER_SIDE, PLATFORM_SIDE } from "../../domain/record-kind.ts";
import {
  CallExplanationSchema,
  EvidenceOutcome,
  EvidenceStage,
} from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { DiscrepancyCause, DiscrepancyStatus, MatchedBy } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { printExplanation } from "./print-explanation.ts";

const { PASSED, FAILED } = EvidenceOutcome;

function print(explanation: MessageInitShape<typeof CallExplanationSchema>): string[] {
  const lines: string[] = [];
  using _log = vi.spyOn(console, "log").mockImplementation((line = "") => lines.push(line));
  printExplanation(create(CallExplanationSchema, { carrierId: "c", ...explanation }));
  return lines.flatMap((line) => line.split("\n")).map((line) => line.trimEnd());
}

const UNKNOWN = [{ cause: DiscrepancyCause.UNKNOWN }];
const mismatch = { status: DiscrepancyStatus.DURATION_MISMATCH, findings: UNKNOWN };
const known = { answered: true, connectedDurationMs: 60_000n };
const unknown = { answered: true };

test.each([
  [
    "a length that the carrier does not know",
    { ...mismatch, platformMeasure: known, carrierMeasure: unknown },
    "duration-mismatch (no carrier length, so nothing to subtract)",
  ],
  [
    "a length that the platform does not know, and what stands beside it",
    {
      ...mismatch,
      findings: [{ cause: DiscrepancyCause.CLOCK_SKEW }, ...UNKNOWN],
      platformMeasure: unknown,
      carrierMeasure: { answered: true, billedDurationS: 60n },
    },
    "duration-mismatch (no platform length, so nothing to subtract), note: the clocks differ",
  ],
  [
    "no length at all",
    { ...mismatch, platformMeasure: unknown, carrierMeasure: unknown },
    "duration-mismatch (no length on either side, so nothing to subtract)",
  ],
  [
    "a difference of bills",
    {
      ...mismatch,
      platformMeasure: known,
      carrierMeasure: { answered: true, billedDurationS: 120n },
      deltas: { billedDurationDeltaMs: 60_000n },
    },
    "duration-mismatch, cause unknown, the carrier bills 2 min, 1 min more than the rule gives (1 min)",
  ],
  [
    "a difference of lengths beside one of bills",
    { ...mismatch, deltas: { connectedDurationDeltaMs: -6_000n, billedDurationDeltaMs: 60_000n } },
    "duration-mismatch, cause unknown, the carrier counts 6 s less",
  ],
  [
    "a bill that is as its rule gives",
    {
      status: DiscrepancyStatus.MATCHED_EXACT,
      carrierMeasure: { answered: true, billedDurationS: 120n },
      deltas: { billedDurationDeltaMs: 0n },
    },
    "matched-exact, the carrier bills 2 min, as the rule gives",
  ],
  [
    "the sum of parts, and what joined them",
    {
      status: DiscrepancyStatus.MATCHED_EXACT,
      carrierRecords: [{ recordId: "a" }, { recordId: "b" }],
      deltas: { connectedDurationDeltaMs: 80n },
      matchedBy: MatchedBy.INTERCONNECT_DIALOG,
    },
    "matched-exact, the carrier's records together count 80 ms more, matched by SIP dialog (Call-ID)",
  ],
  [
    "lengths that are equal",
    { status: DiscrepancyStatus.MATCHED_EXACT, deltas: { connectedDurationDeltaMs: 0n } },
    "matched-exact, both sides count the same",
  ],
  [
    "of what a record is a copy",
    { status: DiscrepancyStatus.DUPLICATE_AT_CARRIER, duplicateOf: { recordId: "original" } },
    "duplicate-at-carrier, a copy of original",
  ],
  [
    "how many could pair",
    { status: DiscrepancyStatus.AMBIGUOUS, candidateCount: 201 },
    "ambiguous, at least 201 records of both sides could pair with each other",
  ],
  [
    "how late which side was",
    {
      status: DiscrepancyStatus.MATCHED_EXACT,
      findings: [{ cause: DiscrepancyCause.LATE, suspectedSide: PLATFORM_SIDE, lateByMs: 61_200_000n }],
    },
    "matched-exact, note: platform's record came 17 h after its deadline",
  ],
  [
    "a discrepancy that is resolved",
    { status: DiscrepancyStatus.MATCHED_EXACT, resolvedTime: { seconds: 1n } },
    "matched-exact, earlier a discrepancy, now resolved",
  ],
])("the first line tells %s", (_, result, told) => {
  expect(print({ result })[0]).toBe(`c  ${told}`);
});

test.each([
  [EvidenceStage.CLOCK_OFFSET, FAILED, "corrected"],
  [EvidenceStage.SPLIT, FAILED, "incomplete"],
  [EvidenceStage.SPLIT, PASSED, "complete"],
  [EvidenceStage.CAUSE, FAILED, "not found"],
  [EvidenceStage.CAUSE, PASSED, "found"],
  [EvidenceStage.DUPLICATE, FAILED, "no"],
  [EvidenceStage.DUPLICATE, PASSED, "yes"],
  [EvidenceStage.GRACE, FAILED, "over"],
  [EvidenceStage.GRACE, PASSED, "running"],
  [EvidenceStage.REPORTING_SCOPE, FAILED, "outside"],
  [EvidenceStage.REPORTING_SCOPE, PASSED, "passed"],
  [EvidenceStage.DURATION, FAILED, "failed"],
])("a step %i that came to %i says %s", (stage, outcome, told) => {
  const lines = print({ steps: [{ stage, outcome, explanation: "So.", values: [{ valueName: "limit", outcome }] }] });
  expect(lines).toContainEqual(expect.stringMatching(new RegExp(`^ 1\\. ${told} +[a-z-]+: So\\.$`)));
  expect(lines).toContain(`      limit: ${told}`);
});

function numbersOf(called: string, told = "+4511180***"): string | undefined {
  const value = { valueName: "parties.called", platformValue: told, carrierValue: told, outcome: PASSED };
  const lines = print({
    platformRecord: { parties: { called: { kind: 1, value: called } } },
    carrierRecords: [{ called: { kind: 1, value: called } }],
    steps: [{ stage: EvidenceStage.NUMBERS, outcome: PASSED, values: [value] }],
  });
  return lines.find((line) => line.includes("parties.called"))?.trim();
}

test("a number in a step has the form that it has in the records", () => {
  expect(numbersOf("+4511180216")).toBe("parties.called: platform +4511180216, carrier +4511180216, passed");
  expect(numbersOf("+4511180***")).toBe("parties.called: platform +4511180***, carrier +4511180***, passed");
  // Of another revision.
  expect(numbersOf("+4511999216")).toBe("parties.called: platform +4511180***, carrier +4511180***, passed");
  expect(numbersOf("+4511180216", "restricted")).toBe(
    "parties.called: platform restricted, carrier restricted, passed",
  );
});

test("a record that nearly fits and was considered is shown once, with both reasons", () => {
  const record = { recordId: "near", recordDate: "2026-06-01", revision: 1 };
  const side = CARRIER_SIDE;
  const lines = print({
    nearRecords: [{ side, record, explanation: "It nearly fits." }],
    refusedCandidates: [
      { side, record, refusedAt: EvidenceStage.TIME_WINDOW, explanation: "It is too far." },
      { side, record: { ...record, recordId: "other" }, explanation: "It is another call." },
    ],
  });
  const told = lines.filter((line) => line.includes("2026-06-01/"));
  expect(told).toEqual([
    expect.stringMatching(/2026-06-01\/near .*It nearly fits\. It is too far\.$/),
    expect.stringMatching(/2026-06-01\/other .*It is another call\.$/),
  ]);
});

test("of a call that the platform wrote in parts the length of the whole is shown beside the first", () => {
  const value = {
    valueName: "connected_duration_ms",
    platformValue: "60000 + 120000",
    carrierValue: "180000",
    outcome: PASSED,
  };
  const lines = print({
    platformRecord: { recordId: "p", lengths: { connectedDurationMs: 60_000n } },
    carrierRecords: [{ recordId: "c", connectedDurationMs: 180_000n }],
    steps: [{ stage: EvidenceStage.SPLIT, outcome: PASSED, values: [value] }],
  });
  expect(lines).toContainEqual(expect.stringMatching(/^ +platform, record 1 of 2 +carrier$/));
  expect(lines).toContainEqual(expect.stringMatching(/^connected +this record 1 min; whole call 3 min +3 min$/));
  expect(lines).toContain("      connected_duration: platform 1 min + 2 min, carrier 3 min, complete");
});

test.each([
  [
    "copy_window_ms",
    { platformValue: "603 apart", limitValue: "2000" },
    "copy_window: platform 603 ms apart, limit 2 s",
  ],
  ["applied_offset_ms", { carrierValue: "-3600000" }, "applied_offset: carrier -1 h"],
  ["times.answer_time", { limitValue: "60999 ms" }, "times.answer_time: limit 1 min 0.999 s"],
  [
    "connected_duration_ms",
    { carrierValue: "743500 + 60000 (billed)" },
    "connected_duration: carrier 12 min 23.5 s + 1 min (billed)",
  ],
  [
    "billed_duration_s",
    { platformValue: "180", carrierValue: "240", limitValue: "2000 ms" },
    "billed_duration: by the rule 3 min, billed 4 min, limit 2 s",
  ],
  [
    "candidate_count",
    { carrierValue: "at least 201", limitValue: "200" },
    "candidate_count: both sides together at least 201, limit 200",
  ],
])("a value of %s has the unit of its name", (valueName, value, told) => {
  const values = [{ valueName, ...value, outcome: PASSED }];
  const lines = print({ steps: [{ stage: EvidenceStage.NUMBERS, outcome: PASSED, values }] });
  expect(lines).toContain(`      ${told}, passed`);
});

test.each([
  ["unpaired", DiscrepancyStatus.MISSING_AT_CARRIER, []],
  ["part", DiscrepancyStatus.PART_OF_CALL, []],
  ["passed", DiscrepancyStatus.MATCHED_EXACT, [{ recordId: "c" }]],
])("the state of a record is %s where its result is so", (told, status, carrierRecords) => {
  const values = [{ valueName: "revision", platformValue: "1", outcome: PASSED }];
  const steps = [{ stage: EvidenceStage.RECORD_STATE, outcome: PASSED, explanation: "So.", values }];
  const lines = print({ result: { status, platformRecord: { recordId: "p" }, carrierRecords }, steps });
  expect(lines).toContainEqual(expect.stringMatching(new RegExp(`^ 1\\. ${told} +record-state: So\\.$`)));
  expect(lines).toContain("      revision: platform 1");
});

test("a later part stands beside the record of the whole call, which is not among those refused", () => {
  const [first, whole] = ["first", "whole"].map((recordId) => ({ recordId, recordDate: "2026-06-01" }));
  const other = { recordId: "other", recordDate: "2026-06-01" };
  const lines = print({
    result: { status: DiscrepancyStatus.PART_OF_CALL, platformRecord: { recordId: "p" }, duplicateOf: first as object },
    platformRecord: { recordId: "p", recordDate: "2026-06-01" },
    refusedCandidates: [{ record: whole as object, pairedWith: first as object }, { record: other }],
  });
  expect(lines[0]).toBe("c  part-of-call, counted with first, which is paired with whole");
  expect(lines).toContainEqual(
    expect.stringMatching(/^record +2026-06-01\/p #1 +2026-06-01\/whole, of the whole call$/),
  );
  expect(lines.filter((line) => line.includes("/whole"))).toHaveLength(1);
  expect(lines).toContainEqual(expect.stringContaining("2026-06-01/other"));
});

test("the parts of a call are named by their numbers, and the list of refused records says when it is full", () => {
  const lines = print({
    carrierRecords: [
      { recordId: "a", part: { partIndex: 1, partCount: 4 } },
      { recordId: "b", part: { partIndex: 3, lastPart: true } },
    ],
    refusedCandidates: Array.from({ length: 20 }, (_, index) => ({ record: { recordId: `r${index}` } })),
  });
  expect(lines).toContainEqual(expect.stringMatching(/^ +platform +carrier, part 1 of 4 +carrier, part 3, the last$/));
  expect(lines).toContain("Records that were considered but not taken (the nearest 20; there may be more):");
});

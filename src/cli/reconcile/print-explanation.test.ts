import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { expect, test, vi } from "vitest";
import { CARRIER_SIDE } from "../../domain/record-kind.ts";
import {
  CallExplanationSchema,
  EvidenceOutcome,
  EvidenceStage,
} from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { DiscrepancyCause, DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
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
    "duration-mismatch, not compared: the carrier's length is not known",
  ],
  [
    "a length that the platform does not know, and what stands beside it",
    {
      ...mismatch,
      findings: [{ cause: DiscrepancyCause.CLOCK_SKEW }, ...UNKNOWN],
      platformMeasure: unknown,
      carrierMeasure: { answered: true, billedDurationS: 60n },
    },
    "duration-mismatch, not compared: the platform's length is not known, note: the clocks differ",
  ],
  [
    "no length at all",
    { ...mismatch, platformMeasure: unknown, carrierMeasure: unknown },
    "duration-mismatch, not compared: neither length is known",
  ],
  [
    "a difference of bills",
    {
      ...mismatch,
      platformMeasure: known,
      carrierMeasure: { answered: true, billedDurationS: 120n },
      deltas: { billedDurationDeltaMs: 60_000n },
    },
    "duration-mismatch, cause unknown, carrier's bill +60 s",
  ],
  [
    "a difference of lengths beside one of bills",
    { ...mismatch, deltas: { connectedDurationDeltaMs: -6_000n, billedDurationDeltaMs: 60_000n } },
    "duration-mismatch, cause unknown, carrier's duration -6.0 s",
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
  const value = { valueName: "connected_duration_ms", platformValue: "60000 + 120000", carrierValue: "180000" };
  const lines = print({
    platformRecord: { recordId: "p", lengths: { connectedDurationMs: 60_000n } },
    carrierRecords: [{ recordId: "c", connectedDurationMs: 180_000n }],
    steps: [{ stage: EvidenceStage.SPLIT, outcome: PASSED, values: [value] }],
  });
  expect(lines).toContainEqual(expect.stringMatching(/^connected +60\.0 s \(180\.0 s in 2 records\) +180\.0 s$/));
});

import {
  type CallExplanation,
  EvidenceOutcome,
  EvidenceOutcomeSchema,
  EvidenceStageSchema,
  type EvidenceStep,
  type EvidenceValue,
  type NearRecord,
  type RefusedCandidate,
} from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import type { CallDetailRecord } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import type { CallDuration } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { type Correlation, DirectionSchema, RecordKind } from "../../gen/tandem/type/v1/call_pb.js";
import {
  type Discrepancy,
  DiscrepancyCause,
  DiscrepancyCauseSchema,
  DiscrepancyStatus,
  MatchedBySchema,
  RecordSideSchema,
} from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { formatTable, styled } from "../output.ts";
import { formatParty } from "../print-party.ts";
import { enumName, formatDuration, formatTime } from "../values.ts";
import { formatCauses, formatCircumstances, formatDelta, formatReasons, formatStatus } from "./print-discrepancies.ts";

/** Prints one explained leg: the result, both sides' records side by side, the steps as sentences, and what was not taken. */
export function printExplanation(explanation: CallExplanation): void {
  const { carrierId, result, steps, nearRecords, refusedCandidates } = explanation;
  console.log(styled("bold", `${carrierId}  ${result ? headline(result) : "no result"}`));
  console.log();
  console.log(sidesTable(explanation).join("\n"));
  console.log();
  for (const [index, step] of steps.entries()) {
    for (const line of formatStep(step, index + 1)) console.log(line);
  }
  if (nearRecords.length > 0) {
    console.log();
    console.log("Open records that nearly fit:");
    console.log(nearTable(nearRecords).join("\n"));
  } else if (result && MISSING.has(result.status)) {
    console.log();
    console.log(
      "No open record of the other side nearly fits. Tandem looked at records of the same two parties within 15 h.",
    );
  }
  if (refusedCandidates.length > 0) {
    console.log();
    console.log("Records that were considered but not taken:");
    console.log(candidatesTable(refusedCandidates).join("\n"));
  }
}

function headline(result: Discrepancy): string {
  const isAgreeing = AGREEING.has(result.status);
  const causes = isAgreeing ? formatCauses(result) : formatReasons(result);
  const beside = isAgreeing ? "" : formatCircumstances(result);
  const matchedBy = enumName(MatchedBySchema, result.matchedBy);
  const delta = formatDelta(result.deltas?.connectedDurationDeltaMs ?? result.deltas?.billedDurationDeltaMs);
  return [
    formatStatus(result),
    causes === "" ? "" : `${isAgreeing ? "with" : introduce(causes)} ${causes}`,
    beside === "" ? "" : `with ${beside}`,
    delta === "" ? "" : `carrier ${delta}`,
    matchedBy === undefined ? "" : `matched by ${matchedBy}`,
  ]
    .filter(Boolean)
    .join(", ");
}

function introduce(causes: string): string {
  return causes === UNKNOWN ? "cause" : "because of";
}

const UNKNOWN = enumName(DiscrepancyCauseSchema, DiscrepancyCause.UNKNOWN);

/** On a pair that agrees a cause is told, and the reason of nothing. */
const AGREEING: ReadonlySet<DiscrepancyStatus> = new Set([
  DiscrepancyStatus.MATCHED_EXACT,
  DiscrepancyStatus.WITHIN_TOLERANCE,
  DiscrepancyStatus.MATCHED_UNANSWERED,
]);

const MISSING: ReadonlySet<DiscrepancyStatus> = new Set([
  DiscrepancyStatus.MISSING_AT_CARRIER,
  DiscrepancyStatus.MISSING_AT_PLATFORM,
]);

/** What one record shows, a line each, in the order of `LINES`. */
const LINES = [
  "record",
  "state",
  "direction",
  "calling",
  "asserted",
  "called",
  "dialed",
  "redirecting",
  "invite",
  "answer",
  "end",
  "connected",
  "total",
  "billed",
  "trunk",
  "SIP Call-ID",
  "ICID",
  "Session-ID",
  "ingested",
] as const;
type Line = (typeof LINES)[number];
type Side = Partial<Record<Line, string | undefined>>;

function sidesTable({ platformRecord, carrierRecords }: CallExplanation): string[] {
  const sides: { title: string; side: Side }[] = [
    { title: "platform", side: platformRecord ? platformSide(platformRecord) : { record: "none" } },
    ...carrierRecords.map((record, index) => ({
      title: carrierRecords.length > 1 ? `carrier, part ${record.part?.partIndex ?? index + 1}` : "carrier",
      side: carrierSide(record),
    })),
  ];
  if (carrierRecords.length === 0) sides.push({ title: "carrier", side: { record: "none" } });
  const columns = [{ title: "" }, ...sides.map(({ title }) => ({ title }))];
  const shown = LINES.filter((line) => sides.some(({ side }) => side[line]));
  return formatTable(
    columns,
    shown.map((line) => [line, ...sides.map(({ side }) => side[line] ?? "")]),
  );
}

function platformSide(record: CallDetailRecord): Side {
  const { parties, times, lengths, route, correlation } = record;
  return {
    record: `${record.recordDate}/${record.recordId} #${record.revision ?? 1}`,
    state: record.kind === RecordKind.VOID ? "void" : "",
    direction: enumName(DirectionSchema, record.direction),
    calling: formatParty(parties?.calling),
    asserted: formatParty(parties?.asserted),
    called: formatParty(parties?.called),
    dialed: formatParty(parties?.dialed),
    redirecting: formatParty(parties?.redirecting),
    invite: formatTime(times?.inviteTime, "milliseconds"),
    answer: formatTime(times?.answerTime, "milliseconds"),
    end: formatTime(times?.endTime, "milliseconds"),
    connected: formatDuration(lengths?.connectedDurationMs),
    total: formatDuration(lengths?.totalDurationMs),
    trunk: route?.trunkId,
    ...correlationLines(correlation),
    ingested: formatTime(record.ingestTime, "milliseconds"),
  };
}

function carrierSide(record: CallDuration): Side {
  return {
    record: `${record.recordDate}/${record.recordId} #${record.revision ?? 1}`,
    state: record.kind === RecordKind.VOID ? "void" : "",
    direction: enumName(DirectionSchema, record.direction),
    calling: formatParty(record.calling),
    asserted: formatParty(record.asserted),
    called: formatParty(record.called),
    dialed: formatParty(record.dialed),
    redirecting: formatParty(record.redirecting),
    invite: formatTime(record.inviteTime, "milliseconds"),
    answer: formatTime(record.answerTime, "milliseconds"),
    end: formatTime(record.endTime, "milliseconds"),
    connected: formatDuration(record.connectedDurationMs),
    billed: record.billedDurationS === undefined ? "" : `${record.billedDurationS} s`,
    trunk: record.trunkId,
    ...correlationLines(record.correlation),
    ingested: formatTime(record.ingestTime, "milliseconds"),
  };
}

function correlationLines(correlation: Correlation | undefined): Side {
  return {
    "SIP Call-ID": correlation?.interconnectDialog?.callId,
    ICID: correlation?.icid,
    "Session-ID": correlation?.sessionId,
  };
}

const COLOURS: Readonly<Record<number, "green" | "red" | "dim">> = {
  [EvidenceOutcome.PASSED]: "green",
  [EvidenceOutcome.FAILED]: "red",
  [EvidenceOutcome.NOT_COMPARABLE]: "dim",
  [EvidenceOutcome.SKIPPED]: "dim",
};

function formatStep({ stage, outcome, explanation, values }: EvidenceStep, number: number): string[] {
  const name = enumName(EvidenceOutcomeSchema, outcome) ?? "";
  const told = styled(COLOURS[outcome] ?? "dim", name.padEnd(14));
  const head = `${String(number).padStart(2)}. ${told}  ${enumName(EvidenceStageSchema, stage) ?? ""}: ${explanation}`;
  return [head, ...values.map((value) => `      ${formatValue(value)}`)];
}

function formatValue({ valueName, platformValue, carrierValue, limitValue, outcome }: EvidenceValue): string {
  const sides = [
    platformValue === undefined ? "" : `platform ${platformValue}`,
    carrierValue === undefined ? "" : `carrier ${carrierValue}`,
    limitValue === undefined ? "" : `limit ${limitValue}`,
  ].filter(Boolean);
  return styled("dim", `${valueName}: ${[...sides, enumName(EvidenceOutcomeSchema, outcome) ?? ""].join(", ")}`);
}

function nearTable(records: readonly NearRecord[]): string[] {
  const columns = [
    { title: "side" },
    { title: "record" },
    { title: "off by", align: "right" } as const,
    { title: "length", align: "right" } as const,
    { title: "how it fits" },
  ];
  return formatTable(
    columns,
    records.map(({ side, record, startDeltaMs, connectedDurationMs, billedDurationS, explanation }) => [
      enumName(RecordSideSchema, side) ?? "",
      record ? `${record.recordDate}/${record.recordId}` : "",
      formatDelta(startDeltaMs),
      formatDuration(connectedDurationMs) || (billedDurationS === undefined ? "" : `${billedDurationS} s billed`),
      explanation,
    ]),
    "  ",
  );
}

function candidatesTable(candidates: readonly RefusedCandidate[]): string[] {
  const columns = [
    { title: "side" },
    { title: "record" },
    { title: "off by", align: "right" } as const,
    { title: "refused at" },
    { title: "why" },
  ];
  return formatTable(
    columns,
    candidates.map(({ side, record, startDeltaMs, refusedAt, explanation, pairedWith }) => [
      enumName(RecordSideSchema, side) ?? "",
      record ? `${record.recordDate}/${record.recordId}` : "",
      formatDelta(startDeltaMs),
      enumName(EvidenceStageSchema, refusedAt) ?? "",
      pairedWith ? `${explanation} It is paired with ${pairedWith.recordDate}/${pairedWith.recordId}.` : explanation,
    ]),
    "  ",
  );
}

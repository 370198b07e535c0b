import {
  type CallExplanation,
  EvidenceStage,
  EvidenceStageSchema,
  type EvidenceStep,
  type NearRecord,
  type RefusedCandidate,
} from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import type { CallDetailRecord } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import type { CallDuration, RoundingRule } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { type Correlation, Direction, RecordKind } from "../../gen/tandem/type/v1/call_pb.js";
import {
  type CallMeasure,
  type Discrepancy,
  DiscrepancyCause,
  DiscrepancyCauseSchema,
  DiscrepancyStatus,
  MatchedBySchema,
  RecordSide,
  RecordSideSchema,
} from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { formatTable, styled } from "../shared/output.ts";
import { formatParty } from "../shared/print-party.ts";
import { enumName, formatDuration, formatTime } from "../shared/values.ts";
import {
  formatCauses,
  formatCircumstances,
  formatDelta,
  formatReasons,
  formatStatus,
  isAgreeing,
} from "./print-discrepancies.ts";
import { formatStep } from "./print-evidence.ts";

/**
 * Prints one explained leg: the result, both sides' records side by side, the steps as sentences,
 * and what was not taken.
 */
export function printExplanation(explanation: CallExplanation): void {
  const { carrierId, result, steps, nearRecords, refusedCandidates } = explanation;
  console.log(styled("bold", `${carrierId}  ${result ? headline(result) : "no result"}`));
  console.log();
  console.log(sidesTable(explanation).join("\n"));
  console.log();
  for (const [index, step] of steps.entries()) {
    for (const line of formatStep(step, index + 1, explanation)) console.log(line);
  }
  const { near, others } = onceEach(nearRecords, refusedCandidates);
  if (near.length > 0) {
    console.log();
    console.log("Records that nearly fit:");
    console.log(nearTable(near).join("\n"));
  } else if (result && MISSING.has(result.status)) {
    console.log();
    console.log(
      "No unpaired record of the other side nearly fits. Tandem looked at records of the same two parties within 15 h.",
    );
  }
  if (others.length > 0) {
    console.log();
    console.log("Records that were considered but not taken:");
    console.log(candidatesTable(others).join("\n"));
  }
}

/**
 * A record that nearly fits and was considered too stands among the former, with why it was not
 * taken.
 */
function onceEach(near: readonly NearRecord[], refused: readonly RefusedCandidate[]) {
  const isSame = (a: NearRecord, b: RefusedCandidate) =>
    a.side === b.side && a.record?.recordId === b.record?.recordId && a.record?.recordDate === b.record?.recordDate;
  return {
    near: near.map((record) => {
      const why = refused.find((candidate) => isSame(record, candidate))?.explanation;
      return why === undefined ? record : { ...record, explanation: `${record.explanation} ${why}` };
    }),
    others: refused.filter((candidate) => !near.some((record) => isSame(record, candidate))),
  };
}

function headline(result: Discrepancy): string {
  const agrees = isAgreeing(result);
  const unknown = formatUnknownLength(result);
  const causes = withSide(agrees ? formatCauses(result) : formatReasons(result), result);
  const beside = withSide(agrees ? "" : formatCircumstances(result), result);
  const matchedBy = enumName(MatchedBySchema, result.matchedBy);
  return [
    formatStatus(result, "earlier a discrepancy, now resolved"),
    unknown,
    causes === "" || (unknown !== "" && causes === UNKNOWN) ? "" : `${agrees ? "note:" : introduce(causes)} ${causes}`,
    beside === "" ? "" : `note: ${beside}`,
    formatLengthDelta(result),
    matchedBy === undefined ? "" : `matched by ${matchedBy}`,
  ]
    .filter(Boolean)
    .join(", ");
}

/** Names of causes that leave open whose or what, said in full. */
function withSide(causes: string, { findings }: Discrepancy): string {
  const late = findings.find(({ cause }) => cause === DiscrepancyCause.LATE);
  const whose = late?.suspectedSide === RecordSide.PLATFORM ? "platform's" : "carrier's";
  return causes
    .replace(/\blate\b/, `${whose} record ${formatDuration(late?.lateByMs)} late`)
    .replace(/\bsplit\b/, "a missing part")
    .replace(/\bclock-skew\b/, "the clocks differ")
    .replace(/\bzone-shift\b/, "carrier's time zone is wrong")
    .replace(/\bnumbers-differ\b/, "the numbers differ");
}

/** The difference of the lengths, or of the bills where only these are known. */
function formatLengthDelta({ deltas }: Discrepancy): string {
  const { connectedDurationDeltaMs, billedDurationDeltaMs } = deltas ?? {};
  if (connectedDurationDeltaMs !== undefined) return `carrier's duration ${formatDelta(connectedDurationDeltaMs)}`;
  if (billedDurationDeltaMs === undefined) return "";
  // Bills are of whole seconds.
  return `carrier's bill ${formatDelta(billedDurationDeltaMs).replace(".0 s", " s")}`;
}

/** Of answered calls that cannot be compared: whose length is not known. */
function formatUnknownLength({ status, platformMeasure, carrierMeasure }: Discrepancy): string {
  if (status !== DiscrepancyStatus.DURATION_MISMATCH || !platformMeasure || !carrierMeasure) return "";
  const isUnknown = (measure: CallMeasure) =>
    measure.connectedDurationMs === undefined && measure.billedDurationS === undefined;
  if (isUnknown(platformMeasure))
    return isUnknown(carrierMeasure)
      ? "not compared: neither length is known"
      : "not compared: the platform's length is not known";
  return isUnknown(carrierMeasure) ? "not compared: the carrier's length is not known" : "";
}

function introduce(causes: string): string {
  return causes === UNKNOWN ? "cause" : "because of";
}

const UNKNOWN = enumName(DiscrepancyCauseSchema, DiscrepancyCause.UNKNOWN);

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
  "billing rule",
  "trunk",
  "SIP Call-ID",
  "ICID",
  "Session-ID",
  "ingested",
] as const;
type Line = (typeof LINES)[number];
type SideLines = Partial<Record<Line, string | undefined>>;

function sidesTable({ platformRecord, carrierRecords, steps }: CallExplanation): string[] {
  const sides: { title: string; side: SideLines }[] = [
    { title: "platform", side: platformRecord ? platformSide(platformRecord, steps) : { record: "none" } },
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

function platformSide(record: CallDetailRecord, steps: readonly EvidenceStep[]): SideLines {
  const { parties, times, lengths, route, correlation } = record;
  return {
    record: `${record.recordDate}/${record.recordId} #${record.revision ?? 1}`,
    state: record.kind === RecordKind.VOID ? "void" : "",
    direction: formatDirection(record.direction),
    calling: formatParty(parties?.calling),
    asserted: formatParty(parties?.asserted),
    called: formatParty(parties?.called),
    dialed: formatParty(parties?.dialed),
    redirecting: formatParty(parties?.redirecting),
    invite: formatTime(times?.inviteTime, "milliseconds"),
    answer: formatTime(times?.answerTime, "milliseconds") || (record.kind === RecordKind.VOID ? "" : "unanswered"),
    end: formatTime(times?.endTime, "milliseconds"),
    connected: [formatDuration(lengths?.connectedDurationMs), formatWhole(steps)].filter(Boolean).join(" "),
    total: formatDuration(lengths?.totalDurationMs),
    trunk: route?.trunkId,
    ...correlationLines(correlation),
    ingested: formatTime(record.ingestTime, "milliseconds"),
  };
}

/**
 * Of a call that the platform wrote in parts, of which the first is shown: how long all of them
 * are.
 */
function formatWhole(steps: readonly EvidenceStep[]): string {
  const split = steps.find(({ stage }) => stage === EvidenceStage.SPLIT);
  const parts = split?.values.flatMap(({ platformValue }) => platformValue?.split(" + ") ?? []) ?? [];
  const wholeMs = parts.reduce((sum, part) => sum + Number(part), 0);
  if (parts.length < 2 || !Number.isSafeInteger(wholeMs)) return "";
  return `(${formatDuration(BigInt(wholeMs))} in ${parts.length} records)`;
}

function carrierSide(record: CallDuration): SideLines {
  return {
    record: `${record.recordDate}/${record.recordId} #${record.revision ?? 1}`,
    state: record.kind === RecordKind.VOID ? "void" : "",
    direction: formatDirection(record.direction),
    calling: formatParty(record.calling),
    asserted: formatParty(record.asserted),
    called: formatParty(record.called),
    dialed: formatParty(record.dialed),
    redirecting: formatParty(record.redirecting),
    invite: formatTime(record.inviteTime, "milliseconds"),
    answer: formatTime(record.answerTime, "milliseconds") || (record.answered === false ? "unanswered" : ""),
    end: formatTime(record.endTime, "milliseconds"),
    connected: formatDuration(record.connectedDurationMs) || formatUnmeasured(record),
    billed: record.billedDurationS === undefined ? "" : `${record.billedDurationS} s`,
    "billing rule": formatRule(record.roundingRule),
    trunk: record.trunkId,
    ...correlationLines(record.correlation),
    ingested: formatTime(record.ingestTime, "milliseconds"),
  };
}

/** Which way the call crossed the trunk. */
function formatDirection(direction: Direction): string {
  if (direction === Direction.OUTBOUND) return "outbound (platform to carrier)";
  return direction === Direction.INBOUND ? "inbound (carrier to platform)" : "";
}

function formatUnmeasured({ answered, billedDurationS }: CallDuration): string {
  return answered === true && billedDurationS === undefined ? "not known" : "";
}

function formatRule(rule: RoundingRule | undefined): string {
  if (rule === undefined) return "";
  return `${rule.minimumS === 0 ? "" : `at least ${rule.minimumS} s, `}up to the next ${rule.incrementS} s`;
}

function correlationLines(correlation: Correlation | undefined): SideLines {
  return {
    "SIP Call-ID": correlation?.interconnectDialog?.callId,
    ICID: correlation?.icid,
    "Session-ID": correlation?.sessionId,
  };
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

import { tellLength } from "../../domain/matching/explain/evidence.ts";
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
import { Direction, RecordKind } from "../../gen/tandem/type/v1/call_pb.js";
import {
  type Discrepancy,
  DiscrepancyStatus,
  type RecordReference,
  RecordSideSchema,
} from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { formatTable, styled } from "../shared/output.ts";
import { enumName, formatParty, formatTime } from "../shared/values.ts";
import { formatStep } from "./print-evidence.ts";
import { formatHeadline, formatLength } from "./print-headline.ts";

/**
 * Prints one explained leg: the result, both sides' records side by side, the steps as sentences,
 * and what was not taken.
 */
export function printExplanation(explanation: CallExplanation): void {
  const { result, steps, nearRecords, refusedCandidates } = explanation;
  const { near, whole, others } = onceEach(nearRecords, refusedCandidates, result);
  // A carrier's own explanation does not say whose it is.
  const carrierId = explanation.carrierId ?? result?.carrierId ?? "";
  console.log(styled("bold", `${carrierId}  ${result ? formatHeadline(result, whole) : "no result"}`));
  printBlock("", sidesTable(explanation, whole));
  printBlock(
    "",
    steps.flatMap((step, index) => formatStep(step, index + 1, explanation)),
  );
  if (near.length > 0) printBlock("Records that nearly fit:", nearTable(near));
  else if (result && MISSING.has(result.status)) printBlock(NONE_NEAR, []);
  const most = refusedCandidates.length < MOST_REFUSED ? "" : ` (the nearest ${MOST_REFUSED}; there may be more)`;
  if (others.length > 0) printBlock(`Records that were considered but not taken${most}:`, candidatesTable(others));
}

const NONE_NEAR =
  "No unpaired record of the other side nearly fits. Tandem looked at records of the same two parties up to 15 h before or after.";
/** An explanation has no more refused candidates. */
const MOST_REFUSED = 20;

function printBlock(title: string, lines: readonly string[]): void {
  console.log();
  for (const line of title === "" ? lines : [title, ...lines]) console.log(line);
}

/**
 * A record that nearly fits and was considered too stands among the former, with why it was not
 * taken; and the record of the whole call, of which this is a later part, by itself.
 */
function onceEach(near: readonly NearRecord[], refused: readonly RefusedCandidate[], result: Discrepancy | undefined) {
  const isPart = result?.status === DiscrepancyStatus.PART_OF_CALL;
  const whole = refused.find(({ pairedWith }) => isPart && isSame(pairedWith, result.duplicateOf));
  return {
    near: near.map((record) => {
      const why = refused.find((candidate) => isSame(record.record, candidate.record))?.explanation;
      return why === undefined ? record : { ...record, explanation: `${record.explanation} ${why}` };
    }),
    whole,
    others: refused.filter(
      (candidate) => candidate !== whole && !near.some(({ record }) => isSame(record, candidate.record)),
    ),
  };
}

function isSame(a: RecordReference | undefined, b: RecordReference | undefined): boolean {
  return a !== undefined && a.recordId === b?.recordId && a.recordDate === b.recordDate;
}

const MISSING: ReadonlySet<DiscrepancyStatus> = new Set([
  DiscrepancyStatus.MISSING_AT_CARRIER,
  DiscrepancyStatus.MISSING_AT_PLATFORM,
]);

/** What one record shows, a line each; what it does not have is left out or empty. */
type SideLines = Readonly<Record<string, string | undefined>>;

function sidesTable(
  { platformRecord, carrierRecords, steps }: CallExplanation,
  ofWhole: RefusedCandidate | undefined,
): string[] {
  const whole = platformRecord && wholeCall(platformRecord, steps);
  const none = { record: ofWhole ? `${formatRecord(ofWhole.record)}, of the whole call` : "none" };
  const sides: { title: string; side: SideLines }[] = [
    {
      title: whole ? `platform, record 1 of ${whole.count}` : "platform",
      side: platformRecord ? { ...sideLines(flatten(platformRecord)), ...whole?.lines } : { record: "none" },
    },
    ...carrierRecords.map((record, index) => ({
      title: carrierRecords.length > 1 || record.part ? `carrier, ${formatPart(record, index)}` : "carrier",
      side: sideLines(record),
    })),
  ];
  if (carrierRecords.length === 0) sides.push({ title: "carrier", side: none });
  const columns = [{ title: "" }, ...sides.map(({ title }) => ({ title }))];
  const lines = new Set(sides.flatMap(({ side }) => Object.keys(side)));
  const shown = [...lines].filter((line) => sides.some(({ side }) => side[line]));
  return formatTable(
    columns,
    shown.map((line) => [line, ...sides.map(({ side }) => side[line] ?? "")]),
  );
}

function formatPart({ part }: CallDuration, index: number): string {
  const count = part?.partCount === undefined ? "" : ` of ${part.partCount}`;
  return `part ${part?.partIndex ?? index + 1}${part?.lastPart ? `${count}, the last` : count}`;
}

type FlatRecord = Partial<Omit<CallDuration, "$typeName">> & { readonly totalDurationMs?: bigint | undefined };

/** The platform's record in the carrier's shape. */
function flatten({ parties, times, lengths, route, ...record }: CallDetailRecord): FlatRecord {
  const answered = record.kind === RecordKind.VOID || times?.answerTime !== undefined ? undefined : false;
  return { ...record, ...parties, ...times, ...lengths, trunkId: route?.trunkId, answered } as FlatRecord;
}

/**
 * Of a call that the platform wrote in several records, of which the first is shown: how long all
 * of them are.
 */
function wholeCall({ lengths }: CallDetailRecord, steps: readonly EvidenceStep[]) {
  const split = steps.find(({ stage }) => stage === EvidenceStage.SPLIT);
  const parts = split?.values.flatMap(({ platformValue }) => platformValue?.split(" + ") ?? []) ?? [];
  const wholeMs = parts.reduce((sum, part) => sum + Number(part), 0);
  if (parts.length < 2 || !Number.isSafeInteger(wholeMs)) return undefined;
  const own = `this record ${formatLength(lengths?.connectedDurationMs)}`;
  return { count: parts.length, lines: { connected: `${own}; whole call ${tellLength(wholeMs)}` } };
}

/** All lines, in the order in which they are shown. */
function sideLines(record: FlatRecord): SideLines {
  const { recordDate, recordId, revision, answered, billedDurationS, connectedDurationMs, correlation } = record;
  const isUnmeasured = answered === true && billedDurationS === undefined;
  return {
    record: `${recordDate}/${recordId} #${revision ?? 1}`,
    state: record.kind === RecordKind.VOID ? "void" : "",
    direction: formatDirection(record.direction),
    calling: formatParty(record.calling),
    asserted: formatParty(record.asserted),
    called: formatParty(record.called),
    dialed: formatParty(record.dialed),
    redirecting: formatParty(record.redirecting),
    invite: formatTime(record.inviteTime, "milliseconds"),
    answer: formatTime(record.answerTime, "milliseconds") || (answered === false ? "unanswered" : ""),
    end: formatTime(record.endTime, "milliseconds"),
    connected: formatLength(connectedDurationMs) || (isUnmeasured ? "not known" : ""),
    total: formatLength(record.totalDurationMs),
    billed: billedDurationS === undefined ? "" : formatLength(billedDurationS * 1_000n),
    "billing rule": formatRule(record.roundingRule),
    trunk: record.trunkId,
    "SIP Call-ID": correlation?.interconnectDialog?.callId,
    ICID: correlation?.icid,
    "Session-ID": correlation?.sessionId,
    ingested: formatTime(record.ingestTime, "milliseconds"),
  };
}

/** Which way the call crossed the trunk. */
function formatDirection(direction: Direction | undefined): string {
  if (direction === Direction.OUTBOUND) return "outbound (platform to carrier)";
  return direction === Direction.INBOUND ? "inbound (carrier to platform)" : "";
}

function formatRule(rule: RoundingRule | undefined): string {
  if (rule === undefined) return "";
  const minimum = rule.minimumS === 0 ? "" : `, at least ${tellLength(rule.minimumS * 1_000)}`;
  return `up in steps of ${tellLength(rule.incrementS * 1_000)}${minimum}`;
}

function formatOff(ms: bigint | undefined): string {
  return ms === undefined ? "" : `${ms < 0n ? "-" : "+"}${formatLength(ms)}`;
}

function formatRecord(record: RecordReference | undefined): string {
  return record ? `${record.recordDate}/${record.recordId}` : "";
}

/** The columns that both lists of other records begin with. */
const OTHER_COLUMNS = [{ title: "side" }, { title: "record" }, { title: "off by", align: "right" }] as const;

function otherCells({ side, record, startDeltaMs }: NearRecord | RefusedCandidate): string[] {
  return [enumName(RecordSideSchema, side) ?? "", formatRecord(record), formatOff(startDeltaMs)];
}

function nearTable(records: readonly NearRecord[]): string[] {
  const rows = records.map((near) => {
    const { connectedDurationMs, billedDurationS, explanation } = near;
    const billed = billedDurationS === undefined ? "" : `${formatLength(billedDurationS * 1_000n)} billed`;
    return [...otherCells(near), formatLength(connectedDurationMs) || billed, explanation];
  });
  return formatTable([...OTHER_COLUMNS, { title: "length", align: "right" }, { title: "how it fits" }], rows, "  ");
}

function candidatesTable(candidates: readonly RefusedCandidate[]): string[] {
  const rows = candidates.map((candidate) => {
    const { refusedAt, explanation, pairedWith } = candidate;
    const why = pairedWith ? `${explanation} It is paired with ${formatRecord(pairedWith)}.` : explanation;
    return [...otherCells(candidate), enumName(EvidenceStageSchema, refusedAt) ?? "", why];
  });
  return formatTable([...OTHER_COLUMNS, { title: "refused at" }, { title: "why" }], rows, "  ");
}

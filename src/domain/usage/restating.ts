import { RestatementCause, UsagePart } from "../../gen/tandem/platform/v1/usage_pb.js";
import { DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import type { Micros } from "../time/instant.ts";
import { addTotals, type PartTotals, subtractTotals, totalOf, type UsageTotals } from "./totals.ts";

// Why figures of a closed period changed. Lines are compared whole, so no change is missed; then
// the cause is looked for in what happened since the last comparison.

/** The key of a line of figures, the finest grouping that closed periods keep; empty: absent. */
export interface LineKey {
  readonly usageDate: string;
  readonly phoneNumber: string;
  readonly direction: number;
  readonly countryCode: string;
  readonly carrierId: string;
}

/** A line that changed since it was kept. */
export interface ChangedLine extends LineKey {
  readonly oldParts: PartTotals;
  readonly newParts: PartTotals;
}

/** A call that was judged anew since the last comparison, whether it counts or not. */
export interface ChangedCall extends LineKey {
  readonly status: number;
  readonly records: readonly RestatedRecord[];
  readonly arrivalTime: Micros;
}

export interface RestatedRecord {
  readonly carrierId: string;
  readonly side: number;
  readonly recordId: string;
  readonly recordDate: string;
  readonly revision: number;
}

/** What else happened since the last comparison. */
export interface Circumstances {
  readonly closeTime: Micros;
  /** Numbers whose history changed. */
  readonly changedNumbers: ReadonlySet<string>;
  /** Carriers whose agreement or rules changed. */
  readonly changedRules: ReadonlySet<string>;
  /** Up to when a carrier's records were in the earlier figures. */
  readonly judgedThrough: (carrierId: string) => Micros;
}

export interface ExplainedLine extends ChangedLine {
  readonly cause: RestatementCause;
  readonly records: readonly RestatedRecord[];
}

/** A restatement without its number. */
export interface RestatementDraft {
  readonly cause: RestatementCause;
  readonly lines: readonly ExplainedLine[];
  /** The period's sums. */
  readonly oldTotals: UsageTotals;
  readonly newTotals: UsageTotals;
}

/** Most lines of one restatement. */
const MAX_LINES = 1_000;
/** Most records that a line names. */
export const MAX_LINE_RECORDS = 100;
/** Most records that one restatement names. With ids of 128 characters it still fits a message. */
const MAX_RECORDS = 10_000;

/**
 * The restatements of changed lines, at least one for each cause, with the period's sums before and
 * after each.
 */
export function draftRestatements(
  lines: readonly ChangedLine[],
  calls: readonly ChangedCall[],
  circumstances: Circumstances,
  totals: UsageTotals,
): RestatementDraft[] {
  const find = callFinder(calls);
  const explained = lines.map((line) => explainLine(line, find(line), circumstances));
  const drafts: RestatementDraft[] = [];
  let before = totals;
  for (const [cause, changed] of [...Map.groupBy(explained, (line) => line.cause)].sort(([a], [b]) => a - b)) {
    for (const some of chunkLines(changed)) {
      const after = some.reduce((sum, line) => addTotals(sum, changeOf(line)), before);
      drafts.push({ cause, lines: some, oldTotals: before, newTotals: after });
      before = after;
    }
  }
  return drafts;
}

// The calls of a line. If a line lost a call (to another day or another result), what changed of
// its number.
function callFinder(calls: readonly ChangedCall[]): (line: LineKey) => readonly ChangedCall[] {
  const byLine = Map.groupBy(calls, lineName);
  const byNumber = Map.groupBy(calls, numberName);
  return (line) => byLine.get(lineName(line)) ?? byNumber.get(numberName(line)) ?? [];
}

function lineName(line: LineKey): string {
  return JSON.stringify([line.usageDate, line.phoneNumber, line.direction, line.countryCode, line.carrierId]);
}

function numberName({ phoneNumber, carrierId }: LineKey): string {
  return `${carrierId} ${phoneNumber}`;
}

function explainLine(line: ChangedLine, calls: readonly ChangedCall[], circumstances: Circumstances): ExplainedLine {
  const arrived = calls.filter((call) => call.arrivalTime > circumstances.judgedThrough(line.carrierId));
  const explain = (cause: RestatementCause, because: readonly ChangedCall[]) => ({
    ...line,
    cause,
    records: because.flatMap((call) => call.records),
  });
  const voided = arrived.filter((call) => call.status === DiscrepancyStatus.VOIDED);
  if (voided.length > 0) return explain(RestatementCause.VOID, voided);
  const corrected = arrived.filter((call) => call.records.some((record) => record.revision > 1));
  if (corrected.length > 0) return explain(RestatementCause.CORRECTION, corrected);
  const late = arrived.filter((call) => call.arrivalTime > circumstances.closeTime);
  if (late.length > 0) return explain(RestatementCause.LATE_RECORD, late);
  if (circumstances.changedNumbers.has(line.phoneNumber)) return explain(RestatementCause.NUMBER_HISTORY, []);
  // A call that is no longer pending has been judged, whatever the rules.
  const isJudged = pendingOf(line.newParts) < pendingOf(line.oldParts);
  if (circumstances.changedRules.has(line.carrierId) && !isJudged) return explain(RestatementCause.RULE_CHANGE, calls);
  return explain(RestatementCause.RECONCILED, calls);
}

function pendingOf(parts: PartTotals): bigint {
  return parts.get(UsagePart.PENDING)?.attempts ?? 0n;
}

function changeOf({ oldParts, newParts }: ChangedLine): UsageTotals {
  return subtractTotals(totalOf(newParts), totalOf(oldParts));
}

function chunkLines(lines: readonly ExplainedLine[]): ExplainedLine[][] {
  const chunks: ExplainedLine[][] = [];
  let records = 0;
  for (const line of lines) {
    const named = Math.min(line.records.length, MAX_LINE_RECORDS);
    const last = chunks.at(-1);
    if (last && last.length < MAX_LINES && records + named <= MAX_RECORDS) {
      last.push(line);
      records += named;
    } else {
      chunks.push([line]);
      records = named;
    }
  }
  return chunks;
}

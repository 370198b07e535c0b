import { RestatementCause, UsagePart } from "../../gen/tandem/platform/v1/usage_pb.js";
import { DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import type { Micros } from "../time/instant.ts";
import { addTotals, type PartTotals, subtractTotals, totalOf, type UsageTotals } from "./totals.ts";

// Why figures of a closed period changed. The lines are compared as they are, so nothing that
// changes them can be missed; the cause is then looked for in what happened since the last
// comparison.

/**
 * What a line of figures is about: the finest grouping that closed periods are kept by; '' for what
 * is absent.
 */
export interface LineKey {
  readonly usageDate: string;
  readonly phoneNumber: string;
  readonly direction: number;
  readonly countryCode: string;
  readonly carrierId: string;
}

/** A line that is no longer as it was kept. */
export interface ChangedLine extends LineKey {
  readonly oldParts: PartTotals;
  readonly newParts: PartTotals;
}

/**
 * A call of the period that was judged anew since the last comparison, whether it counts or not.
 */
export interface ChangedCall extends LineKey {
  readonly status: number;
  readonly records: readonly RestatedRecord[];
  /** When its newest record was committed. */
  readonly arrivalTime: Micros;
}

/** A record, in the revision that counts. */
export interface RestatedRecord {
  readonly carrierId: string;
  /** 1 the platform's, 2 the carrier's. */
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
  /** Carriers whose agreement changed, or the rules by which they are judged. */
  readonly changedRules: ReadonlySet<string>;
  /** Until when a carrier's records were in the figures before. */
  readonly judgedThrough: (carrierId: string) => Micros;
}

/** A line, why it changed, and by which records. */
export interface ExplainedLine extends ChangedLine {
  readonly cause: RestatementCause;
  readonly records: readonly RestatedRecord[];
}

/** A numbered change, before it has a number. */
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
/**
 * Most records that one restatement names: with ids of 128 characters it stays below the size of a
 * message.
 */
const MAX_RECORDS = 10_000;

/**
 * The restatements that lines make, one or more for each cause, and the period's sums before and
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

// The calls of a line; of one that has lost a call altogether (it was moved to another day, or
// merged into another), what changed of its number.
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
  // Under any rules, a call that was pending and is not has been judged.
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

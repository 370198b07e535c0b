import { createHash } from "node:crypto";
import { recordText, revisionsText } from "../domain/matching/facts.ts";
import type { LonePair } from "../domain/matching/pairing/lone-pairs.ts";
import type { CallResult } from "../domain/matching/result.ts";
import { ERASED_HASH } from "../domain/privacy/erasure.ts";
import { CARRIER_SIDE } from "../domain/record-kind.ts";
import type { Micros } from "../domain/time/instant.ts";
import type { ZoneDays } from "../domain/time/zone-days.ts";
import { DiscrepancyStatus } from "../gen/tandem/type/v1/discrepancy_pb.js";
import type { FeedLock } from "../store/feeds/feed-head.ts";
import type { CallResultRow, ResultName } from "../store/reconciliation/call-result-columns.ts";
import type { DiscrepancyEntry, DiscrepancyTraits } from "../store/reconciliation/discrepancies.ts";
import type { LoneRow } from "./lone-calls.ts";
import { encodeDiscrepancy, encodeMerged } from "./result-codec.ts";
import { disagrees, type JudgedRow, judgedRow, nameOf, nameText } from "./result-row.ts";

export interface Judged {
  readonly result: CallResult;
  readonly row: JudgedRow;
  readonly name: string;
}

export interface Changes {
  /** New results, and those that are shown otherwise. */
  readonly changed: readonly { judged: Judged; before: CallResultRow | undefined }[];
  /** Rows whose record belongs to another call now. */
  readonly merged: readonly { row: CallResultRow; into: Judged }[];
  readonly deleted: readonly ResultName[];
}

export function judge(results: readonly CallResult[], days: ZoneDays): Judged[] {
  return results.map((found) => {
    const result = withoutSupport(found);
    return { result, row: judgedRow(result, days), name: nameText(nameOf(result)) };
  });
}

// Support grows with every call of the hour and is no news of this call. Explanations tell it.
function withoutSupport(result: CallResult): CallResult {
  if (result.findings.length === 0) return result;
  return { ...result, findings: result.findings.map(({ pairCount: _, ratio: __, ...finding }) => finding) };
}

/** Names that the carrier's records have as results of their own. */
export function memberNames(judged: readonly Judged[]): ResultName[] {
  return judged.flatMap(({ result, name }) =>
    result.carrier
      .map(({ recordId, recordDate }) => ({ side: CARRIER_SIDE, recordId, recordDate }))
      .filter((member) => nameText(member) !== name),
  );
}

export function findChanges(judged: readonly Judged[], stored: ReadonlyMap<string, CallResultRow>): Changes {
  const changed: { judged: Judged; before: CallResultRow | undefined }[] = [];
  const merged: { row: CallResultRow; into: Judged }[] = [];
  const deleted: ResultName[] = [];
  for (const each of judged) {
    const before = stored.get(each.name);
    if (!before || before.isMerged || isOtherwise(before, each.row)) changed.push({ judged: each, before });
    for (const name of memberNames([each])) {
      const row = stored.get(nameText(name));
      if (!row || row.isMerged) continue;
      if (row.discrepancyId === undefined) deleted.push(name);
      else merged.push({ row, into: each });
    }
  }
  return { changed, merged, deleted };
}

/**
 * Lone pairs without a stored result are new. Those with another one, or with a record that a
 * stored result of another name has, may change what was told: they are judged as all others are.
 */
export function compareLone(
  lone: readonly LoneRow[],
  stored: ReadonlyMap<string, CallResultRow>,
): { readonly fresh: readonly LoneRow[]; readonly changed: readonly LonePair[] } {
  if (stored.size === 0) return { fresh: lone, changed: [] };
  const fresh: LoneRow[] = [];
  const changed: LonePair[] = [];
  const holders = holdersOf(stored);
  for (const call of lone) {
    const { name, row, pair } = call;
    const before = stored.get(name);
    const holder = holders.get(recordText(pair.carrier));
    if (holder !== undefined && holder !== name) changed.push(pair);
    else if (before === undefined) fresh.push(call);
    else if (before.isMerged || before.resultHash !== row.resultHash) changed.push(pair);
  }
  return { fresh, changed };
}

/** Which stored results have which records of the carrier; MANY: several. */
function holdersOf(stored: ReadonlyMap<string, CallResultRow>): Map<string, string> {
  const holders = new Map<string, string>();
  for (const [name, { isMerged, carrierRecords }] of stored) {
    if (isMerged) continue;
    for (const record of carrierRecords) {
      const text = recordText(record);
      holders.set(text, holders.has(text) ? MANY : name);
    }
  }
  return holders;
}

const MANY = "";

// An erased call has no hash, so the kept columns are compared.
function isOtherwise(before: CallResultRow, row: JudgedRow): boolean {
  if (before.resultHash !== ERASED_HASH) return before.resultHash !== row.resultHash;
  const records = ({ carrierRecords }: JudgedRow) => revisionsText(carrierRecords);
  return records(before) !== records(row) || KEPT_OF_ERASED.some((name) => before[name] !== row[name]);
}

const KEPT_OF_ERASED = [
  "revision",
  "startTime",
  "callDate",
  "status",
  "causes",
  "matchedBy",
  "pendingReason",
  "direction",
  "trunkId",
  "platformAnswered",
  "carrierAnswered",
  "platformMs",
  "carrierMs",
  "billedS",
] as const;

/** Whether the discrepancy feed tells a change: the call disagrees, or did. */
export function isTold({ judged, before }: Changes["changed"][number]): boolean {
  return disagrees(judged.row.status) || (before !== undefined && before.discrepancyId !== undefined);
}

/** The row of a change that the feed does not tell. */
export function untoldRow({ judged }: Changes["changed"][number]): CallResultRow {
  return { ...judged.row, ...NEVER_TOLD };
}

/** Rows and entries of changes that the feed tells, numbered from the lock's next sequence. */
export function logChanges(
  carrierId: string,
  { told, merged }: { readonly told: Changes["changed"]; readonly merged: Changes["merged"] },
  lock: FeedLock,
): { rows: CallResultRow[]; entries: DiscrepancyEntry[] } {
  const rows: CallResultRow[] = [];
  const entries: DiscrepancyEntry[] = [];
  const log = (row: CallResultRow, before: CallResultRow | undefined) => {
    row.sequence = lock.nextSequence + BigInt(entries.length);
    entries.push({
      discrepancyId: row.discrepancyId ?? "",
      now: traitsOf(row),
      before: before && before.discrepancyId !== undefined ? traitsOf(before) : undefined,
      payload: row.payload ?? Buffer.alloc(0),
    });
    rows.push(row);
  };
  for (const change of told) log(toldRow(carrierId, change, lock.ingestTime), change.before);
  for (const { row, into } of merged) log(mergedRow(carrierId, row, into, lock.ingestTime), row);
  return { rows, entries };
}

const NEVER_TOLD = {
  isMerged: false,
  discrepancyId: undefined,
  discrepancyRevision: 0,
  firstSeenTime: undefined,
  resolvedTime: undefined,
  sequence: undefined,
  payload: undefined,
} as const;

function toldRow(carrierId: string, { judged, before }: Changes["changed"][number], now: Micros): CallResultRow {
  const { row, result } = judged;
  const isUnresolved = disagrees(row.status) || row.status === DiscrepancyStatus.PENDING;
  const discrepancyId = before?.discrepancyId ?? discrepancyIdOf(carrierId, judged.name);
  const revision = (before?.discrepancyRevision ?? 0) + 1;
  const firstSeenTime = before?.firstSeenTime ?? now;
  const resolvedTime = isUnresolved ? undefined : (before?.resolvedTime ?? now);
  const told = { discrepancyId, firstSeenTime, resolvedTime };
  const payload = encodeDiscrepancy(result, { ...told, carrierId, revision, callDate: row.callDate });
  return { ...row, ...told, isMerged: false, discrepancyRevision: revision, payload, sequence: undefined };
}

function mergedRow(carrierId: string, row: CallResultRow, into: Judged, now: Micros): CallResultRow {
  const revision = row.discrepancyRevision + 1;
  const { status } = into.row;
  const mergedIntoDiscrepancyId = discrepancyIdOf(carrierId, into.name);
  const payload =
    row.payload && encodeMerged(row.payload, { status, revision, mergedIntoDiscrepancyId, resolvedTime: now });
  return {
    ...row,
    status,
    pendingReason: 0,
    isMerged: true,
    isOpen: false,
    dueTime: undefined,
    pairKey: undefined,
    correlationKey: undefined,
    idKeys: undefined,
    discrepancyRevision: revision,
    resolvedTime: now,
    payload,
  };
}

function discrepancyIdOf(carrierId: string, name: string): string {
  return createHash("sha256").update(`${carrierId}/${name}`).digest("base64url").slice(0, 22);
}

function traitsOf(row: CallResultRow): DiscrepancyTraits {
  const { status, causes, customerId, trunkId, direction, resolvedTime } = row;
  const unresolved = resolvedTime === undefined;
  return { status, causes, customerId, trunkId, direction, unresolved, absoluteDeltaMs: absoluteDelta(row) };
}

/**
 * Absolute difference of the durations, the whole length if one side lacks the call; undefined:
 * unknown. For lists and summaries.
 */
function absoluteDelta(row: CallResultRow): bigint | undefined {
  const { platformMs, carrierMs, billedS } = row;
  const lacksCarrier = row.carrierAnswered === true && carrierMs === undefined && billedS === undefined;
  if (lacksCarrier || (row.platformAnswered === true && platformMs === undefined)) return undefined;
  const delta = (carrierMs ?? (billedS ?? 0n) * 1_000n) - (platformMs ?? 0n);
  return delta < 0n ? -delta : delta;
}

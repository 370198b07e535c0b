import { CARRIER_SIDE, CDR } from "../domain/record-kind.ts";
import { DAY } from "../domain/time/instant.ts";
import { ErasureExceptionReason } from "../gen/tandem/platform/v1/privacy_service_pb.js";
import { DiscrepancyStatus } from "../gen/tandem/type/v1/discrepancy_pb.js";
import type { Tx } from "../store/database/run.ts";
import type { RecordName, RewrittenRecord, StoredRecord } from "../store/privacy/erase-calls.ts";
import { readJudgedThrough, type StoredResult } from "../store/privacy/erase-results.ts";
import type { ResultName } from "../store/reconciliation/call-result-columns.ts";
import type { CarrierErasure } from "./carrier-run.ts";
import type { HeldBack } from "./erased-counts.ts";
import { LONGEST_CALL, recordWithout } from "./erased-record.ts";
import { legalMinimum } from "./legal-minimum.ts";

/** Calls with both sides' records. */
export interface FoundCalls {
  readonly records: readonly RewrittenRecord[];
  readonly results: readonly StoredResult[];
  /** Hashes of masked ids, each with that of its replacement. */
  readonly idKeys: ReadonlyMap<bigint, bigint>;
  /** Names of stored records. */
  readonly stored: ReadonlySet<string>;
}

// A call is erased whole or not at all: what keeps one record keeps its counterpart and result.
export async function findKept(
  tx: Tx,
  run: CarrierErasure,
  records: readonly StoredRecord[],
  results: readonly StoredResult[],
): Promise<ReadonlySet<string>> {
  const reasons = findReasons(run, records, results, await readJudgedThrough(tx, run.carrierId));
  for (const result of results) {
    const members = membersOf(result);
    const held =
      members.map((name) => reasons.get(name)).find((reason) => reason !== undefined) ?? graceOf(run, result);
    if (held) for (const name of members) if (!reasons.has(name)) reasons.set(name, held);
  }
  for (const record of records) {
    const held = reasons.get(recordName(record));
    if (held && recordWithout(run, record)) run.exceptions.add(record.kind.part, held, recordName(record));
  }
  return new Set(reasons.keys());
}

function findReasons(
  run: CarrierErasure,
  records: readonly StoredRecord[],
  results: readonly StoredResult[],
  judged: { cdrs: bigint; durations: bigint },
): Map<string, HeldBack> {
  const withResult = new Set(results.flatMap(membersOf));
  const found = records.map((record) => {
    const name = recordName(record);
    const through = record.kind === CDR ? judged.cdrs : judged.durations;
    // After a restore everything is judged again; what has a result was judged before.
    const isJudged = record.sequence <= through || (through === 0n && withResult.has(name));
    return [name, keeps(run, record) ?? pendingOf(run, record, !isJudged)] as const;
  });
  return new Map(found.flatMap(([name, held]) => (held ? [[name, held]] : [])));
}

export function keeps(
  { legalCountry, now }: CarrierErasure,
  { kind, hold, startTime, ingestTime }: Pick<StoredRecord, "kind" | "hold" | "startTime" | "ingestTime">,
): HeldBack | undefined {
  if (hold) return { reason: ErasureExceptionReason.HELD, due: hold.endTime, source: hold.holdId };
  return legalMinimum(legalCountry, kind.part, startTime ?? ingestTime, now);
}

// Calls that wait for records or for a judgement, for as long as that can take.
function pendingOf(run: CarrierErasure, record: StoredRecord, isUnjudged: boolean): HeldBack | undefined {
  const openUntil = record.isPartial ? (record.startTime ?? record.ingestTime) + LONGEST_CALL : 0n;
  const judgedUntil = isUnjudged ? run.acceptTime + DAY : 0n;
  const due = openUntil > judgedUntil ? openUntil : judgedUntil;
  return due > run.now ? { reason: ErasureExceptionReason.PENDING, due } : undefined;
}

function graceOf(run: CarrierErasure, { status, dueTime }: StoredResult): HeldBack | undefined {
  if (status !== DiscrepancyStatus.PENDING) return undefined;
  const due = dueTime === undefined || dueTime < run.now ? run.acceptTime + DAY : dueTime;
  return due > run.now ? { reason: ErasureExceptionReason.PENDING, due } : undefined;
}

export function membersOf(result: StoredResult): string[] {
  return namesIn(result).map(nameOf);
}

/** A result's own name, and the carrier's records that it rests on. */
export function namesIn({ side, recordId, recordDate, carrierRecords }: StoredResult): ResultName[] {
  return [{ side, recordId, recordDate }, ...carrierRecords.map((record) => ({ ...record, side: CARRIER_SIDE }))];
}

/** The names of records. */
export function recordNames(records: readonly StoredRecord[]): ResultName[] {
  return records.map(({ kind: { side }, recordId, recordDate }) => ({ side, recordId, recordDate }));
}

export function recordName({ kind, recordId, recordDate }: StoredRecord): string {
  return nameOf({ side: kind.side, recordId, recordDate });
}

function nameOf({ side, recordId, recordDate }: ResultName): string {
  return `${side}/${recordDate}/${recordId}`;
}

export function unique<Name extends RecordName & { side?: number }>(names: readonly Name[]): Name[] {
  return [...new Map(names.map((name) => [`${name.side}/${name.recordDate}/${name.recordId}`, name])).values()];
}

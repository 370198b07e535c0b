import type { Stated } from "../domain/enum-values.ts";
import { CARRIER_SIDE, CDR, DURATION, PLATFORM_SIDE, type RecordKind } from "../domain/record-kind.ts";
import { DAY } from "../domain/time/instant.ts";
import { ErasureExceptionReason } from "../gen/tandem/platform/v1/privacy_service_pb.js";
import type { RecordPart } from "../gen/tandem/type/v1/agreement_pb.js";
import { DiscrepancyStatus } from "../gen/tandem/type/v1/discrepancy_pb.js";
import type { Tx } from "../store/database/run.ts";
import type { RecordName, RewrittenCdr, StoredRecord } from "../store/privacy/erase-calls.ts";
import { readJudgedThrough, type StoredResult } from "../store/privacy/erase-results.ts";
import type { CarrierErasure } from "./carrier-run.ts";
import type { HeldBack } from "./erased-counts.ts";
import { cdrWithout, durationWithout, LONGEST_CALL } from "./erased-record.ts";
import { legalMinimum } from "./legal-minimum.ts";

/** Calls with both sides' records. */
export interface FoundCalls {
  readonly platform: readonly RewrittenCdr[];
  readonly carrier: readonly StoredRecord[];
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
  stored: { platform: readonly StoredRecord[]; carrier: readonly StoredRecord[] },
  results: readonly StoredResult[],
): Promise<Set<string>> {
  const judged = await readJudgedThrough(tx, run.carrierId);
  const reasons = new Map<string, HeldBack>();
  const withResult = new Set(results.flatMap(membersOf));
  const note = ({ side, part }: RecordKind, record: StoredRecord, through: bigint) => {
    const name = nameOf(side, record);
    // After a restore everything is judged again; what has a result was judged before.
    const isJudged = record.sequence <= through || (through === 0n && withResult.has(name));
    const held = keeps(run, part, record) ?? pendingOf(run, record, !isJudged);
    if (held) reasons.set(name, held);
  };
  for (const record of stored.platform) note(CDR, record, judged.cdrs);
  for (const record of stored.carrier) note(DURATION, record, judged.durations);
  for (const result of results) {
    const members = membersOf(result);
    const held =
      members.map((name) => reasons.get(name)).find((reason) => reason !== undefined) ?? graceOf(run, result);
    if (held) for (const name of members) if (!reasons.has(name)) reasons.set(name, held);
  }
  reportKept(run, stored, reasons);
  return new Set(reasons.keys());
}

function reportKept(
  run: CarrierErasure,
  stored: { platform: readonly StoredRecord[]; carrier: readonly StoredRecord[] },
  reasons: ReadonlyMap<string, HeldBack>,
): void {
  const sides = [
    {
      kind: CDR,
      records: stored.platform,
      isIn: (record: StoredRecord) => cdrWithout(run, record) !== undefined,
    },
    {
      kind: DURATION,
      records: stored.carrier,
      isIn: (record: StoredRecord) => durationWithout(run, record) !== undefined,
    },
  ];
  for (const { kind, records, isIn } of sides) {
    for (const record of records) {
      const name = nameOf(kind.side, record);
      const held = reasons.get(name);
      if (held && isIn(record)) run.exceptions.add(kind.part, held, name);
    }
  }
}

export function keeps(
  { legalCountry, now }: CarrierErasure,
  part: Stated<RecordPart>,
  record: Pick<StoredRecord, "hold" | "startTime" | "ingestTime">,
): HeldBack | undefined {
  const { hold, startTime, ingestTime } = record;
  if (hold) return { reason: ErasureExceptionReason.HELD, due: hold.endTime, source: hold.holdId };
  return legalMinimum(legalCountry, part, startTime ?? ingestTime, now);
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

export function isKept(kept: ReadonlySet<string>, result: StoredResult): boolean {
  return membersOf(result).some((name) => kept.has(name));
}

export function membersOf(result: StoredResult): string[] {
  const carrier = result.carrierRecords.map((record) => nameOf(CARRIER_SIDE, record));
  return [nameOf(result.side, result), ...carrier];
}

// Both sides, as stored and as named by results.
export function sidesOf({ platform, carrier, results }: FoundCalls): (RecordName & { side: number })[] {
  return [
    ...platform.map(({ recordId, recordDate }) => ({ side: PLATFORM_SIDE, recordId, recordDate })),
    ...[...carrier, ...results.flatMap(({ carrierRecords }) => carrierRecords)].map(({ recordId, recordDate }) => ({
      side: CARRIER_SIDE,
      recordId,
      recordDate,
    })),
    ...results.map(({ side, recordId, recordDate }) => ({ side, recordId, recordDate })),
  ];
}

export function nameOf(side: number, { recordId, recordDate }: RecordName): string {
  return `${side}/${recordDate}/${recordId}`;
}

export function unique<Name extends RecordName>(names: readonly Name[]): Name[] {
  return [...new Map(names.map((name) => [`${name.recordDate}/${name.recordId}`, name])).values()];
}

import type { Stated } from "../domain/enum-values.ts";
import { FeedId } from "../domain/feed-id.ts";
import { type ErasureScope, reachesSubscriber } from "../domain/privacy/erasure.ts";
import { CARRIER_SIDE, CDR, DURATION, PLATFORM_SIDE, type RecordKind } from "../domain/record-kind.ts";
import type { Micros } from "../domain/time/instant.ts";
import { ErasureExceptionReason, SubjectRole } from "../gen/tandem/platform/v1/privacy_service_pb.js";
import { RecordPart } from "../gen/tandem/type/v1/agreement_pb.js";
import { DiscrepancyStatus } from "../gen/tandem/type/v1/discrepancy_pb.js";
import { PartyKind } from "../gen/tandem/type/v1/party_pb.js";
import type { Tx } from "../store/database/run.ts";
import { advanceFeed, type FeedLock, lockFeed } from "../store/feeds/feed-head.ts";
import {
  insertCdrErasure,
  type RecordName,
  type RewrittenCdr,
  readRevisions,
  rewriteCdrs,
  rewriteDurations,
  type StoredRecord,
} from "../store/privacy/erase-calls.ts";
import {
  insertDiscrepancyErasure,
  type RewrittenResult,
  readDiscrepancyEntries,
  readJudgedThrough,
  readResultsOf,
  rewriteDiscrepancyEntries,
  rewriteResults,
  type StoredResult,
} from "../store/privacy/erase-results.ts";
import { type ErasureAtCarrier, raiseGeneration } from "../store/privacy/erasures.ts";
import { forgetPairs } from "../store/reconciliation/clock-evidence.ts";
import type { CarrierErasure } from "./carrier-run.ts";
import { addCounts, addNotice, type HeldBack } from "./erased-counts.ts";
import { legalMinimum } from "./legal-minimum.ts";
import {
  changedIdKeys,
  encodeErasureEntry,
  eraseCdr,
  eraseDiscrepancy,
  eraseDuration,
  isInCdr,
} from "./messages-codec.ts";

/** Records that may hold the number, and the span in which they begin. */
export interface Seeds {
  readonly platform: readonly RecordName[];
  readonly carrier: readonly RecordName[];
  readonly start: Micros;
  readonly end: Micros;
}

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

const DAY: Micros = 86_400_000_000n;
/** Counterparts begin at most this far apart: a zone shift and the window. */
const REACH: Micros = (16n * DAY) / 24n;
/** A call lasts at most 30 days, and its last revision arrives within a day. */
const LONGEST_CALL: Micros = 31n * DAY;

/**
 * Finds the calls of records that hold the number, with their counterparts, and notes as exceptions
 * those that something keeps.
 */
export async function gatherCalls(tx: Tx, run: CarrierErasure, { start, end, ...seeds }: Seeds): Promise<FoundCalls> {
  const { carrierId } = run;
  const results = await readResultsOf(tx, carrierId, seeds, { start: start - REACH, end: end + REACH });
  const platform = unique([...seeds.platform, ...results.filter(({ side }) => side === PLATFORM_SIDE)]);
  const carrier = unique([...seeds.carrier, ...results.flatMap(({ carrierRecords }) => carrierRecords)]);
  // A platform record may have no result yet; one found through its result brings the carrier's
  // along.
  const stored = {
    platform: await readRevisions(tx, CDR, carrierId, platform, run.now),
    carrier: await readRevisions(tx, DURATION, carrierId, carrier, run.now),
  };
  const kept = await findKept(tx, run, stored, results);
  const erased = {
    platform: stored.platform.flatMap((record) =>
      kept.has(nameOf(PLATFORM_SIDE, record)) ? [] : (cdrWithout(run, record) ?? []),
    ),
    carrier: stored.carrier.flatMap((record) =>
      kept.has(nameOf(CARRIER_SIDE, record)) ? [] : (durationWithout(run, record) ?? []),
    ),
  };
  const names = new Set([
    ...erased.platform.map((record) => nameOf(PLATFORM_SIDE, record)),
    ...erased.carrier.map((record) => nameOf(CARRIER_SIDE, record)),
  ]);
  const found = new Set([
    ...stored.platform.map((record) => nameOf(PLATFORM_SIDE, record)),
    ...stored.carrier.map((record) => nameOf(CARRIER_SIDE, record)),
  ]);
  const isErased = (result: StoredResult) =>
    shows(run.scope, result) ||
    membersOf(result).some((name) => names.has(name)) ||
    (!found.has(nameOf(result.side, result)) && isInId(run.scope, result));
  return {
    ...erased,
    results: results.filter((result) => !isKept(kept, result) && isErased(result)),
    idKeys: new Map([
      ...maskedKeys(CDR, stored.platform, erased.platform),
      ...maskedKeys(DURATION, stored.carrier, erased.carrier),
    ]),
    stored: found,
  };
}

function maskedKeys(kind: RecordKind, stored: readonly StoredRecord[], erased: readonly StoredRecord[]) {
  const payloads = new Map(stored.map(({ sequence, payload }) => [sequence, payload]));
  return erased.flatMap(({ sequence, payload }) => {
    const before = payloads.get(sequence);
    return before === undefined ? [] : changedIdKeys(kind, before, payload);
  });
}

/**
 * Writes calls without the number and notifies the feeds' readers, in the caller's transaction.
 * Returns the new heads of feeds that gained an entry.
 */
export async function eraseCalls(
  tx: Tx,
  { carrierId, scope }: CarrierErasure,
  found: FoundCalls,
  at: ErasureAtCarrier,
): Promise<Map<FeedId, bigint>> {
  const heads = new Map<FeedId, bigint>();
  if (found.platform.length + found.carrier.length + found.results.length === 0) return heads;
  // Locked in any case: a VOID on its way copies columns from what is rewritten here.
  const cdrs = await lockFeed(tx, carrierId, FeedId.CDRS);
  const discrepancies = await lockFeed(tx, carrierId, FeedId.DISCREPANCIES);
  await lockFeed(tx, carrierId, FeedId.DURATIONS);
  const results = found.results.map((result) => ({
    ...resultWithout(scope, result),
    isWhole: membersOf(result).every((name) => found.stored.has(name)),
  }));
  const told = unique(
    results.flatMap(({ discrepancyId, callDate }) =>
      discrepancyId === undefined ? [] : [{ recordId: discrepancyId, recordDate: callDate }],
    ),
  );
  await rewriteResults(tx, carrierId, results, found.idKeys);
  await forgetPairs(tx, carrierId, sidesOf(found));
  const isRewritten = await eraseEntries(tx, carrierId, scope, told);
  await rewriteCdrs(tx, carrierId, found.platform);
  await rewriteDurations(tx, carrierId, found.carrier);
  const notify = async (feed: FeedId, lock: FeedLock, names: readonly RecordName[]) => {
    if (names.length === 0) return;
    const payload = encodeErasureEntry(scope.erasureId, names);
    if (feed === FeedId.CDRS) await insertCdrErasure(tx, carrierId, lock, { erasureId: scope.erasureId, payload });
    else await insertDiscrepancyErasure(tx, carrierId, lock, payload);
    await advanceFeed(tx, carrierId, feed, lock.nextSequence + 1n);
    await raiseGeneration(tx, carrierId, feed);
    addNotice(at, feed, lock.nextSequence);
    heads.set(feed, lock.nextSequence);
  };
  const cdrNames = unique(found.platform);
  await notify(FeedId.CDRS, cdrs, cdrNames);
  await notify(
    FeedId.DISCREPANCIES,
    discrepancies,
    told.filter(({ recordId }) => isRewritten.has(recordId)),
  );
  addCounts(at, RecordPart.CALL, {
    records: cdrNames.length,
    copies: isRewritten.size,
    hashes: found.platform.length,
  });
  addCounts(at, RecordPart.NETWORK, { records: found.platform.filter(({ network }) => network !== undefined).length });
  addCounts(at, RecordPart.DURATION, { records: unique(found.carrier).length, hashes: found.carrier.length });
  return heads;
}

async function eraseEntries(
  tx: Tx,
  carrierId: string,
  { number }: ErasureScope,
  told: readonly RecordName[],
): Promise<Set<string>> {
  const changed = new Set<string>();
  // One discrepancy at a time, to keep few entries in memory.
  for (const { recordId } of told) {
    const entries = (await readDiscrepancyEntries(tx, carrierId, [recordId])).flatMap(({ sequence, payload }) => {
      const erased = eraseDiscrepancy(payload, number);
      return erased ? [{ sequence, payload: erased }] : [];
    });
    if (entries.length > 0) changed.add(recordId);
    await rewriteDiscrepancyEntries(tx, carrierId, entries);
  }
  return changed;
}

type ErasableCdr = Pick<
  StoredRecord,
  "payload" | "network" | "phoneNumber" | "callId" | "dialogCallId" | "correlationId"
>;

/**
 * A platform record, or a copy, without the number; undefined if the number has no such role in it.
 */
export function cdrWithout<Cdr extends ErasableCdr>({ scope }: CarrierErasure, record: Cdr) {
  const { number, role } = scope;
  const erased = eraseCdr(record.payload, record.network, { number, role });
  const isHolder = reachesSubscriber(role) && number.isNumber(record.phoneNumber);
  // A VOID has inherited values in columns only. Texts stay if the number also has another role.
  const ids = [record.callId, record.dialogCallId, record.correlationId];
  const hasId =
    ids.some((id) => id !== undefined && number.isIn(id)) &&
    !number.isNumber(record.phoneNumber) &&
    !isInCdr(record.payload, number);
  if (!erased && !isHolder && !hasId) return undefined;
  const masked = (id: string | undefined) => (id === undefined ? undefined : number.mask(id));
  return {
    ...record,
    payload: erased?.payload ?? record.payload,
    network: erased?.network,
    phoneNumber: isHolder ? undefined : record.phoneNumber,
    callId: masked(record.callId),
    dialogCallId: masked(record.dialogCallId),
    correlationId: masked(record.correlationId),
    callingErased: erased?.parties.has("calling") ?? false,
    calledErased: erased?.parties.has("called") ?? false,
  };
}

/** The same for a carrier's record. */
export function durationWithout<Duration extends Pick<StoredRecord, "payload" | "phoneNumber">>(
  { scope }: CarrierErasure,
  record: Duration,
): Duration | undefined {
  const erased = eraseDuration(record.payload, scope);
  const isHolder = reachesSubscriber(scope.role) && scope.number.isNumber(record.phoneNumber);
  if (!erased && !isHolder) return undefined;
  return {
    ...record,
    payload: erased?.payload ?? record.payload,
    phoneNumber: isHolder ? undefined : record.phoneNumber,
  };
}

/** Whether a result shows the number in the role, whatever happened to its records. */
function shows(scope: ErasureScope, result: StoredResult): boolean {
  return isHolderOf(scope, result) || isOtherOf(scope, result);
}

// As in the record, unless the number has another role in the call.
function isInId({ number }: ErasureScope, { callId, phoneNumber, otherNumber }: StoredResult): boolean {
  if (callId === undefined || !number.isIn(callId) || number.isNumber(phoneNumber)) return false;
  return (
    otherNumber === undefined || !number.isParty({ kind: PartyKind.NON_E164, value: otherNumber, presentation: 0 })
  );
}

function isHolderOf({ number, role }: ErasureScope, { phoneNumber }: StoredResult): boolean {
  return reachesSubscriber(role) && number.isNumber(phoneNumber);
}

function isOtherOf({ number, role }: ErasureScope, { otherNumber }: StoredResult): boolean {
  if (role === SubjectRole.SUBSCRIBER || otherNumber === undefined) return false;
  return number.isParty({ kind: PartyKind.NON_E164, value: otherNumber, presentation: 0 });
}

function resultWithout(scope: ErasureScope, result: StoredResult): Omit<RewrittenResult, "isWhole"> {
  const { number } = scope;
  const isHolder = isHolderOf(scope, result);
  const isOther = isOtherOf(scope, result);
  return {
    ...result,
    phoneNumber: isHolder ? undefined : result.phoneNumber,
    heldNumber: isHolder ? result.phoneNumber : undefined,
    otherNumber: isOther ? undefined : result.otherNumber,
    callId: result.callId === undefined ? undefined : number.mask(result.callId),
    payload: (result.payload && eraseDiscrepancy(result.payload, number)) ?? result.payload,
  };
}

// A call is erased whole or not at all: what keeps one record keeps its counterpart and result.
async function findKept(
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

function isKept(kept: ReadonlySet<string>, result: StoredResult): boolean {
  return membersOf(result).some((name) => kept.has(name));
}

function membersOf(result: StoredResult): string[] {
  const carrier = result.carrierRecords.map((record) => nameOf(CARRIER_SIDE, record));
  return [nameOf(result.side, result), ...carrier];
}

// Both sides, as stored and as named by results.
function sidesOf({ platform, carrier, results }: FoundCalls): (RecordName & { side: number })[] {
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

function nameOf(side: number, { recordId, recordDate }: RecordName): string {
  return `${side}/${recordDate}/${recordId}`;
}

function unique<Name extends RecordName>(names: readonly Name[]): Name[] {
  return [...new Map(names.map((name) => [`${name.recordDate}/${name.recordId}`, name])).values()];
}

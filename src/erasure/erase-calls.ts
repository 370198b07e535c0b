import { FeedId } from "../domain/feed-id.ts";
import { type ErasureScope, reachesSubscriber } from "../domain/privacy/erasure.ts";
import { CDR, DURATION, RECORD_KINDS } from "../domain/record-kind.ts";
import { DAY, type Micros } from "../domain/time/instant.ts";
import { SubjectRole } from "../gen/tandem/platform/v1/privacy_service_pb.js";
import { RecordPart } from "../gen/tandem/type/v1/agreement_pb.js";
import { PartyKind } from "../gen/tandem/type/v1/party_pb.js";
import type { Tx } from "../store/database/run.ts";
import { type FeedLock, lockFeed } from "../store/feeds/feed-head.ts";
import {
  type RecordName,
  readRevisions,
  rewriteCdrs,
  rewriteDurations,
  type StoredRecord,
} from "../store/privacy/erase-calls.ts";
import {
  type RewrittenResult,
  readDiscrepancyEntries,
  readResultsOf,
  rewriteDiscrepancyEntries,
  rewriteResults,
  type StoredResult,
} from "../store/privacy/erase-results.ts";
import { appendErasure, type ErasureAtCarrier } from "../store/privacy/erasures.ts";
import type { ResultName } from "../store/reconciliation/call-result-columns.ts";
import { forgetPairs } from "../store/reconciliation/clock-evidence.ts";
import type { CarrierErasure } from "./carrier-run.ts";
import { addCounts, addNotice } from "./erased-counts.ts";
import { recordWithout } from "./erased-record.ts";
import { type FoundCalls, findKept, membersOf, namesIn, recordName, recordNames, unique } from "./kept-calls.ts";
import { changedIdKeys, encodeErasureEntry, eraseDiscrepancy } from "./messages-codec.ts";

/** Records that may hold the number, and the span in which they begin. */
export interface Seeds {
  readonly names: readonly ResultName[];
  readonly start: Micros;
  readonly end: Micros;
}

/** Counterparts begin at most this far apart: a zone shift and the window. */
const REACH: Micros = (16n * DAY) / 24n;

/** Finds the calls of records that hold the number, and notes those that something keeps. */
export async function gatherCalls(tx: Tx, run: CarrierErasure, { names, start, end }: Seeds): Promise<FoundCalls> {
  const { carrierId } = run;
  const results = await readResultsOf(tx, carrierId, names, { start: start - REACH, end: end + REACH });
  // A platform record may have no result yet; one found by its result brings the carrier's record.
  const all = unique([...names, ...results.flatMap(namesIn)]);
  const stored: StoredRecord[] = [];
  for (const kind of RECORD_KINDS) {
    const ofKind = all.filter(({ side }) => side === kind.side);
    stored.push(...(await readRevisions(tx, kind, carrierId, ofKind, run.now)));
  }
  const kept = await findKept(tx, run, stored, results);
  const pairs = stored.flatMap((before) => {
    const after = kept.has(recordName(before)) ? undefined : recordWithout(run, before);
    return after ? [{ before, after }] : [];
  });
  const records = pairs.map(({ after }) => after);
  const erased = new Set(records.map(recordName));
  const found = new Set(stored.map(recordName));
  const isErased = (result: StoredResult) => {
    const members = membersOf(result);
    if (members.some((name) => kept.has(name))) return false;
    if (shows(run.scope, result) || members.some((name) => erased.has(name))) return true;
    return members[0] !== undefined && !found.has(members[0]) && isInId(run.scope, result);
  };
  return {
    records,
    results: results.filter(isErased),
    idKeys: new Map(pairs.flatMap(({ before, after }) => changedIdKeys(before.kind, before.payload, after.payload))),
    stored: found,
  };
}

/** Rewrites calls and tells the feeds' readers, in the caller's transaction. Returns new heads. */
export async function eraseCalls(
  tx: Tx,
  { carrierId, scope }: CarrierErasure,
  found: FoundCalls,
  at: ErasureAtCarrier,
): Promise<Map<FeedId, bigint>> {
  const heads = new Map<FeedId, bigint>();
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
  await forgetPairs(tx, carrierId, [...recordNames(found.records), ...found.results.flatMap(namesIn)]);
  const isRewritten = await eraseEntries(tx, carrierId, scope, told);
  const platform = found.records.filter(({ kind }) => kind === CDR);
  const carrier = found.records.filter(({ kind }) => kind === DURATION);
  await rewriteCdrs(tx, carrierId, platform);
  await rewriteDurations(tx, carrierId, carrier);
  const notify = async (
    feed: typeof FeedId.CDRS | typeof FeedId.DISCREPANCIES,
    lock: FeedLock,
    names: readonly RecordName[],
  ) => {
    if (names.length === 0) return;
    const payload = encodeErasureEntry(scope.erasureId, names);
    await appendErasure(tx, carrierId, feed, lock, { erasureId: scope.erasureId, payload });
    addNotice(at, feed, lock.nextSequence);
    heads.set(feed, lock.nextSequence);
  };
  const cdrNames = unique(platform);
  await notify(FeedId.CDRS, cdrs, cdrNames);
  await notify(
    FeedId.DISCREPANCIES,
    discrepancies,
    told.filter(({ recordId }) => isRewritten.has(recordId)),
  );
  addCounts(at, RecordPart.CALL, {
    records: cdrNames.length,
    copies: isRewritten.size,
    hashes: platform.length,
  });
  addCounts(at, RecordPart.NETWORK, { records: platform.filter(({ network }) => network !== undefined).length });
  addCounts(at, RecordPart.DURATION, { records: unique(carrier).length, hashes: carrier.length });
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
    isHeld: isHolder,
    otherNumber: isOther ? undefined : result.otherNumber,
    callId: result.callId === undefined ? undefined : number.mask(result.callId),
    payload: (result.payload && eraseDiscrepancy(result.payload, number)) ?? result.payload,
  };
}

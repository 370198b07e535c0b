import { FeedId } from "../domain/feed-id.ts";
import { reachesSubscriber } from "../domain/privacy/erasure.ts";
import { utcDay } from "../domain/time/instant.ts";
import { ErasureExceptionReason } from "../gen/tandem/platform/v1/privacy_service_pb.js";
import { RecordPart } from "../gen/tandem/type/v1/agreement_pb.js";
import type { Tx } from "../store/database/run.ts";
import { type FeedLock, lockFeed } from "../store/feeds/feed-head.ts";
import { deleteApproval } from "../store/numbers/number-ranges.ts";
import {
  cutHoldings,
  deleteNumberRow,
  deletePorts,
  type NumberEntry,
  readHoldingsIn,
  readNumberEntries,
  readNumberRow,
  rewriteNumberEntry,
} from "../store/privacy/erase-numbers.ts";
import { appendErasure, type ErasureAtCarrier } from "../store/privacy/erasures.ts";
import { settleNumber } from "../store/usage/sum-upkeep.ts";
import { insertMarks } from "../store/usage/usage-marks.ts";
import { type CarrierRun, writeReceipt } from "./carrier-run.ts";
import { addCounts, addNotice, type HeldBack } from "./erased-counts.ts";
import { encodeErasureEntry, eraseNumberEntries } from "./messages-codec.ts";

const MOST_NAMES = 1_000;

/** Erases a number from the inventory if its holding is over and no kept call needs its history. */
export async function eraseNumbers(run: CarrierRun): Promise<void> {
  if (!reachesSubscriber(run.scope.role)) return;
  for (const phoneNumber of run.scope.number.forms) {
    const head = await run.transact((tx) => eraseHoldings(tx, run, phoneNumber));
    if (head !== undefined) run.onAppended(FeedId.NUMBERS, head);
  }
}

/** The same as a forecast, after the calls; writes nothing. */
export async function forecastNumbers(run: CarrierRun, at: ErasureAtCarrier): Promise<void> {
  if (!reachesSubscriber(run.scope.role)) return;
  for (const phoneNumber of run.scope.number.forms) await forecastHoldings(run, at, phoneNumber);
  at.exceptions = run.exceptions.list();
}

async function forecastHoldings(run: CarrierRun, at: ErasureAtCarrier, phoneNumber: string): Promise<void> {
  const { scope, carrierId, exceptions } = run;
  const { holdings, entries } = await run.transact(async (tx) => ({
    holdings: await readHoldingsIn(tx, carrierId, phoneNumber, scope),
    entries: eraseNumberEntries(await readNumberEntries(tx, carrierId, phoneNumber), scope),
  }));
  if (holdings.length === 0) return;
  const kept = whyKept(run, holdings);
  if (kept) exceptions.add(RecordPart.NUMBER_HISTORY, kept);
  else addCounts(at, RecordPart.NUMBER_HISTORY, { records: entries.length + holdings.length });
}

async function eraseHoldings(tx: Tx, run: CarrierRun, phoneNumber: string): Promise<bigint | undefined> {
  const { scope, carrierId } = run;
  const lock = await lockFeed(tx, carrierId, FeedId.NUMBERS);
  await settleNumber(tx, carrierId, phoneNumber);
  const holdings = await readHoldingsIn(tx, carrierId, phoneNumber, scope);
  const kept = holdings.length === 0 ? undefined : whyKept(run, holdings);
  // The approval goes with the last row.
  if (!kept) await deleteApproval(tx, carrierId, phoneNumber);
  if (holdings.length === 0) return undefined;
  if (kept) {
    run.exceptions.add(RecordPart.NUMBER_HISTORY, kept);
    return undefined;
  }
  const entries = eraseNumberEntries(await readNumberEntries(tx, carrierId, phoneNumber), scope);
  for (const entry of entries) await rewriteNumberEntry(tx, carrierId, entry);
  const row = await readNumberRow(tx, carrierId, phoneNumber);
  const isRowErased = entries.some(({ sequence }) => sequence === row?.revision);
  if (isRowErased) await deleteNumberRow(tx, carrierId, phoneNumber);
  await deletePorts(tx, carrierId, phoneNumber, scope);
  const cut = await cutHoldings(tx, carrierId, phoneNumber, scope);
  await insertMarks(tx, carrierId, [{ phoneNumber, startTime: scope.start, endTime: scope.end }]);
  await settleNumber(tx, carrierId, phoneNumber);
  return writeReceipt(tx, run, (at) => {
    addCounts(at, RecordPart.NUMBER_HISTORY, { records: entries.length + cut });
    return tellNumbers(tx, run, { lock, entries, at });
  });
}

function whyKept({ exceptions }: CarrierRun, holdings: readonly { isOver: boolean }[]): HeldBack | undefined {
  if (holdings.some(({ isOver }) => !isOver)) return { reason: ErasureExceptionReason.IN_SERVICE, due: undefined };
  const [kept] = exceptions.list();
  if (!kept) return undefined;
  const { reason, source } = kept;
  return { reason, due: exceptions.latest, ...(source === undefined ? {} : { source }) };
}

// Returns the feed's new head.
async function tellNumbers(
  tx: Tx,
  { scope, carrierId }: CarrierRun,
  { lock, entries, at }: { lock: FeedLock; entries: readonly NumberEntry[]; at: ErasureAtCarrier },
): Promise<bigint> {
  let next = lock.nextSequence;
  for (let start = 0; start < entries.length; start += MOST_NAMES) {
    const named = entries.slice(start, start + MOST_NAMES);
    const names = named.map((entry) => ({ recordId: String(entry.sequence), recordDate: utcDay(entry.ingestTime) }));
    const payload = encodeErasureEntry(scope.erasureId, names);
    const { erasureId } = scope;
    await appendErasure(tx, carrierId, FeedId.NUMBERS, { ...lock, nextSequence: next }, { erasureId, payload });
    addNotice(at, FeedId.NUMBERS, next);
    next++;
  }
  return next - 1n;
}

import type { Carrier } from "../../domain/carriers/carrier.ts";
import type { Stated } from "../../domain/enum-values.ts";
import { FeedId } from "../../domain/feed-id.ts";
import { KEY_DAYS, keptHorizons, type RetentionDays } from "../../domain/privacy/retention.ts";
import { CARRIER_SIDE, PLATFORM_SIDE, RECORD_KINDS, type RecordKind } from "../../domain/record-kind.ts";
import { addDays, DAY, earlier, later, type Micros, utcDay } from "../../domain/time/instant.ts";
import { RecordPart } from "../../gen/tandem/type/v1/agreement_pb.js";
import { drain } from "../../store/database/every.ts";
import type { Tx } from "../../store/database/run.ts";
import {
  type CopyPlace,
  copyHeldItems,
  copyHeldPeriod,
  dropUnheld,
  type Leaving,
  listPeriodHolds,
} from "../../store/privacy/held-records.ts";
import { listUncounted, writeHeldCount } from "../../store/privacy/holds.ts";
import { closeLeftBlocks, dateOpenBlocks } from "../../store/privacy/open-disclosures.ts";
import {
  clearVerdicts,
  deleteKeys,
  deleteResults,
  deleteRun,
  findKeyDay,
  findRun,
  otherDeletes,
  type PagePlace,
  type SequencedTable,
} from "../../store/privacy/retention-deletes.ts";
import { readRetentionDays } from "../../store/privacy/retention-policies.ts";
import {
  type Cutoffs,
  type Floors,
  findSequenceAt,
  HoldsChanged,
  type RetentionState,
  raiseFloors,
  readRetentionState,
} from "../../store/privacy/retention-state.ts";
import { deleteLogs, type RetentionWork } from "./retention-work.ts";

/** How often held records are copied anew because a hold was made meanwhile. */
const MAX_COPIES = 10;

/** One carrier's retention: what readers no longer see (`floors`), or what is deleted (`rows`). */
export async function expireCarrier(work: RetentionWork, carrier: Carrier, stage: "floors" | "rows"): Promise<void> {
  const { carrierId } = carrier;
  const days = await work.step((tx) => readRetentionDays(tx, carrier));
  const cutoffs = cutoffsOf(days, work.now);
  if (stage === "floors") {
    await raise(work, carrierId, cutoffs);
    return dateDisclosures(work, carrierId);
  }
  const state = await work.step((tx) => readRetentionState(tx, carrierId));
  await clearOldVerdicts(work, carrierId, state);
  await deleteEntries(work, carrierId, state);
  await deleteOldKeys(work, carrierId, "cdr_key", state.call, state.keysFrom);
  await deleteOldKeys(work, carrierId, "duration_key", state.duration, state.keysFrom);
  const arrivedBefore = earlier(state.call, state.duration);
  await eachPage<PagePlace>(work, (tx, after) =>
    deleteResults(tx, carrierId, { arrivedBefore, now: work.now }, { after, limit: work.batchSize }),
  );
  const { laterDays } = keptHorizons(carrier.horizons, days);
  const rest = { state, numberHistory: cutoffs.numberHistory, now: work.now, laterDays };
  const limit = work.batchSize;
  for (const some of otherDeletes(carrierId, rest))
    await drain(limit, work.signal, () => work.step((tx) => some(tx, limit)));
  await deleteLogs(work, carrierId, cutoffs.logs);
  for (const { side } of RECORD_KINDS) await dropCopies(work, carrierId, side);
  await countHolds(work, carrierId);
}

// Once a day: it reads all that a hold keeps.
async function countHolds({ step, now, signal }: RetentionWork, carrierId: string): Promise<void> {
  for (const holdId of await step((tx) => listUncounted(tx, carrierId, { now, since: now - DAY })))
    if (!signal.aborted) await step((tx) => writeHeldCount(tx, { carrierId, holdId }));
}

/** Before when what arrived goes. */
export function cutoffsOf(days: RetentionDays, now: Micros): Cutoffs {
  const before = (part: Stated<RecordPart>) => now - BigInt(days[part]) * DAY;
  return {
    call: before(RecordPart.CALL),
    quality: before(RecordPart.QUALITY),
    network: before(RecordPart.NETWORK),
    duration: before(RecordPart.DURATION),
    numberHistory: before(RecordPart.NUMBER_HISTORY),
    logs: before(RecordPart.LOGS),
    keysFrom: addDays(utcDay(now), -KEY_DAYS),
  };
}

// Copies what is held, then raises the floors; again when a hold was made in between.
async function raise(work: RetentionWork, carrierId: string, cutoffs: Cutoffs): Promise<void> {
  const floors = await work.step((tx) => findFloors(tx, carrierId, cutoffs));
  for (let attempt = 0; attempt < MAX_COPIES && !work.signal.aborted; attempt++) {
    const { holdGeneration } = await work.step((tx) => readRetentionState(tx, carrierId));
    const { call, quality, network } = cutoffs;
    const firstOfCall = later(later(call, quality), network);
    await copyHeld(work, { carrierId, side: PLATFORM_SIDE, before: firstOfCall, now: work.now });
    await copyHeld(work, { carrierId, side: CARRIER_SIDE, before: cutoffs.duration, now: work.now });
    if (work.signal.aborted) return;
    try {
      return await work.step((tx) => raiseFloors(tx, carrierId, floors, cutoffs, holdGeneration));
    } catch (error) {
      if (!(error instanceof HoldsChanged)) throw error;
    }
  }
}

// Disclosures of what goes now are found by their days from here on, so these are read while the
// records are stored. Below the floors no block is opened.
async function dateDisclosures(work: RetentionWork, carrierId: string): Promise<void> {
  const { batchSize: limit, signal } = work;
  await drain(limit, signal, () => work.step((tx) => closeLeftBlocks(tx, carrierId, limit)));
  await work.step((tx) => dateOpenBlocks(tx, carrierId));
}

async function findFloors(tx: Tx, carrierId: string, cutoffs: Cutoffs): Promise<Floors> {
  const both = earlier(cutoffs.call, cutoffs.duration);
  return {
    [FeedId.NUMBERS]: await findSequenceAt(tx, carrierId, FeedId.NUMBERS, cutoffs.numberHistory),
    [FeedId.CDRS]: await findSequenceAt(tx, carrierId, FeedId.CDRS, cutoffs.call),
    [FeedId.DISCREPANCIES]: await findSequenceAt(tx, carrierId, FeedId.DISCREPANCIES, both),
    [FeedId.DURATIONS]: await findSequenceAt(tx, carrierId, FeedId.DURATIONS, cutoffs.duration),
  };
}

async function copyHeld(work: RetentionWork, leaving: Leaving): Promise<void> {
  await work.step((tx) => copyHeldItems(tx, leaving));
  for (const holdId of await work.step((tx) => listPeriodHolds(tx, leaving.carrierId, work.now))) {
    await eachPage<CopyPlace>(work, (tx, after) =>
      copyHeldPeriod(tx, leaving, holdId, { after, limit: work.batchSize }),
    );
  }
}

async function eachPage<Place>(
  work: RetentionWork,
  page: (tx: Tx, after: Place | undefined) => Promise<Place | undefined>,
): Promise<void> {
  let after: Place | undefined;
  do {
    const from = after;
    after = await work.step((tx) => page(tx, from));
  } while (after !== undefined && !work.signal.aborted);
}

async function clearOldVerdicts(work: RetentionWork, carrierId: string, state: RetentionState): Promise<void> {
  const below = await work.step((tx) => findSequenceAt(tx, carrierId, FeedId.CDRS, state.quality));
  await eachRun(work, carrierId, "cdr_record", { from: state.verdictSequence, below }, (tx, run) =>
    clearVerdicts(tx, carrierId, run),
  );
}

async function deleteEntries(work: RetentionWork, carrierId: string, state: RetentionState): Promise<void> {
  const at = (feed: FeedId, instant: Micros) => work.step((tx) => findSequenceAt(tx, carrierId, feed, instant));
  const floor = (feed: FeedId) => at(feed, 0n);
  const tables: readonly (readonly [SequencedTable, bigint])[] = [
    ["cdr_network", await at(FeedId.CDRS, state.network)],
    ["cdr_quality", await at(FeedId.CDRS, state.quality)],
    ["cdr_record", await floor(FeedId.CDRS)],
    ["duration_record", await floor(FeedId.DURATIONS)],
    ["discrepancy_entry", await floor(FeedId.DISCREPANCIES)],
    ["number_entry", await floor(FeedId.NUMBERS)],
  ];
  for (const [table, below] of tables)
    await eachRun(work, carrierId, table, { from: 0n, below }, (tx, run) => deleteRun(tx, table, carrierId, run));
}

async function eachRun(
  work: RetentionWork,
  carrierId: string,
  table: SequencedTable,
  range: { from: bigint; below: bigint },
  take: (tx: Tx, run: { first: bigint; past: bigint }) => Promise<void>,
): Promise<void> {
  let from: bigint | undefined = range.from;
  while (from !== undefined && !work.signal.aborted) {
    const start: bigint = from;
    from = await work.step(async (tx) => {
      const run = await findRun(tx, table, carrierId, { from: start, below: range.below }, work.batchSize);
      if (run) await take(tx, run);
      return run?.past;
    });
  }
}

// A key arrives on its day or later, so of the days from the cutoff on there is none to delete.
async function deleteOldKeys(
  work: RetentionWork,
  carrierId: string,
  table: "cdr_key" | "duration_key",
  arrivedBefore: Micros,
  keysFrom: string,
): Promise<void> {
  const arrivalDay = addDays(utcDay(arrivedBefore), 2);
  const before = arrivalDay < keysFrom ? arrivalDay : keysFrom;
  let from = "0001-01-01";
  while (!work.signal.aborted) {
    const range = { from, before };
    const day = await work.step((tx) => findKeyDay(tx, table, carrierId, range));
    if (day === undefined) return;
    await eachPage<PagePlace>(work, (tx, after) =>
      deleteKeys(tx, table, carrierId, { day, arrivedBefore }, { after, limit: work.batchSize }),
    );
    from = addDays(day, 1);
  }
}

// In the order of sequences; only copies that no hold is on.
async function dropCopies(work: RetentionWork, carrierId: string, side: RecordKind["side"]): Promise<void> {
  await eachPage<bigint>(work, (tx, after) =>
    dropUnheld(tx, { carrierId, side, now: work.now }, { after: after ?? -1n, limit: work.batchSize }),
  );
}

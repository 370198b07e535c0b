import { sql } from "kysely";
import { FeedId } from "../../src/domain/feed-id.ts";
import { CARRIER_SIDE, DURATION } from "../../src/domain/record-kind.ts";
import { microsFromMs } from "../../src/domain/time/instant.ts";
import { PINNED_ZONES, type ZoneData } from "../../src/domain/time/time-zone.ts";
import { readCarrier, writeCredentials } from "../../src/store/carriers/carriers.ts";
import { recountNumbers } from "../../src/store/carriers/tally-recount.ts";
import type { Database } from "../../src/store/database/database.ts";
import { deleteOldResponses } from "../../src/store/database/request-log.ts";
import type { Tx } from "../../src/store/database/run.ts";
import { commitConsumer } from "../../src/store/feeds/consumers.ts";
import { lockFeed } from "../../src/store/feeds/feed-head.ts";
import {
  readConsumerLags,
  readIngestTimes,
  readObservedFeeds,
  readOldestPending,
} from "../../src/store/feeds/feed-observations.ts";
import { findPortedIn } from "../../src/store/numbers/number-port-rows.ts";
import { findApproved, findOutOfRange } from "../../src/store/numbers/number-ranges.ts";
import { raiseClaimTimes } from "../../src/store/numbers/number-rows.ts";
import { readTimelines, writeTimelines } from "../../src/store/numbers/number-timelines.ts";
import { rewriteAnswer, rewriteQuarantined } from "../../src/store/privacy/erase-copies.ts";
import * as numbers from "../../src/store/privacy/erase-numbers.ts";
import * as results from "../../src/store/privacy/erase-results.ts";
import { rewriteRestatement } from "../../src/store/privacy/erase-usage.ts";
import {
  appendErasure,
  areAnyUnwritten,
  countLate,
  listErasures,
  readErasureCarriers,
  readErasureEntries,
} from "../../src/store/privacy/erasures.ts";
import { readRetentionState } from "../../src/store/privacy/retention-state.ts";
import { deleteOldPeriod } from "../../src/store/privacy/usage-retention.ts";
import { clearDueTimes, deleteResults, findSplitCalls } from "../../src/store/reconciliation/call-results.ts";
import { readClockMinutes, readRoundedMinutes } from "../../src/store/reconciliation/clock-offsets.ts";
import { readOpenCalls } from "../../src/store/reconciliation/explain-targets.ts";
import { readDurationStarts } from "../../src/store/reconciliation/reconcile-input.ts";
import { markEveryMinute } from "../../src/store/reconciliation/reconcile-progress.ts";
import { ageUploads } from "../../src/store/records/age-uploads.ts";
import { dropQuarantined, readQuarantined } from "../../src/store/records/quarantine.ts";
import { finishUpload, openUpload, readUpload } from "../../src/store/records/uploads.ts";
import { listPeriods, readPeriod, readRestatementNumbers, withDays } from "../../src/store/usage/usage-periods.ts";
import {
  insertRestatement,
  readChangedCalls,
  readChangedNumbers,
  readNewestRestatementTime,
  readOldestCheck,
  writePeriodCheck,
  writePeriodTotals,
} from "../../src/store/usage/usage-restatements.ts";
import { verifyAuditChains } from "../../src/store/verify/verify-audit.ts";
import { verifyClaims } from "../../src/store/verify/verify-numbers.ts";
import { takeNewerZoneData } from "../../src/store/zone-days/newer-zone-data.ts";
import type { Exchange } from "./exchange.ts";
import { readAllResults } from "./reconcile.ts";
import type { WorldCarrier } from "./statistics-world.ts";
import { undone } from "./undone.ts";

/**
 * Calls functions of the store that a carrier of a test does not come to by itself, or only by
 * chance, with rows of its own. What they write is undone.
 */
export async function callTheRest(exchange: Exchange, carrier: WorldCarrier): Promise<void> {
  const { db } = exchange.services;
  const signal = new AbortController().signal;
  await ofCalls(db, carrier);
  await ofNumbers(db, carrier);
  await ofUploads(db, carrier);
  await ofUsage(db, carrier);
  await ofErasures(db, carrier);
  const { carrierId } = carrier;
  await recountNumbers(db, carrierId, performance.now());
  await verifyAuditChains(db, signal);
  await verifyClaims({ db, signal, turn: () => {} }, () => {});
  await undone(db, async (tx) => {
    await deleteOldResponses(tx, 1_000);
    await readErasureEntries(tx, "", 100);
    const stored = await readCarrier(tx, carrierId);
    if (stored)
      await writeCredentials(tx, {
        ...stored,
        credentials: [{ identity: { kind: "dns", name: `${carrierId}.example` } }],
      });
    for (const previousCursor of [undefined, "1"])
      await commitConsumer(tx, carrierId, { consumer: "billing", cursor: "1", sequence: 1n, previousCursor });
    await observe(tx, carrierId);
  });
}

async function observe(tx: Tx, carrierId: string): Promise<void> {
  const lags = await readConsumerLags(tx, undefined, 1_000);
  await readOldestPending(
    tx,
    lags.filter((each) => each.carrierId === carrierId),
  );
  const feeds = await readObservedFeeds(tx, undefined);
  for (const { feed, headSequence: sequence } of feeds.filter((each) => each.carrierId === carrierId))
    await readIngestTimes(tx, feed, [{ carrierId, sequence, since: 0n }]);
}

async function ofCalls(db: Database, { carrierId, durations }: WorldCarrier): Promise<void> {
  const all = await readAllResults(db, carrierId);
  const some = durations.slice(100, 140);
  await undone(db, async (tx) => {
    await findSplitCalls(tx, carrierId, some);
    await readDurationStarts(tx, carrierId, some);
    const open = all.find(({ pairKey }) => pairKey !== undefined);
    const around = open?.startTime ?? 0n;
    const reach = { around, start: around - 3_600_000_000n, end: around + 3_600_000_000n };
    await readOpenCalls(tx, carrierId, { side: CARRIER_SIDE, pairKey: open?.pairKey ?? 0n, ...reach, limit: 200 });
    await readRoundedMinutes(tx, carrierId, { trunkId: "trunk-1", day: some[0]?.recordDate ?? "" });
    const calls = all.slice(0, 5).map(({ startTime }) => ({ start: startTime, end: startTime + 3_600_000_000n }));
    const hours = calls.map((range) => ({ trunkId: "trunk-1", hour: range.start, calls: range }));
    await readClockMinutes(tx, carrierId, hours);
    await clearDueTimes(tx, carrierId, all.slice(0, 20));
    await deleteResults(tx, carrierId, all.slice(0, 20));
    await markEveryMinute(tx, carrierId);
  });
}

async function ofNumbers(db: Database, { carrierId, numbers: own }: WorldCarrier): Promise<void> {
  const some = own.slice(0, 20);
  const claims = new Map(some.map((number) => [number, microsFromMs(Date.now())]));
  await undone(db, async (tx) => {
    await findOutOfRange(tx, carrierId, some);
    await findApproved(tx, carrierId, some);
    await findPortedIn(tx, carrierId, some);
    await raiseClaimTimes(tx, carrierId, claims);
    const timelines = await readTimelines(tx, carrierId, some);
    await writeTimelines(
      tx,
      carrierId,
      [...timelines].map(([phoneNumber, before]) => ({ phoneNumber, before, after: [] })),
    );
  });
}

async function ofUploads(db: Database, { carrierId }: WorldCarrier): Promise<void> {
  const key = { carrierId, kind: DURATION, uploadId: "appended" };
  await undone(db, async (tx) => {
    const upload = await readUpload(tx, key);
    if (upload)
      await finishUpload(tx, key, {
        writerEpoch: upload.writerEpoch,
        finalOffset: upload.nextOffset,
        connectedDurationMs: upload.connectedDurationMs,
      });
    await sql`UPDATE upload SET update_time = 'epoch' WHERE carrier_id = ${carrierId} AND NOT sealed`.execute(tx);
    await ageUploads(tx, 100);
    const options = { numbersSequence: 0n, all: true, limit: 100 };
    const aside = await readQuarantined(tx, carrierId, DURATION, options);
    for (const record of aside)
      await rewriteQuarantined(tx, carrierId, {
        ...record,
        kind: DURATION,
        payload: Buffer.alloc(0),
        numbers: ["+45"],
      });
    await rewriteAnswer(tx, carrierId, { method: "none", requestId: "none", response: Buffer.alloc(0) });
    await dropQuarantined(tx, carrierId, DURATION, aside);
  });
  await undone(db, async (tx) => {
    await openUpload(tx, { ...key, uploadId: "too-many" }, { acknowledgedOffset: 0n, mostOpen: 0 }).catch(() => {});
  });
}

async function ofUsage(db: Database, { carrierId, customers, numbers: own }: WorldCarrier): Promise<void> {
  await undone(db, async (tx) => {
    const [found] = await listPeriods(tx, customers[0] ?? "", 1);
    const period = await readPeriod(tx, found?.periodId ?? "");
    if (!period) throw new Error("the carrier's customer has no closed period");
    const { periodId, closeTime } = period;
    await readOldestCheck(tx);
    await readRestatementNumbers(tx, [periodId], microsFromMs(Date.now()));
    await readNewestRestatementTime(tx, periodId);
    await readChangedCalls(tx, await withDays(tx, period), own.slice(0, 20), 100);
    await readChangedNumbers(tx, own.slice(0, 20), closeTime);
    await writePeriodCheck(tx, periodId, closeTime, period.judged);
    await writePeriodTotals(tx, periodId, 7, period.currentTotals);
    await insertRestatement(tx, { periodId, number: 7, recordTime: closeTime, payload: new Uint8Array(), lines: [] });
    await rewriteRestatement(tx, periodId, 7, Buffer.alloc(0));
    await takeNewerZoneData(tx, LATER_DAYS, microsFromMs(Date.now()));
    await readRetentionState(tx, carrierId);
    await sql`UPDATE retention_state SET call_before = 'infinity', duration_before = 'infinity'`.execute(tx);
    await deleteOldPeriod(tx, microsFromMs(Date.now() + 1_500 * 86_400_000));
  });
}

async function ofErasures(db: Database, carrier: WorldCarrier): Promise<void> {
  const { carrierId } = carrier;
  const number = carrier.numbers.at(-17) ?? "";
  const range = { start: microsFromMs(0), end: microsFromMs(Date.now()) };
  await undone(db, async (tx) => {
    const [erasure] = await listErasures(tx);
    await areAnyUnwritten(tx);
    if (erasure) await countLate(tx, carrierId, erasure.erasureId, { cdrs: 1, durations: 1 });
    if (erasure) await readErasureCarriers(tx, erasure.erasureId);
    const lock = await lockFeed(tx, carrierId, FeedId.NUMBERS);
    const entries = await numbers.readNumberEntries(tx, carrierId, number);
    for (const entry of entries) await numbers.rewriteNumberEntry(tx, carrierId, entry);
    await numbers.readNumberRow(tx, carrierId, number);
    await numbers.deleteNumberRow(tx, carrierId, number);
    await numbers.deletePorts(tx, carrierId, number, range);
    await numbers.cutHoldings(tx, carrierId, number, range);
    await appendErasure(tx, carrierId, FeedId.NUMBERS, lock, { erasureId: "none", payload: Buffer.alloc(0) });
  });
  const told = (await readAllResults(db, carrierId)).flatMap(({ discrepancyId }) => discrepancyId ?? []);
  await undone(db, async (tx) => {
    const lock = await lockFeed(tx, carrierId, FeedId.DISCREPANCIES);
    const entries = await results.readDiscrepancyEntries(tx, carrierId, told.slice(0, 20));
    await results.rewriteDiscrepancyEntries(tx, carrierId, entries);
    await appendErasure(tx, carrierId, FeedId.DISCREPANCIES, lock, { erasureId: "none", payload: Buffer.alloc(0) });
  });
}

/** Data that says of every day that it begins a minute later. */
const LATER_DAYS: ZoneData = {
  version: `${PINNED_ZONES.version}-later`,
  startsOfYear: (timeZone, year) => PINNED_ZONES.startsOfYear(timeZone, year).map((start) => start + 60_000_000n),
};

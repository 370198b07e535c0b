import { afterAll, describe, expect, test } from "vitest";
import { DiscrepancyStatus } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import { reconcileCarrier } from "../../src/reconcile/reconcile-carrier.ts";
import { systemTransaction } from "../../src/store/database/database.ts";
import { takeLease } from "../../src/store/database/job-lease.ts";
import type { CallResultRow } from "../../src/store/reconciliation/call-result-columns.ts";
import { aloneHolder, areTurnsOver, RECONCILE_JOB, TurnLeases } from "../../src/store/reconciliation/turn-leases.ts";
import { verifyCarrier } from "../../src/store/verify/verify.ts";
import { addCarrier, assignNumbers } from "../support/carriers.ts";
import { openTestStore } from "../support/database.ts";
import { appendCdrs, appendDurations, readAllResults, reconcileFully } from "../support/reconcile.ts";
import { CUSTOMERS, NUMBERS, type Sent, unrulyWorld } from "../support/unruly-world.ts";
import { tellUsage } from "../support/usage.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const ARRIVAL_MS = Date.now() - HOUR_MS;
/** A midnight between two zones of five days. */
const MIDNIGHT = Math.floor((Date.now() - 2 * DAY_MS) / (5 * DAY_MS)) * 5 * DAY_MS;

const store = await openTestStore();
const { db } = store;
let carriers = 0;
afterAll(() => store[Symbol.asyncDispose]());

async function onboard(): Promise<string> {
  const carrierId = `workers-${++carriers}`;
  await addCarrier(db, carrierId, { graceMs: 0n, timeZone: "UTC" });
  for (const [index, number] of NUMBERS.entries())
    await assignNumbers(db, carrierId, [number], `${CUSTOMERS[index]}.${carrierId}`);
  return carrierId;
}

async function send(carrierId: string, batch: readonly Sent[]): Promise<void> {
  const cdrs = batch.flatMap((each) => (each.side === "platform" ? [each.record] : []));
  const durations = batch.flatMap((each) => (each.side === "carrier" ? [each.record] : []));
  await appendCdrs(db, carrierId, cdrs, ARRIVAL_MS);
  await appendDurations(db, carrierId, durations, ARRIVAL_MS);
}

/** Seven hours around midnight each, of which the carrier's clock is an hour ahead for some. */
const worlds = [60, 40, 20, 0].flatMap((days) =>
  unrulyWorld(`workers/${days}`, 20, MIDNIGHT - days * DAY_MS - 3 * HOUR_MS),
);
const steps = [worlds.filter(({ isLater }) => !isLater), worlds.filter(({ isLater }) => isLater)];

/** Two at once: the second begins when the first has told of its first discrepancies. */
async function reconcileByTwo(carrierId: string): Promise<{ one: number; two: number }> {
  const { signal } = new AbortController();
  const work = (holder: string, onAppended = () => {}) =>
    reconcileCarrier({ db, carrierId, holder, signal, onAppended });
  let second: Promise<number | undefined> | undefined;
  const one = await work("one", () => {
    second ??= work("two");
  });
  return { one: one ?? 0, two: (await second) ?? 0 };
}

async function outcomeOf(carrierId: string) {
  const rows = (await readAllResults(db, carrierId)).filter((row) => !row.isMerged);
  const usage = await Promise.all(CUSTOMERS.map((customer) => tellUsage(db, `${customer}.${carrierId}`, "UTC")));
  const faults = await verifyCarrier(db, carrierId, AbortSignal.timeout(60_000));
  const { rows: marks } = await db.pool.query("SELECT minute FROM reconcile_minute WHERE carrier_id = $1", [carrierId]);
  return { results: rows.map(told).sort(), usage, faults, marks };
}

function told(row: CallResultRow): string {
  const carrier = row.carrierRecords.map((each) => `${each.recordDate}/${each.recordId}#${each.revision}`).join("+");
  const figures = [row.causes, row.matchedBy, row.startTime, row.platformMs, row.carrierMs].join(" ");
  return `${row.side}/${row.recordDate}/${row.recordId} ${carrier} ${DiscrepancyStatus[row.status]} ${figures}`;
}

describe("two workers at one carrier", () => {
  test("come to what one comes to: clocks that are set, corrections, parts and dialogs across midnight", async () => {
    const alone = await onboard();
    const shared = await onboard();
    const judged = { one: 0, two: 0 };
    for (const step of steps) {
      await send(alone, step);
      await reconcileFully(db, alone);
      await send(shared, step);
      const { one, two } = await reconcileByTwo(shared);
      judged.one += one;
      judged.two += two;
    }
    await reconcileFully(db, shared);
    expect(judged.one).toBeGreaterThan(100);
    expect(judged.two).toBeGreaterThan(100);
    const expected = await outcomeOf(alone);
    expect(expected.results.filter((text) => text.includes("MATCHED_EXACT")).length).toBeGreaterThan(300);
    expect(expected).toMatchObject({ faults: [], marks: [] });
    expect(await outcomeOf(shared)).toEqual(expected);
  });

  test("do not judge within ten days of each other", async () => {
    const carrierId = await onboard();
    const [one, two] = ["one", "two"].map((holder) => new TurnLeases(carrierId, holder, undefined));
    if (!one || !two) throw new Error("there are two");
    const taken = (leases: TurnLeases, zones: number[]) => systemTransaction(db, (tx) => leases.moveTo(tx, zones));
    await taken(one, [1, 2, 3]);
    await expect(taken(two, [3, 4, 5])).rejects.toThrow("zone 3");
    expect(two.has([4])).toBe(false);
    await taken(two, [4, 5, 6]);
    await expect(systemTransaction(db, (tx) => one.addTo(tx, [1, 2, 3, 4]))).rejects.toThrow("zone 4");
    expect(await systemTransaction(db, (tx) => one.readOthers(tx))).toEqual([4, 5, 6]);
    await taken(one, [2, 3]);
    await taken(two, [1]);
  });

  test("stop for whoever keeps reconciliation to itself", async () => {
    const carrierId = await onboard();
    await send(carrierId, steps[0] ?? []);
    const helper = new TurnLeases(carrierId, "two", undefined);
    await systemTransaction(db, (tx) => helper.moveTo(tx, [1]));
    const request = { carrierId, job: RECONCILE_JOB, holder: aloneHolder("test"), ttlS: 60 };
    await systemTransaction(db, (tx) => takeLease(tx, request));
    expect(await systemTransaction(db, (tx) => areTurnsOver(tx, carrierId))).toBe(false);
    expect(await systemTransaction(db, (tx) => helper.confirm(tx))).toBe(false);
    await helper.release(db);
    expect(await systemTransaction(db, (tx) => areTurnsOver(tx, carrierId))).toBe(true);
    const { signal } = new AbortController();
    expect(await reconcileCarrier({ db, carrierId, holder: "three", signal })).toBeUndefined();
  });
});

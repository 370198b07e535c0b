import { addDays } from "../../src/domain/time/instant.ts";
import { reconcileCarrier } from "../../src/reconcile/reconcile-carrier.ts";
import { createRandom } from "../../src/simulator/random.ts";
import type { Database } from "../../src/store/database/database.ts";
import type { CallResultRow } from "../../src/store/reconciliation/call-result-columns.ts";
import { verifyCarrier } from "../../src/store/verify/verify.ts";
import type { TrafficWorld } from "../traffic/traffic-world.ts";
import { addCarrier, assignNumbers } from "./carriers.ts";
import { readAllResults, reconcileFully } from "./reconcile.ts";
import { type Delivery, deliveriesOf } from "./reconciliation-world.ts";
import { trafficWorld } from "./traffic-worlds.ts";
import { tellUsage } from "./usage.ts";

/** After so many of the deliveries all that is there is reconciled, before the next one comes. */
const RECONCILED_SHARE = 0.08;

const DAYS_AGO = 6;

/** A way in which a world's records come; what is committed at which time is the same in all. */
export type TrafficOrder = "as they came" | "reverse" | "other batches" | "two workers and restarts";

/**
 * Onboards the world's carrier under a name, takes its records in, and reconciles them until
 * nothing is left.
 */
export async function playTraffic(
  db: Database,
  carrierId: string,
  world: TrafficWorld,
  order: TrafficOrder,
): Promise<void> {
  await onboard(db, carrierId, world);
  const random = createRandom(`order/${carrierId}`);
  for (const delivery of inOrder(world, order)) {
    await delivery.run(db, carrierId);
    if (order === "two workers and restarts") await workAndStop(db, carrierId, world.nowMs);
    else if (order !== "as they came" && random.chance(RECONCILED_SHARE))
      await reconcileFully(db, carrierId, { nowMs: world.nowMs });
  }
  await reconcileFully(db, carrierId, { nowMs: world.nowMs });
}

/**
 * A world whose records came within the last days, for records are kept by the week in which they
 * came, from last week on.
 */
export function recentTraffic(name: string, seed: string, callCount: number): TrafficWorld {
  const startDay = addDays(new Date().toISOString().slice(0, 10), -DAYS_AGO);
  return trafficWorld(name, { seed, callCount, correlatedShare: 0.5, startDay });
}

/**
 * What stands of a carrier: every result with all that is compared of it, every customer's usage by
 * day, and what `tandem verify` finds.
 */
export async function outcomeOf(db: Database, carrierId: string, world: TrafficWorld) {
  const rows = (await readAllResults(db, carrierId)).filter((row) => !row.isMerged);
  const usage = await Promise.all(
    customersOf(world).map((customer) => tellUsage(db, `${customer}.${carrierId}`, world.timeZone)),
  );
  const faults = await verifyCarrier(db, carrierId, AbortSignal.timeout(600_000));
  // A record came at the world's time, in whatever order it was written.
  const others = faults.filter(({ check }) => check !== "FEED_NOT_DENSE");
  return { rows, results: rows.map(told).sort(), usage, faults: others };
}

async function onboard(db: Database, carrierId: string, world: TrafficWorld): Promise<void> {
  const { timeZone, graceMs, toleranceMs, directions, carrier } = world;
  await addCarrier(db, carrierId, {
    timeZone,
    graceMs: BigInt(graceMs),
    durationToleranceMs: BigInt(toleranceMs),
    reportingScopes: [{ directions: [...directions], unanswered: false, emergency: false }],
  });
  for (const customer of customersOf(world)) {
    const own = carrier.numbers.filter(({ assignment }) => assignment?.customerId === customer);
    const numbers = own.map(({ phoneNumber }) => phoneNumber);
    await assignNumbers(db, carrierId, numbers, `${customer}.${carrierId}`);
  }
}

function customersOf({ carrier }: TrafficWorld): string[] {
  return [...new Set(carrier.numbers.flatMap(({ assignment }) => assignment?.customerId ?? []))].sort();
}

function inOrder(world: TrafficWorld, order: TrafficOrder): Delivery[] {
  // What comes again as it was is told from a new record before it is kept.
  const sent = { cdrs: world.cdrs, durations: firstOfEach(world.durations) };
  if (order === "other batches" || order === "two workers and restarts") return deliveriesOf(sent, order);
  const asTheyCame = deliveriesOf(sent);
  if (order === "as they came") return asTheyCame;
  const later = asTheyCame.filter(({ isLater }) => isLater);
  return [...asTheyCame.filter(({ isLater }) => !isLater).reverse(), ...later];
}

function firstOfEach(durations: TrafficWorld["durations"]): TrafficWorld["durations"] {
  const seen = new Set<string>();
  return durations.filter(({ record: { recordId, recordDate, revision } }) => {
    const name = `${recordDate}/${recordId}/${revision}`;
    if (seen.has(name)) return false;
    seen.add(name);
    return true;
  });
}

// Two work at once, and are stopped after some of the work.
async function workAndStop(db: Database, carrierId: string, nowMs: number): Promise<void> {
  const stop = new AbortController();
  const now = BigInt(nowMs) * 1_000n;
  const workers = ["one", "two"].map((holder) =>
    reconcileCarrier({ db, carrierId, holder, now, signal: stop.signal, onAppended: () => stop.abort() }),
  );
  await Promise.all(workers);
}

function told({ side, recordDate, recordId, ...row }: CallResultRow): string {
  const carrier = row.carrierRecords.map((each) => `${each.recordDate}/${each.recordId}#${each.revision}`).join("+");
  const figures = [row.status, row.causes, row.matchedBy, row.startTime, row.platformMs, row.carrierMs].join(" ");
  return `${side}/${recordDate}/${recordId} ${carrier} ${figures}`;
}

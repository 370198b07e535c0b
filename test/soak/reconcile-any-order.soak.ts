import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { PLATFORM_SIDE } from "../../src/domain/record-kind.ts";
import { DiscrepancyStatus } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import { reconcileCarrier } from "../../src/reconcile/reconcile-carrier.ts";
import { createRandom } from "../../src/simulator/random.ts";
import type { CallResultRow } from "../../src/store/reconciliation/call-result-columns.ts";
import { verifyCarrier } from "../../src/store/verify/verify.ts";
import { addCarrier, assignNumbers } from "../support/carriers.ts";
import { openTestStore } from "../support/database.ts";
import { appendCdrs, appendDurations, readAllResults, reconcileFully } from "../support/reconcile.ts";
import { CUSTOMERS, NUMBERS, type Sent, unrulyWorld } from "../support/unruly-world.ts";
import { tellUsage } from "../support/usage.ts";

const store = await openTestStore();
const { db } = store;
let carriers = 0;

afterAll(() => store[Symbol.asyncDispose]());

/**
 * Every record has come at this instant, whenever it was written: lateness is no part of the
 * comparison.
 */
const ARRIVAL_MS = Date.now() - 3_600_000;

// Customers of their own, so that usage is that of one order alone.
async function onboard(): Promise<{ carrierId: string; customers: string[] }> {
  const carrierId = `unruly-${++carriers}`;
  await addCarrier(db, carrierId, { graceMs: 0n, timeZone: "UTC" });
  const customers = CUSTOMERS.map((customer) => `${customer}.${carrierId}`);
  for (const [index, number] of NUMBERS.entries())
    await assignNumbers(db, carrierId, [number], customers[index] ?? "customer");
  return { carrierId, customers };
}

async function send(carrierId: string, batch: readonly Sent[]): Promise<void> {
  const cdrs = batch.flatMap((each) => (each.side === "platform" ? [each.record] : []));
  const durations = batch.flatMap((each) => (each.side === "carrier" ? [each.record] : []));
  await appendCdrs(db, carrierId, cdrs, ARRIVAL_MS);
  await appendDurations(db, carrierId, durations, ARRIVAL_MS);
}

/**
 * What stands of one order: results with all that is compared of them, usage, and what `tandem
 * verify` finds.
 */
async function outcomeOf({ carrierId, customers }: { carrierId: string; customers: string[] }) {
  const rows = (await readAllResults(db, carrierId)).filter((row) => !row.isMerged);
  const usage: string[] = [];
  for (const customerId of customers) {
    const lines = await tellUsage(db, customerId, "UTC");
    usage.push(...lines.map((line) => `${customerId.split(".")[0]} ${line}`));
  }
  return { results: rows.map(told).sort(), usage, places: placesOf(rows), causes: rows.map(({ causes }) => causes) };
}

function told(row: CallResultRow): string {
  const carrier = row.carrierRecords.map(({ recordId, revision }) => `${recordId}#${revision}`).join("+");
  const platform = row.side === PLATFORM_SIDE ? `${row.recordId}/` : "";
  return `${platform}${carrier} ${DiscrepancyStatus[row.status]} ${row.causes} ${row.matchedBy} ${row.startTime} ${row.platformMs} ${row.carrierMs}`;
}

/** Of each record, in how many results it is. */
function placesOf(rows: readonly CallResultRow[]): Map<string, number> {
  const places = new Map<string, number>();
  const add = (name: string) => places.set(name, (places.get(name) ?? 0) + 1);
  for (const row of rows) {
    if (row.side === PLATFORM_SIDE) add(`platform/${row.recordDate}/${row.recordId}`);
    for (const { recordDate, recordId } of row.carrierRecords) add(`carrier/${recordDate}/${recordId}`);
  }
  return places;
}

function namesOf(sent: readonly Sent[]): string[] {
  return [...new Set(sent.map(({ side, record }) => `${side}/${record.recordDate}/${record.recordId}`))].sort();
}

/** First revisions before later ones. */
const inTwo = (sent: readonly Sent[], order: (list: Sent[]) => Sent[]) => [
  order(sent.filter(({ isLater }) => !isLater)),
  order(sent.filter(({ isLater }) => isLater)),
];

function batches(list: readonly Sent[], size: () => number): Sent[][] {
  const made: Sent[][] = [];
  for (let from = 0; from < list.length; ) {
    const count = size();
    made.push(list.slice(from, from + count));
    from += count;
  }
  return made;
}

function shuffled(list: readonly Sent[], seed: string): Sent[] {
  const random = createRandom(seed);
  return list
    .map((item) => ({ item, at: random.next() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item);
}

const startOf = ({ side, record }: Sent) =>
  Number((side === "platform" ? record.times?.inviteTime : record.inviteTime)?.seconds ?? 0n);
const byTime = (list: Sent[]) => list.toSorted((a, b) => startOf(a) - startOf(b));

/**
 * No mark follows from another more often than this: evidence, pairs that ids join, rules of
 * rounding, and the minutes that each of them touches.
 */
const MOST_ROUNDS = 6;

async function reconcile(carrierId: string): Promise<void> {
  await reconcileFully(db, carrierId, { mostRounds: MOST_ROUNDS });
}

async function inBatches(steps: readonly Sent[][], isPlayed: (index: number) => boolean) {
  const onboarded = await onboard();
  for (const [index, step] of steps.entries()) {
    await send(onboarded.carrierId, step);
    if (isPlayed(index)) await reconcile(onboarded.carrierId);
  }
  await reconcile(onboarded.carrierId);
  return onboarded;
}

// Two work at once, and are stopped after some of the work and begin again, until nothing is left.
async function withRestarts(steps: readonly Sent[][]) {
  const onboarded = await onboard();
  const { carrierId } = onboarded;
  for (const step of steps) {
    await send(carrierId, step);
    const stop = new AbortController();
    const workers = ["one", "two"].map((holder) =>
      reconcileCarrier({ db, carrierId, holder, signal: stop.signal, onAppended: () => stop.abort() }),
    );
    await Promise.all(workers);
  }
  await reconcile(carrierId);
  return onboarded;
}

async function marksOf(carrierId: string): Promise<number> {
  const text = "SELECT count(*)::int AS n FROM reconcile_minute WHERE carrier_id = $1";
  return (await db.pool.query<{ n: number }>(text, [carrierId])).rows[0]?.n ?? 0;
}

const together = (sent: readonly Sent[]) =>
  inBatches(
    inTwo(sent, (list) => list),
    (index) => index > 0,
  );

describe.each(["a", "b", "c"])("hours with two offsets, long calls in many parts, corrections: world %s", (seed) => {
  const sent = unrulyWorld(seed);
  const random = createRandom(`batches/${seed}`);
  const orders: Record<string, () => ReturnType<typeof onboard>> = {
    "all at once, again": () => together(shuffled(sent, `${seed}/again`)),
    "in the order of their starts, in small batches": () =>
      inBatches(
        inTwo(sent, byTime).flatMap((list) => batches(list, () => random.int(5, 40))),
        () => true,
      ),
    "in the reverse order": () =>
      inBatches(
        inTwo(sent, (list) => byTime(list).reverse()).flatMap((list) => batches(list, () => 60)),
        () => true,
      ),
    "in random batches": () =>
      inBatches(
        inTwo(sent, (list) => shuffled(list, seed)).flatMap((list) => batches(list, () => random.int(1, 120))),
        () => random.chance(0.5),
      ),
    "with two workers and restarts": () =>
      withRestarts(
        inTwo(sent, (list) => shuffled(list, `${seed}/restarts`)).flatMap((list) => batches(list, () => 90)),
      ),
  };
  let expected: Awaited<ReturnType<typeof outcomeOf>>;
  beforeAll(async () => {
    const whole = await together(sent);
    expected = await outcomeOf(whole);
  });

  test("is one in which clocks were off, calls are in parts, and usage is counted", () => {
    const of = (text: string) => expected.results.filter((each) => each.includes(text)).length;
    expect(of("MATCHED_EXACT")).toBeGreaterThan(200);
    expect(expected.results.filter((each) => /\/c-long-\d+-1#1\+c-long/.test(each)).length).toBeGreaterThan(3);
    // ZONE_SHIFT, by its bit.
    expect(expected.causes.filter((causes) => (causes & 2) !== 0).length).toBeGreaterThan(50);
    expect(expected.usage.length).toBeGreaterThan(2);
  });

  test.each(Object.keys(orders))(
    "comes to the same results and the same usage, each record in exactly one result: %s",
    async (order) => {
      const onboarded = await (orders[order] as () => ReturnType<typeof onboard>)();
      const outcome = await outcomeOf(onboarded);
      expect(namesOf(sent).filter((name) => outcome.places.get(name) !== 1)).toEqual([]);
      expect({ results: outcome.results, usage: outcome.usage }).toEqual({
        results: expected.results,
        usage: expected.usage,
      });
      expect(await verifyCarrier(db, onboarded.carrierId, AbortSignal.timeout(60_000))).toEqual([]);
      expect(await marksOf(onboarded.carrierId)).toBe(0);
    },
  );
});

test("every mark has a measure that falls: whatever the world and the batches, no minute is set aside", async () => {
  for (let index = 0; index < 5; index++) {
    const random = createRandom(`measure/${index}`);
    const sent = unrulyWorld(`measure/${index}`, random.int(8, 30));
    const [first = [], later = []] = inTwo(sent, (list) => shuffled(list, `measure/${index}`));
    const size = random.int(20, 200);
    const steps = [...batches(first, () => size), ...batches(later, () => size)];
    const { carrierId } = await inBatches(steps, () => random.chance(0.7));
    expect([index, await marksOf(carrierId)]).toEqual([index, 0]);
  }
});

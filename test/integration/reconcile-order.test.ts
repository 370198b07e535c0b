import { create } from "@bufbuild/protobuf";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { FeedId } from "../../src/domain/feed-id.ts";
import { addDays } from "../../src/domain/time/instant.ts";
import { type Correlation, CorrelationSchema } from "../../src/gen/tandem/type/v1/call_pb.js";
import { reconcileCarrier } from "../../src/reconcile/reconcile-carrier.ts";
import { carrierTransaction, systemTransaction } from "../../src/store/database/database.ts";
import { lockFeed } from "../../src/store/feeds/feed-head.ts";
import { readReconcilePosition, settleIdleCarriers } from "../../src/store/reconciliation/reconcile-progress.ts";
import { openTestStore } from "../support/database.ts";
import { timestamp } from "../support/feed.ts";
import { addReconciledCarrier, cdr, duration, reconciledCalls } from "../support/minute-calls.ts";
import { appendCdrs, appendDurations, readAllResults, reconcileFully } from "../support/reconcile.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** 08:00 UTC of the day before yesterday. */
const EIGHT = Date.parse(`${addDays(new Date().toISOString().slice(0, 10), -2)}T08:00:00Z`);

const store = await openTestStore();
const { db } = store;
let carrierId: string;
let carriers = 0;

afterAll(() => store[Symbol.asyncDispose]());
beforeEach(addOrderCarrier);

async function addOrderCarrier(): Promise<void> {
  carrierId = `order-${++carriers}`;
  await addReconciledCarrier(db, carrierId);
}

type Append = () => Promise<void>;

/** What a carrier comes to when it is reconciled after each of these. */
async function inSteps(steps: readonly Append[]): Promise<string[]> {
  await addOrderCarrier();
  for (const [index, step] of steps.entries()) {
    await step();
    if (index < steps.length - 1) await reconcileFully(db, carrierId);
  }
  return reconciledCalls(db, carrierId);
}

describe("a robot that calls one number twice a second, without ids", () => {
  const robot = (index: number) => EIGHT + index * 550;
  const both =
    (indexes: readonly number[]): Append =>
    async () => {
      await appendCdrs(
        db,
        carrierId,
        indexes.map((index) => cdr(`p${index}`, robot(index))),
      );
      await appendDurations(
        db,
        carrierId,
        indexes.map((index) => duration(`c${index}`, robot(index) + 200)),
      );
    };
  const upTo = (count: number, but: readonly number[] = []) =>
    Array.from({ length: count }, (_, index) => index).filter((index) => !but.includes(index));

  test.each([
    { told: "one at its end comes late", count: 130, late: [129] },
    { told: "one that joins two shorter runs comes late", count: 160, late: [80, 81] },
    { told: "the one that makes them too many comes late", count: 101, late: [50] },
  ])("is ambiguous in all of its calls: $told", async ({ count, late }) => {
    const result = await inSteps([both(upTo(count, late)), both(late)]);
    expect(new Set(result.map((text) => text.split(" ")[1]))).toEqual(new Set(["AMBIGUOUS"]));
    expect(result).toEqual(await inSteps([both(upTo(count))]));
    const rows = await readAllResults(db, carrierId);
    expect(rows).toHaveLength(2 * count);
  });
});

describe("records that share an id and begin hours apart", () => {
  const correlated = (ids: Partial<Correlation>) => create(CorrelationSchema, ids as never);
  const D = { interconnectDialog: { callId: "d" } } as never;
  const there = EIGHT + 5 * HOUR_MS;
  const platform =
    (id: string, startMs: number, ids: Partial<Correlation> = {}) =>
    () =>
      appendCdrs(db, carrierId, [{ ...cdr(id, startMs), correlation: correlated(ids) }]);
  const carrier =
    (id: string, startMs: number, ids: Partial<Correlation> = {}) =>
    () =>
      appendDurations(db, carrierId, [{ ...duration(id, startMs), correlation: correlated(ids) }]);

  test.each([
    {
      told: "the carrier's record goes with the call of its dialog, and not with the one beside it",
      steps: [platform("p1", there, D), platform("p2", EIGHT), carrier("c", EIGHT + 200, D)],
    },
    {
      told: "the platform's record goes with the duration of its dialog, and not with the one beside it",
      steps: [carrier("c1", there, D), carrier("c2", EIGHT + 200), platform("p", EIGHT, D)],
    },
    {
      told: "a dialog goes before an ICID",
      steps: [
        platform("p1", there, D),
        platform("p2", EIGHT, { icid: "i" }),
        carrier("c", EIGHT + 200, { ...(D as object), icid: "i" }),
      ],
    },
    {
      told: "a second record of a dialog is a copy",
      steps: [platform("p", EIGHT, D), carrier("c1", EIGHT + 200, D), carrier("c2", there, D)],
    },
  ])("come to the same in every order: $told", async ({ steps }) => {
    const [a, b, c] = steps as [Append, Append, Append];
    const expected = await inSteps([async () => [await a(), await b(), await c()] as never]);
    for (const order of [
      [a, b, c],
      [a, c, b],
      [b, a, c],
      [b, c, a],
      [c, a, b],
      [c, b, a],
    ])
      expect(await inSteps(order)).toEqual(expected);
  });

  test("leave a crowd for the call of their dialog", async () => {
    const indexes = Array.from({ length: 120 }, (_, index) => index);
    const crowd = async () => {
      await appendCdrs(
        db,
        carrierId,
        indexes.map((index) => cdr(`p${index}`, EIGHT + index * 1_000)),
      );
      await appendDurations(
        db,
        carrierId,
        indexes.map((index) => duration(`c${index}`, EIGHT + index * 1_000)),
      );
    };
    const steps = [platform("p", there, D), carrier("c", EIGHT + 2_500, D)];
    for (const order of [
      [...steps, crowd],
      [crowd, ...steps],
      [steps[1], crowd, steps[0]],
    ] as Append[][])
      expect((await inSteps(order)).filter((text) => !text.endsWith("AMBIGUOUS"))).toEqual(["p/c MATCHED_EXACT"]);
  });
});

test("a call of which the carrier has a bill alone is judged again when its trunk's rounding shows", async () => {
  const pairs = Array.from({ length: 25 }, (_, index) => ({ index, ms: EIGHT + index * 3 * MINUTE_MS }));
  const named = (index: number) => `+1202555${1_000 + index}`;
  const later = EIGHT + 5 * HOUR_MS;
  const billed: Append = async () => {
    const call = cdr("p", later, { called: named(99) });
    if (call.times) call.times.endTime = { ...call.times.endTime, ...timestamp(later + 95_000) } as never;
    await appendCdrs(db, carrierId, [call]);
    await appendDurations(db, carrierId, [duration("c", later, { called: named(99), billedS: 90 })]);
  };
  // Each of them is as long with a rule as without.
  const rounded: Append = async () => {
    await appendCdrs(
      db,
      carrierId,
      pairs.map(({ index, ms }) => cdr(`p${index}`, ms, { called: named(index) })),
    );
    await appendDurations(
      db,
      carrierId,
      pairs.map(({ index, ms }) => duration(`c${index}`, ms, { called: named(index) })),
    );
  };
  const ofBill = (texts: readonly string[]) => texts.find((text) => text.startsWith("p/c"));
  expect(ofBill(await inSteps([billed]))).toBe("p/c MATCHED_EXACT");
  expect(ofBill(await inSteps([rounded, billed]))).toBe("p/c DURATION_MISMATCH");
  expect(ofBill(await inSteps([billed, rounded]))).toBe("p/c DURATION_MISMATCH");
});

describe("how far a carrier is reconciled", () => {
  const countBlocked = async () => {
    const { rows } = await db.pool.query<{ count: bigint }>(
      `SELECT count(*) AS count FROM pg_stat_activity
       WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    );
    return Number(rows[0]?.count);
  };
  const through = async () =>
    (await systemTransaction(db, (tx) => readReconcilePosition(tx, carrierId)))?.reconciledThrough ?? 0n;

  test("is before the record of a writer that has not ended", async () => {
    await appendCdrs(db, carrierId, [cdr("p", EIGHT)]);
    await reconcileFully(db, carrierId);
    const signal = new AbortController().signal;
    const reconciling = await carrierTransaction(db, carrierId, async (tx) => {
      const { ingestTime } = await lockFeed(tx, carrierId, FeedId.DURATIONS);
      const run = reconcileCarrier({ db, carrierId, holder: "test", signal });
      // It can go no further.
      await expect.poll(countBlocked).toBe(1);
      expect(await through()).toBeLessThanOrEqual(ingestTime);
      await systemTransaction(db, (other) => settleIdleCarriers(other, 1, 0));
      expect(await through()).toBeLessThanOrEqual(ingestTime);
      return { run, ingestTime };
    });
    await reconciling.run;
    expect(await through()).toBeGreaterThan(reconciling.ingestTime);
  });
});

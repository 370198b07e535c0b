import { create } from "@bufbuild/protobuf";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { addDays, microsFromMs } from "../../src/domain/time/instant.ts";
import { Completeness } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { CorrelationSchema } from "../../src/gen/tandem/type/v1/call_pb.js";
import { runReconcile } from "../../src/jobs/reconcile.ts";
import type { WorkLimit } from "../../src/reconcile/reconcile-carrier.ts";
import { retrySetAside } from "../../src/reconcile/retry-set-aside.ts";
import { systemTransaction } from "../../src/store/database/database.ts";
import { listSetAside, MOST_ROUNDS, markDueMinutes } from "../../src/store/reconciliation/reconcile-progress.ts";
import { readReconciliationStatus } from "../../src/store/reconciliation/reconciliation-status.ts";
import { openTestStore } from "../support/database.ts";
import { timestamp } from "../support/feed.ts";
import { addReconciledCarrier, cdr, duration, reconciledCalls } from "../support/minute-calls.ts";
import { appendCdrs, appendDurations, readAllResults, reconcileFully } from "../support/reconcile.ts";

const MINUTE_MS = 60_000;
/** 11:00 UTC of the day before yesterday. */
const ELEVEN = Date.parse(`${addDays(new Date().toISOString().slice(0, 10), -2)}T11:00:00Z`);

const store = await openTestStore();
const { db } = store;
let carrierId: string;
let carriers = 0;

afterAll(() => store[Symbol.asyncDispose]());
beforeEach(addEndsCarrier);

async function addEndsCarrier(): Promise<void> {
  carrierId = `ends-${++carriers}`;
  await addReconciledCarrier(db, carrierId);
}

describe("calls of a clock that is 95 s ahead, on both sides of a full hour", () => {
  const X = "+12025550131";
  const Y = "+12025550132";

  test("do not mark each other for ever, and another carrier is judged", async () => {
    await using job = startJob();
    await appendCdrs(db, carrierId, [
      cdr("p1", ELEVEN - 50_000, { called: X }),
      cdr("p2", ELEVEN - 20_000, { called: Y }),
    ]);
    await appendDurations(db, carrierId, [duration("c1", ELEVEN + 45_000, { called: X })]);
    await judgedWholly(carrierId);
    await appendDurations(db, carrierId, [duration("c2", ELEVEN + 75_000, { called: Y })]);
    const other = carrierId.replace("ends", "other");
    await addReconciledCarrier(db, other, "customer-2");
    await appendCdrs(db, other, [cdr("q", ELEVEN)]);
    await judgedWholly(other);
    await judgedWholly(carrierId);
    expect(job.errors).toEqual([]);
    expect(await readAllResults(db, other)).toHaveLength(1);
  });
});

/** The job as a server runs it. */
function startJob(onSetAside?: (carrierIds: readonly string[]) => void, turnLimit?: WorkLimit) {
  const stop = new AbortController();
  const errors: unknown[] = [];
  const running = runReconcile(
    {
      db,
      region: undefined,
      intervalMs: 10,
      onAppended: () => {},
      onError: (error) => errors.push(error),
      ...(onSetAside && { onSetAside }),
      ...(turnLimit && { turnLimit }),
    },
    stop.signal,
  );
  return {
    errors,
    async [Symbol.asyncDispose]() {
      stop.abort();
      await running;
    },
  };
}

/** Waits until every record of a carrier is judged, and none of its minutes is marked. */
async function judgedWholly(of: string): Promise<void> {
  const text = `
    SELECT p.cdr_sequence = c.next_sequence - 1 AND p.duration_sequence = d.next_sequence - 1
      AND NOT EXISTS (SELECT FROM reconcile_minute m WHERE m.carrier_id = p.carrier_id) AS done
    FROM reconcile_position p JOIN feed_head c ON c.carrier_id = p.carrier_id AND c.feed = 2
      JOIN feed_head d ON d.carrier_id = p.carrier_id AND d.feed = 4 WHERE p.carrier_id = $1`;
  await expect.poll(async () => (await db.pool.query<{ done: boolean }>(text, [of])).rows[0]?.done).toBe(true);
}

describe("a call that the carrier has in three parts, without numbers of parts and without ids (case 38)", () => {
  const partOf = (index: number, partMs: number) => {
    const startMs = ELEVEN + (index === 0 ? 0 : 5_000 + index * partMs);
    const record = duration(`c${index + 1}`, startMs, { connectedMs: partMs });
    if (index > 0) Object.assign(record, { answerTime: timestamp(startMs), endTime: timestamp(startMs + partMs) });
    return record;
  };
  const whole = (totalMs: number) => {
    const record = cdr("p1", ELEVEN);
    if (record.times) Object.assign(record.times, { endTime: timestamp(ELEVEN + 5_000 + totalMs) });
    return record;
  };
  const ORDERS = [
    ["p", 0, 1, 2],
    ["p", 0, 2, 1],
    ["p", 1, 0, 2],
    ["p", 1, 2, 0],
    ["p", 2, 0, 1],
    ["p", 2, 1, 0],
    [0, 1, 2, "p"],
    [2, 1, 0, "p"],
    [1, "p", 2, 0],
    [0, "p", 2, 1],
    [2, "p", 0, 1],
  ] as const;

  test.each([2, 10, 60])("is one call that agrees, in whatever order they come: parts of %i min", async (minutes) => {
    const partMs = minutes * MINUTE_MS;
    const send = (what: "p" | number) =>
      what === "p"
        ? appendCdrs(db, carrierId, [whole(3 * partMs)])
        : appendDurations(db, carrierId, [partOf(what, partMs)]);
    const found: Record<string, string[]> = {};
    for (const order of ORDERS) {
      await addEndsCarrier();
      for (const what of order) {
        await send(what);
        await reconciledCalls(db, carrierId);
      }
      found[order.join()] = await reconciledCalls(db, carrierId);
    }
    await addEndsCarrier();
    for (const what of ["p", 0, 1, 2] as const) await send(what);
    found["at once"] = await reconciledCalls(db, carrierId);
    expect(found).toEqual(
      Object.fromEntries(Object.keys(found).map((order) => [order, ["p1/c1+c2+c3 MATCHED_EXACT"]])),
    );
  });

  test.each([0, 1, 2])(
    "is one call that lacks a part, in whatever order the others come: without part %i",
    async (lost) => {
      const present = [0, 1, 2].filter((index) => index !== lost);
      const [first = 0, last = 0] = present;
      const orders = [
        ["p", first, last],
        ["p", last, first],
        [first, "p", last],
        [last, "p", first],
        [last, first, "p"],
      ] as const;
      const found: Record<string, string[]> = {};
      for (const order of orders) {
        await addEndsCarrier();
        for (const what of order) {
          if (what === "p") await appendCdrs(db, carrierId, [whole(30 * MINUTE_MS)]);
          else await appendDurations(db, carrierId, [partOf(what, 10 * MINUTE_MS)]);
          await reconciledCalls(db, carrierId);
        }
        found[order.join()] = await reconciledCalls(db, carrierId);
      }
      const parts = present.map((index) => `c${index + 1}`).join("+");
      expect(new Set(Object.values(found).flat())).toEqual(new Set([`p1/${parts} DURATION_MISMATCH`]));
    },
  );
});

describe("calls that do not settle", () => {
  const marks = async () =>
    (
      await db.pool.query<{ round: number }>(
        "SELECT round::int FROM reconcile_minute WHERE carrier_id = $1 ORDER BY minute",
        [carrierId],
      )
    ).rows.map(({ round }) => round);
  const named = (index: number) => `+1202555${1_000 + index}`;
  const call = (index: number) => {
    const startMs = ELEVEN + index * MINUTE_MS;
    return {
      cdr: cdr(`p${index}`, startMs, { called: named(index) }),
      duration: duration(`c${index}`, startMs + 60 * MINUTE_MS, { called: named(index) }),
    };
  };
  const send = async (from: number, to: number) => {
    const calls = Array.from({ length: to - from }, (_, index) => call(from + index));
    await appendCdrs(
      db,
      carrierId,
      calls.map((each) => each.cdr),
    );
    await appendDurations(
      db,
      carrierId,
      calls.map((each) => each.duration),
    );
  };
  const aligned = (count: number) =>
    Array.from({ length: count }, (_, index) => `p${index}/c${index} MATCHED_EXACT`).sort();

  test("are set aside after so many rounds, named in the listing, and taken up when further records come", async () => {
    // The offset of the hour shows with the fifth call, and has those before it judged again: a
    // second round.
    await send(0, 4);
    await reconcileFully(db, carrierId);
    await send(4, 6);
    await reconcileFully(db, carrierId, { mostRounds: 0 });
    expect((await marks()).length).toBeGreaterThan(0);
    expect(new Set(await marks())).toEqual(new Set([1]));
    const listed = (most: number) => systemTransaction(db, (tx) => listSetAside(tx, 10, undefined, most));
    expect(await listed(0)).toContain(carrierId);
    expect(await listed(1)).not.toContain(carrierId);
    await reconcileFully(db, carrierId, { mostRounds: 0 });
    expect((await marks()).length).toBeGreaterThan(0);
    await send(6, 7);
    await reconcileFully(db, carrierId, { mostRounds: 0 });
    expect(await marks()).toEqual([]);
    expect(await reconciledCalls(db, carrierId)).toEqual(aligned(7));
  });

  test("are shown as set aside, keep nothing else from being judged, and are taken up on a command", async () => {
    await send(0, 3);
    await reconcileFully(db, carrierId);
    await db.pool.query("INSERT INTO reconcile_minute VALUES ($1, $2, $3)", [
      carrierId,
      new Date(ELEVEN).toISOString(),
      MOST_ROUNDS + 1,
    ]);
    const status = () =>
      systemTransaction(db, (tx) => readReconciliationStatus(tx, { carrierId, timeZone: "UTC", graceMs: 0n }));
    expect(await status()).toMatchObject({ asideMinutes: 1n, asideFirst: microsFromMs(ELEVEN) });
    const told: string[][] = [];
    {
      await using _job = startJob((carrierIds) => told.push([...carrierIds]));
      await expect.poll(() => told.length).toBeGreaterThan(2);
    }
    expect(told.every((carrierIds) => carrierIds.includes(carrierId))).toBe(true);
    expect(await marks()).toEqual([MOST_ROUNDS + 1]);
    expect(await retrySetAside(db, carrierId, "cli:test")).toBe(1);
    await using _job = startJob();
    await judgedWholly(carrierId);
    expect(await status()).toMatchObject({ asideMinutes: 0n, asideFirst: undefined });
  });
});

test("time alone does not have a call judged for ever whose record at the platform is partial, and whose counterpart came late", async () => {
  await appendCdrs(db, carrierId, [{ ...cdr("p", ELEVEN), completeness: Completeness.PARTIAL }], ELEVEN + MINUTE_MS);
  await appendDurations(db, carrierId, [duration("c", ELEVEN)], ELEVEN + 600 * MINUTE_MS);
  expect(await reconciledCalls(db, carrierId)).toEqual(["p/c PENDING"]);
  expect(
    await systemTransaction(db, (tx) => markDueMinutes(tx, carrierId, microsFromMs(Date.now() + 86_400_000), 10)),
  ).toBe(0);
});

test("a carrier with much to do, and one whose turns fail, leave every other its turn", async () => {
  const busy = carrierId;
  await appendCdrs(
    db,
    busy,
    Array.from({ length: 100 }, (_, index) =>
      cdr(`p${index}`, ELEVEN - index * 61 * MINUTE_MS, { called: `+1202555${1_000 + index}` }),
    ),
  );
  await addEndsCarrier();
  const failing = carrierId;
  // Its records cannot be read: what they hold is no record.
  await appendCdrs(db, failing, [cdr("broken", ELEVEN)]);
  await db.pool.query("UPDATE cdr_record SET payload = '\\xff' WHERE carrier_id = $1", [failing]);
  await addEndsCarrier();
  const quiet = carrierId;
  await appendCdrs(db, quiet, [cdr("q", ELEVEN)]);
  await using job = startJob(undefined, { steps: 1, ms: 60_000 });
  await judgedWholly(quiet);
  expect((await readAllResults(db, busy)).length).toBeLessThan(100);
  await expect.poll(() => job.errors.length).toBeGreaterThan(0);
  await judgedWholly(busy);
  expect((await readAllResults(db, busy)).length).toBe(100);
});

test("two records of a dialog that begin hours apart and are a call of their own each stay apart however they come", async () => {
  const dialog = { correlation: create(CorrelationSchema, { interconnectDialog: { callId: "d" } } as never) };
  const THERE = ELEVEN + 180 * MINUTE_MS;
  const steps = [
    () => appendCdrs(db, carrierId, [{ ...cdr("p", ELEVEN), ...dialog }]),
    () => appendDurations(db, carrierId, [{ ...duration("c1", THERE), ...dialog }]),
    () => appendDurations(db, carrierId, [duration("c2", ELEVEN + 200)]),
  ];
  const expected = ["c2 MISSING_AT_PLATFORM", "p/c1 MATCHED_EXACT"];
  for (const order of [
    [0, 1, 2],
    [2, 1, 0],
    [0, 2, 1],
    [1, 2, 0],
  ]) {
    await addEndsCarrier();
    for (const index of order) {
      await steps[index]?.();
      await reconciledCalls(db, carrierId);
    }
    expect(await reconciledCalls(db, carrierId)).toEqual(expected);
  }
});

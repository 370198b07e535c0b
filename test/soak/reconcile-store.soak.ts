import { afterAll, describe, expect, test } from "vitest";
import { PLATFORM_SIDE } from "../../src/domain/record-kind.ts";
import { microsFromMs } from "../../src/domain/time/instant.ts";
import { reconcileCarrier } from "../../src/reconcile/reconcile-carrier.ts";
import type { CallResultRow } from "../../src/store/reconciliation/call-result-columns.ts";
import { openTestStore } from "../support/database.ts";
import { readAllResults, reconcileFully } from "../support/reconcile.ts";
import { addWorldCarrier, deliveriesOf, foundResult, recentWorld } from "../support/reconciliation-world.ts";
import { scoreResults } from "../support/score.ts";
import { findShortfalls } from "../support/score-tables.ts";

const large = recentWorld({ seed: "store", callCount: 600, correlatedShare: 0.5 });
/** What the order of arrival changes shows in few calls. `npm run soak` plays many orders. */
const world = recentWorld({ seed: "orders", callCount: 200, correlatedShare: 0.5 });
const store = await openTestStore();
const { db } = store;

afterAll(() => store[Symbol.asyncDispose]());

async function onboard(carrierId: string, played = world): Promise<string> {
  await addWorldCarrier(db, carrierId, played);
  return carrierId;
}

// What comes of a world whose records are all there before it begins.
async function reconcileAtOnce(carrierId: string, played = world): Promise<CallResultRow[]> {
  await onboard(carrierId, played);
  for (const delivery of deliveriesOf(played)) await delivery.run(db, carrierId);
  await reconcileFully(db, carrierId, { nowMs: played.nowMs });
  return readAllResults(db, carrierId);
}

// All but what tells when something was seen, which is of the way there and not of the records.
function judgements(rows: readonly CallResultRow[]) {
  return rows
    .filter((row) => !row.isMerged)
    .map(({ discrepancyRevision: _r, firstSeenTime: _f, resolvedTime: _t, sequence: _s, payload: _p, ...row }) => ({
      ...row,
      discrepancyId: row.status >= 4 && row.status <= 10 ? row.discrepancyId : undefined,
    }));
}

describe("reconciliation through the store", () => {
  test("finds what was planted, each call once, when everything is there before it begins", async () => {
    const rows = (await reconcileAtOnce("large", large)).filter((row) => !row.isMerged);
    const score = scoreResults(large.truths, rows.map(foundResult));
    // At this size one call is 3 % of its class; test/soak/reconcile-world.soak.ts holds the
    // matcher to 99 %.
    expect(findShortfalls(score, { least: 0.9 })).toEqual([]);
  });

  test("comes to the same in whatever order and in whatever batches the records arrive", async () => {
    const expected = judgements(await reconcileAtOnce("all-at-once"));
    const carrierId = await onboard("shuffled");
    for (const [index, delivery] of deliveriesOf(world, "shuffled").entries()) {
      await delivery.run(db, carrierId);
      if (index % 7 === 0) await reconcileFully(db, carrierId, { nowMs: world.nowMs });
    }
    await reconcileFully(db, carrierId, { nowMs: world.nowMs });
    expect(judgements(await readAllResults(db, carrierId))).toEqual(
      expected.map((row) => ({ ...row, discrepancyId: row.discrepancyId && expect.any(String) })),
    );
  });

  test("comes to the same when workers stop in the middle, and when two work at once", async () => {
    const expected = judgements(await readAllResults(db, "all-at-once"));
    const carrierId = await onboard("interrupted");
    for (const delivery of deliveriesOf(world)) await delivery.run(db, carrierId);
    let stops = 0;
    // Both are stopped whenever some more results are there, until nothing is left to do.
    for (let least = 50; (await isLeft(carrierId)) || stops === 0; least += 50) {
      const stop = new AbortController();
      const now = microsFromMs(world.nowMs);
      const workers = ["one", "two"].map((holder) =>
        reconcileCarrier({ db, carrierId, holder, signal: stop.signal, now }),
      );
      let isOver = false;
      const judged = Promise.all(workers).finally(() => {
        isOver = true;
      });
      await expect.poll(async () => isOver || (await countResults(carrierId)) >= least).toBe(true);
      stop.abort();
      expect((await judged).filter((count) => count === undefined).length).toBeLessThanOrEqual(1);
      stops++;
    }
    expect(stops).toBeGreaterThan(2);
    await reconcileFully(db, carrierId, { nowMs: world.nowMs });
    expect(judgements(await readAllResults(db, carrierId))).toEqual(
      expected.map((row) => ({ ...row, discrepancyId: row.discrepancyId && expect.any(String) })),
    );
  });

  test("puts every record's newest revision into exactly one result", async () => {
    const rows = (await readAllResults(db, "interrupted")).filter((row) => !row.isMerged);
    const named = (records: readonly { recordDate: string; recordId: string }[]) =>
      records.map(({ recordDate, recordId }) => `${recordDate}/${recordId}`).sort();
    const sent = (arriving: readonly { record: { recordDate: string; recordId: string } }[]) => [
      ...new Set(named(arriving.map(({ record }) => record))),
    ];
    expect(named(rows.filter((row) => row.side === PLATFORM_SIDE))).toEqual(sent(world.cdrs));
    expect(named(rows.flatMap((row) => row.carrierRecords))).toEqual(sent(world.durations));
  });
});

async function countResults(carrierId: string): Promise<number> {
  const text = "SELECT count(*)::int AS n FROM call_result WHERE carrier_id = $1";
  return (await db.pool.query<{ n: number }>(text, [carrierId])).rows[0]?.n ?? 0;
}

async function isLeft(carrierId: string): Promise<boolean> {
  const text = "SELECT 1 FROM reconcile_minute WHERE carrier_id = $1 LIMIT 1";
  return (await db.pool.query(text, [carrierId])).rows.length > 0;
}

import { expect, test } from "vitest";
import { FeedId } from "../../src/domain/feed-id.ts";
import type { Micros } from "../../src/domain/time/instant.ts";
import { systemTransaction } from "../../src/store/database/database.ts";
import { readClock } from "../../src/store/database/run.ts";
import { lockFeed } from "../../src/store/feeds/feed-head.ts";
import { addCarrier } from "../support/carriers.ts";
import { openTestStore } from "../support/database.ts";

const BLOCKED = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tandem' AND wait_event_type = 'Lock'`;

test("the clock of a row is read at each execution, also where a plan is kept and its column is NULL", async () => {
  await using store = await openTestStore();
  const client = await store.db.pool.connect();
  try {
    await client.query(
      "CREATE TABLE timed (id int, at timestamptz); INSERT INTO timed VALUES (1, NULL), (2, '2000-01-01')",
    );
    await client.query("SET plan_cache_mode = force_generic_plan");
    const read = async () => {
      const { rows } = await client.query<{ at: Micros; before: Micros }>({
        name: "timed",
        text: "SELECT clock_from(at) AS at, now() AS before FROM timed ORDER BY id",
      });
      return rows;
    };
    const first = await read();
    const second = await read();
    expect(first).toHaveLength(2);
    for (const { at, before } of [...first, ...second]) expect(at).toBeGreaterThan(before);
    for (const { at } of first) expect(second[0]?.at).toBeGreaterThan(at);
  } finally {
    client.release();
  }
});

test("who waits for a feed's row gets the time at which it got it, not at which it asked", async () => {
  await using store = await openTestStore();
  const { db } = store;
  await addCarrier(db, "acme");
  const { waiting, released } = await systemTransaction(db, async (tx) => {
    await lockFeed(tx, "acme", FeedId.CDRS);
    const waiting = systemTransaction(db, (other) => lockFeed(other, "acme", FeedId.CDRS));
    await expect.poll(async () => (await db.pool.query(BLOCKED)).rowCount).toBe(1);
    return { waiting, released: await readClock(tx) };
  });
  expect((await waiting).ingestTime).toBeGreaterThan(released);
});

test("the roles that serve may ask for it, and nobody else", async () => {
  await using store = await openTestStore();
  const { rows } = await store.db.pool.query<{ grantee: string }>(`
    SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(a.grantee)::text END AS grantee
    FROM pg_proc p, aclexplode(p.proacl) a
    WHERE p.pronamespace = current_schema()::regnamespace AND p.proname = 'clock_from' AND a.grantee <> p.proowner ORDER BY 1`);
  expect(rows.map(({ grantee }) => grantee)).toEqual(["tandem_carrier", "tandem_system"]);
});

import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { scoreTraffic } from "../../src/simulator/traffic/traffic-score.ts";
import { TRAFFIC_WORLDS } from "../../src/simulator/traffic/worlds.ts";
import { type Database, openDatabase } from "../../src/store/database.ts";
import { migrate } from "../../src/store/migrate.ts";
import { createMigratedDatabase } from "../support/database.ts";
import { foundResult } from "../support/reconciliation-world.ts";
import { outcomeOf, playTraffic, recentTraffic, type TrafficOrder } from "../support/traffic-store.ts";

/** What the worlds are drawn from, and how many calls each has. */
const SEED = process.env["TANDEM_TEST_TRAFFIC_SEED"] ?? String(Date.now());
const CALLS = Number(process.env["TANDEM_TEST_TRAFFIC_CALLS"] ?? 1_000);
const ORDERS: readonly TrafficOrder[] = ["reverse", "other batches", "two workers and restarts"];

let db: Database;
let close: () => Promise<void>;

beforeAll(async () => {
  const database = await createMigratedDatabase();
  db = openDatabase({ url: database.url, synchronousCommit: "off" });
  await migrate(db);
  close = async () => {
    await db[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  };
});
afterAll(() => close());

describe.each(TRAFFIC_WORLDS.map(({ name }) => name))(`%s (TANDEM_TEST_TRAFFIC_SEED=${SEED})`, (name) => {
  const world = recentTraffic(name, SEED, CALLS);
  let expected: Awaited<ReturnType<typeof outcomeOf>>;

  beforeAll(async () => {
    await playTraffic(db, name, world, "as they came");
    expected = await outcomeOf(db, name, world);
  }, 3_600_000);

  test("has each record in one result", () => {
    const results = expected.rows.map(foundResult);
    expect(scoreTraffic(world, { results, usage: world.usage }).misplaced).toEqual([]);
    expect(expected.faults).toEqual([]);
  });

  test.each(ORDERS)("comes to the same results and usage: %s", async (order) => {
    const carrierId = `${name}.${ORDERS.indexOf(order)}`;
    await playTraffic(db, carrierId, world, order);
    const outcome = await outcomeOf(db, carrierId, world);
    expect(outcome.results).toEqual(expected.results);
    expect(outcome.usage).toEqual(expected.usage);
    expect(outcome.faults).toEqual([]);
  });
});

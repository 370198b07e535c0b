import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestStore } from "../support/database.ts";
import { foundResult } from "../support/reconciliation-world.ts";
import { outcomeOf, playTraffic, recentTraffic, type TrafficOrder } from "../support/traffic-store.ts";
import { scoreTraffic } from "../traffic/traffic-score.ts";

/**
 * Which worlds, what they are drawn from, and how many calls each has. With `--long`, all of them
 * and more calls.
 */
const WORLDS = process.env["TANDEM_TEST_TRAFFIC_WORLDS"]?.split(",") ?? ["mixed", "mixed-trunks"];
const SEED = process.env["TANDEM_TEST_TRAFFIC_SEED"] ?? "orders";
const CALLS = Number(process.env["TANDEM_TEST_TRAFFIC_CALLS"] ?? 300);
const ORDERS: readonly TrafficOrder[] = ["reverse", "other batches", "two workers and restarts"];

const store = await openTestStore();
const { db } = store;
afterAll(() => store[Symbol.asyncDispose]());

describe.each(WORLDS)(`%s (TANDEM_TEST_TRAFFIC_SEED=${SEED})`, (name) => {
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

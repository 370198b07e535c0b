import { afterAll, beforeAll, expect, test } from "vitest";
import { scoreTraffic } from "../../src/simulator/traffic/traffic-score.ts";
import { type Database, openDatabase } from "../../src/store/database.ts";
import { migrate } from "../../src/store/migrate.ts";
import { createMigratedDatabase } from "../support/database.ts";
import { foundResult } from "../support/reconciliation-world.ts";
import { outcomeOf, playTraffic, recentTraffic } from "../support/traffic-store.ts";

const world = recentTraffic("mixed", "orders", 400);
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

// More calls, other batches, two workers and restarts: test/soak/traffic.soak.ts.
test("every kind of traffic comes to the same results and usage in the reverse order, each record in one result", async () => {
  await playTraffic(db, "as-they-came", world, "as they came");
  await playTraffic(db, "reverse", world, "reverse");
  const [expected, reverse] = [await outcomeOf(db, "as-they-came", world), await outcomeOf(db, "reverse", world)];
  expect(reverse.results).toEqual(expected.results);
  expect(reverse.usage).toEqual(expected.usage);
  expect([...expected.faults, ...reverse.faults]).toEqual([]);
  const results = expected.rows.map(foundResult);
  expect(scoreTraffic(world, { results, usage: world.usage }).misplaced).toEqual([]);
  expect(expected.usage.flat().length).toBeGreaterThan(50);
});

import { afterAll, describe, test } from "vitest";
import { evenCalls, expectAllPaired, HOUR_MS, recordsOf, SECOND_MS } from "../support/clock-calls.ts";
import { openTestStore } from "../support/database.ts";

// One of them is in test/integration/reconcile-clocks.test.ts; these take their time.

const store = await openTestStore();
const { db } = store;
afterAll(() => store[Symbol.asyncDispose]());

describe("a trunk with few calls an hour", () => {
  test("shows +5:30 in the calls of two days, of parties that call each other again and again", async () => {
    const sides = recordsOf(evenCalls({ hours: 47, anHour: 4, parties: 20 }), (ms) => ms + 5.5 * HOUR_MS);
    await expectAllPaired(db, sides, () => ["ZONE_SHIFT"]);
  });

  test("shows a clock that is 95 s ahead, and one that is an hour and 95 s ahead", async () => {
    const calls = evenCalls({ hours: 6, anHour: 2 });
    await expectAllPaired(
      db,
      recordsOf(calls, (ms) => ms + 95 * SECOND_MS),
      () => ["CLOCK_SKEW"],
    );
    const sides = recordsOf(calls, (ms) => ms + HOUR_MS + 95 * SECOND_MS);
    await expectAllPaired(db, sides, () => ["ZONE_SHIFT", "CLOCK_SKEW"]);
  });

  test("shows a clock that drifts by 0.3 s an hour, from before the window's end to after it", async () => {
    const calls = evenCalls({ hours: 60, anHour: 3 });
    const [first = { startMs: 0 }] = calls;
    const drift = (ms: number) => ms + 50 * SECOND_MS + Math.round(((ms - first.startMs) / HOUR_MS) * 300);
    await expectAllPaired(db, recordsOf(calls, drift), () => ["CLOCK_SKEW"]);
  });
});

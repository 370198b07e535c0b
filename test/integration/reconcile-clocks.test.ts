import { afterAll, describe, test } from "vitest";
import {
  evenCalls,
  expectAllPaired,
  HOUR_MS,
  MIDNIGHT,
  MINUTE_MS,
  recordsOf,
  SECOND_MS,
} from "../support/clock-calls.ts";
import { openTestStore } from "../support/database.ts";

const store = await openTestStore();
const { db } = store;
afterAll(() => store[Symbol.asyncDispose]());

const setAt = MIDNIGHT + 8.5 * HOUR_MS;

describe("hours of a clock that is set in the middle of an hour", () => {
  test.each([
    [50, HOUR_MS, 0],
    [50, 0, HOUR_MS],
    [150, HOUR_MS, 0],
    [50, 95 * SECOND_MS, 0],
    [10, -HOUR_MS, 0],
  ])("lose no call: %d an hour, %d ms off before and %d after", async (anHour, beforeMs, afterMs) => {
    const calls = evenCalls({ from: 8, hours: 1, anHour });
    const offsetMs = (ms: number) => (ms < setAt ? beforeMs : afterMs);
    const sides = recordsOf(calls, (ms) => ms + offsetMs(ms));
    await expectAllPaired(db, sides, (index) => causesOf(offsetMs(calls[index]?.startMs ?? 0)));
  });
});

describe("a trunk with few calls an hour", () => {
  test("shows a zone shift of an hour in 6 calls of 6 hours", async () => {
    const sides = recordsOf(evenCalls({ hours: 6, anHour: 1 }), (ms) => ms + HOUR_MS);
    await expectAllPaired(db, sides, () => ["ZONE_SHIFT"]);
  });
});

function causesOf(offsetMs: number): string[] {
  if (offsetMs === 0) return [];
  return [offsetMs % (15 * MINUTE_MS) === 0 ? "ZONE_SHIFT" : "CLOCK_SKEW"];
}

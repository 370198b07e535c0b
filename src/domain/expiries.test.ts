import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Expiries } from "./expiries.ts";
import { wallMicros } from "./time/wall-clock.ts";

const HOUR = 3_600_000_000n;

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date", "performance"] }));
afterEach(() => void vi.useRealTimers());

test("what has ended does not begin again when the clock steps back", () => {
  const expiries = new Expiries();
  const end = wallMicros() + HOUR;
  expect(expiries.endOf("a", end)).toBe(end);
  vi.advanceTimersByTime(3_600_000);
  expect(expiries.endOf("a", end)).toBeUndefined();
  vi.setSystemTime(Date.now() - 7_200_000);
  expect(expiries.endOf("a", end)).toBeUndefined();
});

test("a clock that steps back gives no more time than was left, and one that steps forward takes some", () => {
  const expiries = new Expiries();
  const end = wallMicros() + HOUR;
  expiries.endOf("a", end);
  vi.setSystemTime(Date.now() - 86_400_000);
  expect(expiries.endOf("a", end)).toBe(wallMicros() + HOUR);
  vi.advanceTimersByTime(3_599_999);
  expect(expiries.endOf("a", end)).toBe(wallMicros() + 1_000n);
  vi.advanceTimersByTime(1);
  expect(expiries.endOf("a", end)).toBeUndefined();
  expect(expiries.endOf("b", end)).toBe(end);
  vi.setSystemTime(Number(end / 1000n));
  expect(expiries.endOf("b", end)).toBeUndefined();
});

test("what was only seen while the clock was wrongly ahead is good again once it is set right", () => {
  const expiries = new Expiries();
  const end = wallMicros() + HOUR;
  const rightMs = Date.now();
  vi.setSystemTime(rightMs + 7_200_000);
  expect(expiries.endOf("a", end)).toBeUndefined();
  vi.setSystemTime(rightMs);
  expect(expiries.endOf("a", end)).toBe(end);
});

test("remembers no more than it may, and forgets what was not asked for longest", () => {
  const expiries = new Expiries(2);
  const end = wallMicros() + HOUR;
  for (const key of ["a", "b", "a", "c"]) expiries.endOf(key, end);
  vi.setSystemTime(Date.now() - 3_600_000);
  expect(expiries.endOf("a", end)).toBe(wallMicros() + HOUR);
  expect(expiries.endOf("b", end)).toBe(end);
  expect(expiries.endOf("zz", 9_000_000_000_000_000_000n)).toBe(9_000_000_000_000_000_000n);
});

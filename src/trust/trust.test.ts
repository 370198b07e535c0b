import { setImmediate as turn } from "node:timers/promises";
import { afterEach, expect, test, vi } from "vitest";
import { Trust } from "./trust.ts";

afterEach(() => void vi.useRealTimers());

test("a credential that cannot be judged after a change is judged again until it can be", async () => {
  vi.useFakeTimers();
  const trust = new Trust([], undefined, 10);
  let asked = 0;
  using _watched = trust.watch(async () => ++asked >= 3, trust.generation);
  trust.changed();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(asked).toBe(3);
});

test("one that changed before it was watched is judged at once, and again until it can be", async () => {
  const trust = new Trust([], undefined, 10);
  const { generation } = trust;
  trust.changed();
  let asked = 0;
  using _watched = trust.watch(async () => ++asked >= 2, generation);
  await expect.poll(() => asked).toBe(2);
});

test("nobody is judged again whose stream has ended", async () => {
  vi.useFakeTimers();
  const trust = new Trust([], undefined, 10);
  let asked = 0;
  const watched = trust.watch(async () => {
    asked += 1;
    return false;
  }, trust.generation);
  trust.changed();
  await vi.advanceTimersByTimeAsync(50);
  expect(asked).toBeGreaterThan(1);
  watched[Symbol.dispose]();
  const before = asked;
  await vi.advanceTimersByTimeAsync(1_000);
  expect(asked).toBe(before);
});

test("of two judgements of one stream, the answer to the newer question counts", async () => {
  const trust = new Trust([], undefined, 50);
  const { generation } = trust;
  trust.changed();
  await turn();
  const older = Promise.withResolvers<boolean>();
  let asked = 0;
  // The older question is answered last, and finds it good; then it cannot be judged, until it can.
  using _watched = trust.watch(async () => {
    asked += 1;
    return asked === 1 ? older.promise : asked >= 4;
  }, generation);
  trust.changed();
  await turn();
  older.resolve(true);
  await expect.poll(() => asked).toBe(4);
});

test("a change that comes as the judging of another ends is judged, too", async () => {
  const trust = new Trust();
  // Nobody is there to be judged yet: it ends at once.
  trust.changed();
  let asked = 0;
  using _watched = trust.watch(async () => ++asked > 0, trust.generation);
  trust.changed();
  await expect.poll(() => asked).toBe(1);
});

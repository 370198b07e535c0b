import { setTimeout as wait } from "node:timers/promises";
import { expect, test } from "vitest";
import { Trust } from "./trust.ts";

test("a credential that cannot be judged after a change is judged again until it can be", async () => {
  const trust = new Trust([], undefined, 10);
  let asked = 0;
  using _watched = trust.watch(async () => ++asked >= 3, trust.generation);
  trust.changed();
  await expect.poll(() => asked).toBe(3);
  await wait(50);
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
  const trust = new Trust([], undefined, 10);
  let asked = 0;
  const watched = trust.watch(async () => {
    asked += 1;
    return false;
  }, trust.generation);
  trust.changed();
  await expect.poll(() => asked).toBeGreaterThan(1);
  watched[Symbol.dispose]();
  await wait(30);
  const before = asked;
  await wait(50);
  expect(asked).toBe(before);
});

import { expect, test } from "vitest";
import { TandemError } from "../domain/errors.ts";
import { MemoryBudget, MemoryHold, type Spender, strangerAt } from "./memory-budget.ts";

const never = new AbortController().signal;
const one: Spender = { key: "carrier:one", isStranger: false };
const other: Spender = { key: "carrier:other", isStranger: false };

test("one has at most a half, so that there is as much for others; all together have no more than there is", () => {
  const budget = new MemoryBudget({ totalBytes: 100 });
  expect(budget.tryTake(one, 50)).toBe(true);
  expect(budget.tryTake(one, 1)).toBe(false);
  expect(budget.tryTake(other, 50)).toBe(true);
  expect(budget.tryTake({ key: "carrier:third", isStranger: false }, 1)).toBe(false);
  budget.give(one, 50);
  expect(budget.tryTake({ key: "carrier:third", isStranger: false }, 1)).toBe(true);
});

test("strangers have a half together, however many addresses they have", () => {
  const budget = new MemoryBudget({ totalBytes: 100 });
  expect(budget.tryTake(strangerAt("192.0.2.1"), 30)).toBe(true);
  expect(budget.tryTake(strangerAt("192.0.2.2"), 30)).toBe(false);
  expect(budget.tryTake(one, 50)).toBe(true);
});

test("what waits is served as soon as there is room, in turn, and nobody waits for another's share", async () => {
  const budget = new MemoryBudget({ totalBytes: 100, waitMs: 60_000 });
  expect(await budget.take(one, 50, never)).toBe(50);
  const served: string[] = [];
  const large = budget.take(one, 40, never).then(() => served.push("large"));
  const small = budget.take(one, 5, never).then(() => served.push("small"));
  await budget.take(other, 10, never);
  expect(served).toEqual([]);
  budget.give(one, 20);
  budget.give(one, 30);
  await Promise.all([large, small]);
  expect(served).toEqual(["large", "small"]);
  expect(budget.usedBytes()).toBe(55);
});

test("what is larger than a share is taken when the share is free", async () => {
  const budget = new MemoryBudget({ totalBytes: 100 });
  expect(await budget.take(one, 1_000, never)).toBe(50);
});

test("without room in time a call is refused with RATE_LIMITED, and a call that ends waits no longer; neither has taken anything", async () => {
  const budget = new MemoryBudget({ totalBytes: 100, waitMs: 20 });
  await budget.take(one, 50, never);
  const refused = await budget.take(one, 1, never).catch((error: unknown) => error);
  expect(refused).toBeInstanceOf(TandemError);
  expect((refused as TandemError).reason).toBe("RATE_LIMITED");
  const call = new AbortController();
  const waiting = budget.take(one, 1, call.signal);
  call.abort(new Error("gone"));
  await expect(waiting).rejects.toThrow("gone");
  expect(budget.usedBytes()).toBe(50);
});

test("what a call holds becomes its caller's when that is known, and is given back once", async () => {
  const budget = new MemoryBudget({ totalBytes: 100 });
  const hold = new MemoryHold(budget, strangerAt("192.0.2.1"));
  hold.add(30);
  hold.become(one);
  expect([budget.usedBytes("address:192.0.2.1"), budget.usedBytes(one.key)]).toEqual([0, 30]);
  await hold.addWhenRoom(10, never);
  hold.remove(5);
  hold[Symbol.dispose]();
  hold[Symbol.dispose]();
  hold.add(7);
  hold.remove(7);
  expect(budget.usedBytes()).toBe(0);
});

test("what a call gets that is over by then is given back at once", async () => {
  const budget = new MemoryBudget({ totalBytes: 100, waitMs: 60_000 });
  const first = new MemoryHold(budget, one);
  const second = new MemoryHold(budget, one);
  first.add(50);
  const waiting = second.addWhenRoom(50, never);
  second[Symbol.dispose]();
  first[Symbol.dispose]();
  await waiting;
  expect(budget.usedBytes()).toBe(0);
});

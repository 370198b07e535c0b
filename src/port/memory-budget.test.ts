import { expect, test } from "vitest";
import { TandemError } from "../domain/errors.ts";
import { addressSpender, callerOfKey, MemoryBudget, MemoryHold } from "./memory-budget.ts";

const never = new AbortController().signal;
const one = callerOfKey("carrier:one");
const other = callerOfKey("carrier:other");
const third = callerOfKey("carrier:third");

test("one has at most a half, so that there is as much for others; all together have no more than there is", () => {
  const budget = new MemoryBudget({ totalBytes: 100 });
  expect(budget.tryTake(one, 50)).toBe(true);
  expect(budget.tryTake(one, 1)).toBe(false);
  expect(budget.tryTake(other, 50)).toBe(true);
  expect(budget.tryTake(third, 1)).toBe(false);
  budget.give(one, 50);
  expect(budget.tryTake(third, 1)).toBe(true);
});

test("addresses that nobody has judged have an eighth of their part each, and take nothing from callers or one another's part", () => {
  const budget = new MemoryBudget({ totalBytes: 12_800 });
  const unjudged = (n: number) => addressSpender("unjudged", `192.0.2.${n}`);
  const stranger = (n: number) => addressSpender("stranger", `192.0.2.${n}`);
  for (let n = 0; n < 8; n++) {
    expect([budget.tryTake(unjudged(n), 800), budget.tryTake(unjudged(n), 1)]).toEqual([true, false]);
    expect([budget.tryTake(stranger(n), 100), budget.tryTake(stranger(n), 1)]).toEqual([true, false]);
  }
  expect([budget.tryTake(unjudged(8), 1), budget.tryTake(stranger(8), 1)]).toEqual([false, false]);
  expect([budget.tryTake(one, 6_400), budget.tryTake(other, 6_400)]).toEqual([true, true]);
  budget.give(unjudged(0), 800);
  expect([budget.tryTake(unjudged(8), 1), budget.tryTake(stranger(8), 1)]).toEqual([true, false]);
});

test("one who waits with all its calls leaves places to wait for others", async () => {
  const budget = new MemoryBudget({ totalBytes: 100, waitMs: 60_000 });
  const ends = new AbortController();
  await Promise.all([budget.take(one, 50, never), budget.take(other, 50, never)]);
  const full = Array.from({ length: 1_000 }, () => budget.take(one, 1, ends.signal).catch(() => {}));
  await expect(budget.take(one, 1, never)).rejects.toThrow("too much is being received");
  const waiting = budget.take(other, 1, never);
  budget.give(other, 50);
  expect(await waiting).toBe(1);
  ends.abort();
  await Promise.all(full);
});

test("what a call holds stays where it is when its caller has no room for it", () => {
  const budget = new MemoryBudget({ totalBytes: 1_600 });
  const address = addressSpender("unjudged", "192.0.2.1");
  const hold = new MemoryHold(budget, address);
  hold.add(100);
  budget.tryTake(one, 750);
  expect(() => hold.become(one)).toThrow("too much is being received");
  expect([budget.usedBytes(address.key), budget.usedBytes(one.key)]).toEqual([100, 750]);
  hold[Symbol.dispose]();
  expect(budget.usedBytes()).toBe(750);
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
  const budget = new MemoryBudget({ totalBytes: 1_000 });
  const address = addressSpender("unjudged", "192.0.2.1");
  const hold = new MemoryHold(budget, address);
  hold.add(30);
  hold.become(one);
  expect([budget.usedBytes(address.key), budget.usedBytes(one.key)]).toEqual([0, 30]);
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

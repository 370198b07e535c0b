import { expect, test } from "vitest";
import { untilAborted } from "./until-aborted.ts";

test("passes messages on to their end", async () => {
  const stop = new AbortController();
  expect(await Array.fromAsync(untilAborted(count(3), stop.signal))).toEqual([0, 1, 2]);
});

test("ends while nothing comes, as soon as the signal aborts", async () => {
  const stop = new AbortController();
  const messages = untilAborted(count(1, new Promise(() => {})), stop.signal);
  expect(await messages.next()).toEqual({ done: false, value: 0 });
  const next = messages.next();
  stop.abort();
  expect(await next).toEqual({ done: true, value: undefined });
});

test("passes an error on, but not one that comes after the abort", async () => {
  const stop = new AbortController();
  await expect(Array.fromAsync(untilAborted(count(1, Promise.reject(new Error("lost"))), stop.signal))).rejects.toThrow(
    "lost",
  );
  const lost = Promise.withResolvers<never>();
  const messages = untilAborted(count(0, lost.promise), stop.signal);
  const next = messages.next();
  stop.abort();
  lost.reject(new Error("too late"));
  expect(await next).toEqual({ done: true, value: undefined });
});

async function* count(messages: number, then?: Promise<never>): AsyncGenerator<number> {
  for (let message = 0; message < messages; message++) yield message;
  await then;
}

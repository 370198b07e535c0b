import { expect, test } from "vitest";
import { untilDone } from "./line.ts";

test("what is awaited is given up only when nothing has moved for long, not when it is slow", async () => {
  const { signal } = new AbortController();
  let count = 0;
  const until = (value: number, stillMs: number) => ({
    isDone: (found: number) => found >= value,
    progressOf: String,
    signal,
    stillMs,
  });
  expect(await untilDone(() => ++count, until(3, 60_000))).toBe(3);
  expect(await untilDone(() => count, until(4, 1))).toBe(3);
});

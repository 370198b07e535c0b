import { expect, test } from "vitest";
import { RisingCount } from "./cuttable-connection.ts";

test("what is awaited is given up only when nothing has moved for long, not when it is slow", async () => {
  const count = new RisingCount();
  const { signal } = new AbortController();
  const reached = count.reaches(3n, signal, 60_000);
  for (const value of [1n, 2n, 3n]) {
    count.raise(value);
    await Promise.resolve();
  }
  expect(await reached).toBe(true);
  expect(await count.reaches(4n, signal, 1)).toBe(false);
});

import { describe, expect, it } from "vitest";
import { RunningTotals, type UploadSource } from "./upload-source.ts";

/**
 * A source whose reads are answered when the test says so, in the order in which they were asked.
 */
function heldSource(records: readonly bigint[]) {
  const held: (() => void)[] = [];
  const source: UploadSource<bigint> = {
    read: (offset, limit) => new Promise((resolve) => held.push(() => resolve(records.slice(offset, offset + limit)))),
  };
  return { source, held };
}

const signal = new AbortController().signal;

describe("RunningTotals", () => {
  it("counts each record once when an attempt that was given up still reads", async () => {
    const { source, held } = heldSource([1n, 10n, 100n, 1_000n]);
    const totals = new RunningTotals(source, (duration) => duration);
    const givenUp = totals.through(4, 2, signal);
    const resumed = totals.through(4, 2, signal);
    const sums = Promise.all([givenUp, resumed]);
    let isDone = false;
    void sums.then(() => {
      isDone = true;
    });
    while (!isDone) {
      held.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await sums).toEqual([1_111n, 1_111n]);
  });

  it("counts a record once when a batch of it is read while the total is", async () => {
    const { source, held } = heldSource([1n, 10n]);
    const totals = new RunningTotals(source, (duration) => duration);
    const sum = totals.through(2, 2, signal);
    totals.add(0, [1n]);
    held.shift()?.();
    expect(await sum).toBe(11n);
  });

  it("refuses a total over fewer records than were counted", async () => {
    const { source } = heldSource([]);
    const totals = new RunningTotals(source, (duration) => duration);
    totals.add(0, [1n, 10n]);
    await expect(totals.through(1, 2, signal)).rejects.toMatchObject({ fault: "SOURCE" });
  });
});

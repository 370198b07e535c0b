import { expect, test } from "vitest";
import { BLOCK_MAX_AGE_MS } from "../domain/privacy/disclosure.ts";
import type { ReservedBlock, SentBlock } from "../store/privacy/disclosures.ts";
import { DisclosedBlocks, type DisclosedEntry } from "./disclosed-blocks.ts";

interface Written {
  reserved: { after: bigint; through: bigint; dates: string }[];
  sent: { through: bigint; count: number; dates: string }[];
}

function recorder(options: { until?: bigint; parts?: number[] } = {}) {
  const written: Written[] = [];
  const state = { now: 0, fails: false, parts: options.parts ?? [1] };
  const blocks = new DisclosedBlocks({
    feed: 2,
    until: options.until,
    recordParts: () => state.parts as never,
    now: () => state.now,
    onLeftOpen: () => {},
    write: async ({ reserved, sent }: { reserved: readonly ReservedBlock[]; sent: readonly SentBlock[] }) => {
      if (state.fails) throw new Error("away");
      written.push({
        reserved: reserved.map((block) => ({
          after: block.afterSequence,
          through: block.reservedThrough,
          dates: `${block.firstDate} ${block.lastDate}`,
        })),
        sent: sent.map((block) => ({
          through: block.throughSequence,
          count: block.recordCount,
          dates: `${block.firstDate} ${block.lastDate}`,
        })),
      });
    },
  });
  return { blocks, written, state };
}

function entries(from: number, to: number, recordDate = "2026-03-01"): DisclosedEntry[] {
  return Array.from({ length: to - from + 1 }, (_, index) => ({ sequence: BigInt(from + index), recordDate }));
}

test("a block is reserved with its first entry, waits for no commit until it is used up, and is closed at what was sent", async () => {
  const { blocks, written } = recorder();
  expect(blocks.before(1n, [])).toBeUndefined();
  await blocks.before(1n, entries(8, 10));
  expect(written).toEqual([{ reserved: [{ after: 7n, through: 10_007n, dates: "2026-03-01 2026-03-01" }], sent: [] }]);
  expect(blocks.before(1n, entries(11, 500, "2026-02-27"))).toBeUndefined();
  await blocks[Symbol.asyncDispose]();
  expect(written[1]).toEqual({ reserved: [], sent: [{ through: 500n, count: 493, dates: "2026-02-27 2026-03-01" }] });
});

test("a page that passes the end of a block closes it and opens the next, in one commit", async () => {
  const { blocks, written } = recorder();
  await blocks.before(1n, entries(1, 9_999));
  await blocks.before(1n, entries(10_000, 10_003, "2026-03-02"));
  expect(written[1]).toEqual({
    reserved: [{ after: 10_000n, through: 20_000n, dates: "2026-03-02 2026-03-02" }],
    sent: [{ through: 10_000n, count: 10_000, dates: "2026-03-01 2026-03-02" }],
  });
});

test("a filtered page that spans several blocks claims no sequence before its entries", async () => {
  const { blocks, written } = recorder();
  await blocks.before(
    1n,
    [5n, 12_000n, 30_000n].map((sequence) => ({ sequence, recordDate: "2026-03-01" })),
  );
  expect(written[0]?.reserved.map(({ after }) => after)).toEqual([4n, 11_999n, 29_999n]);
  expect(written[0]?.sent.map(({ through, count }) => [through, count])).toEqual([
    [5n, 1],
    [12_000n, 1],
  ]);
});

test("a stream with an end claims nothing beyond it; another epoch, other parts and an hour begin another block", async () => {
  const { blocks, written, state } = recorder({ until: 40n });
  await blocks.before(1n, entries(1, 3));
  await blocks.before(2n, entries(4, 4));
  state.parts = [1, 3];
  await blocks.before(2n, entries(5, 5));
  state.now = BLOCK_MAX_AGE_MS + 1;
  await blocks.before(2n, entries(6, 6));
  expect(written.map(({ reserved }) => reserved.map(({ through }) => through))).toEqual([[40n], [40n], [40n], [40n]]);
  expect(written.map(({ sent }) => sent.map(({ through }) => through))).toEqual([[], [3n], [4n], [5n]]);
});

test("what could not be committed is not sent, and a block that could not be closed is left to the sweep", async () => {
  const { blocks, written, state } = recorder();
  state.fails = true;
  await expect(blocks.before(1n, entries(1, 3))).rejects.toThrow("away");
  state.fails = false;
  await blocks.before(1n, entries(1, 3));
  state.fails = true;
  await blocks[Symbol.asyncDispose]();
  expect(written).toHaveLength(1);
});

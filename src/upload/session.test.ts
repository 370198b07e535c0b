import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { countVerdicts } from "../domain/calls/verdict.ts";
import type { StreamLife } from "../domain/stream-life.ts";
import { RecordIssue, Verdict } from "../gen/tandem/type/v1/upload_pb.js";
import type { UploadRow } from "../store/records/uploads.ts";
import { ByteBudget } from "./byte-budget.ts";
import type { ClientFrame } from "./frames.ts";
import type { Outcome } from "./outcome.ts";
import type { AppendResult, PreparedBatch } from "./pending.ts";
import type { RecordList } from "./records/record-list.ts";
import { UploadSession } from "./session.ts";
import type { UploadStore } from "./upload-store.ts";

const WINDOW = 4_000;
const RECORD_BYTES = 1_000_000;
const OPEN = { uploadId: "u", acknowledgedOffset: 0n };

function uploadAt(nextOffset: bigint): UploadRow {
  return {
    ...{ uploadId: "u", nextOffset, writerEpoch: 1n, sealed: false, finished: false, sealTime: undefined },
    ...{ counts: countVerdicts([]), connectedDurationMs: 0n, createTime: 0n, updateTime: 0n },
  };
}

/**
 * A store whose records are all refused, and all that it does not do at once it leaves to the test.
 */
function storeAt(nextOffset: bigint, commit: () => Promise<AppendResult>): UploadStore<Uint8Array> {
  const outcome = (recordOffset: bigint): Outcome => ({
    ...{ recordOffset, recordId: `r${recordOffset}`, verdict: Verdict.REJECTED, issue: RecordIssue.FIELD_REQUIRED },
    ...{ fieldPath: "direction", message: "direction: is absent", retryable: false },
  });
  return {
    open: async () => uploadAt(nextOffset),
    claim: () => ({ [Symbol.dispose]() {} }),
    checkBatch() {},
    prepare: (firstOffset, records, writerEpoch) => {
      const prepared = Array.from({ length: records.length }, () => ({ payload: new Uint8Array(0), payloadBytes: 0 }));
      return { uploadId: "u", writerEpoch, firstOffset, records: prepared } as unknown as PreparedBatch;
    },
    commit,
    checkWriter: async () => uploadAt(nextOffset),
    replay: async ({ firstOffset, records }) => ({
      outcomes: records.map((_, index) => outcome(firstOffset + BigInt(index))),
      counts: { ...countVerdicts([]), rejected: records.length },
    }),
    finish: async () => uploadAt(nextOffset),
  };
}

function sessionOf(store: UploadStore<Uint8Array>, heartbeatMs = 15_000, signal = new AbortController().signal) {
  const life: StreamLife = { signal, end: undefined, reset() {} };
  const limits = { heartbeatMs, maxStallMs: 60_000, windowRecords: WINDOW };
  return new UploadSession<Uint8Array>({ store, open: OPEN, life, budget: new ByteBudget(2 ** 28), ...limits });
}

/** Frames that are counted as they are taken. */
function counted(frames: readonly ClientFrame<Uint8Array>[]) {
  const taken = { count: 0 };
  const read = async function* () {
    for (const frame of frames) {
      taken.count++;
      yield frame;
    }
    await new Promise(() => {});
  };
  return { taken, frames: read() };
}

function largeRecord(): RecordList<Uint8Array> {
  const at = () => new Uint8Array(RECORD_BYTES);
  return { length: 1, byteLength: RECORD_BYTES, at, slice: () => [at()] };
}

async function turns(count = 2_000): Promise<void> {
  for (let index = 0; index < count; index++) await turn();
}

test("bounds: while the store stands still, large refused records are not read into memory without end", async () => {
  const batches = Array.from({ length: 500 }, (_, index): ClientFrame<Uint8Array> => {
    const records = largeRecord();
    return { frame: "batch", firstOffset: BigInt(index), records };
  });
  const { taken, frames } = counted(batches);
  const session = sessionOf(storeAt(0n, () => new Promise(() => {}))).run(frames);
  expect((await session.next()).value).toMatchObject({ frame: "opened" });
  void session.next();
  await turns();
  expect(taken.count * RECORD_BYTES).toBeLessThan(32_000_000);
});

test("bounds: while the reader waits for the store, the client is not held to be silent", async () => {
  const batches = Array.from({ length: 500 }, (_, index): ClientFrame<Uint8Array> => {
    const records = largeRecord();
    return { frame: "batch", firstOffset: BigInt(index), records };
  });
  const session = sessionOf(
    storeAt(0n, () => new Promise(() => {})),
    20,
  ).run(counted(batches).frames);
  const seen: string[] = [];
  for (let index = 0; index < 8; index++) seen.push((await session.next()).value?.frame ?? "end");
  expect(new Set(seen)).toEqual(new Set(["opened", "heartbeat"]));
});

test("bounds: a client that repeats what is committed and reads no Ack cannot pile up outcomes", async () => {
  const repeats = Array.from({ length: 500 }, (): ClientFrame<Uint8Array> => {
    return { frame: "batch", firstOffset: 0n, records: Array.from({ length: 1_000 }, () => new Uint8Array(0)) };
  });
  const { taken, frames } = counted(repeats);
  const session = sessionOf(storeAt(1_000n, () => new Promise(() => {}))).run(frames);
  await session.next();
  let answer = session.next();
  await turns();
  expect(taken.count).toBeLessThan(20);
  let told = 0;
  while (told < 500_000) {
    const { value } = await answer;
    if (value?.frame !== "ack") throw new Error(`expected ack, got ${value?.frame}`);
    expect(value.outcomes.length).toBeLessThanOrEqual(2_000);
    told += value.outcomes.length;
    answer = session.next();
  }
  expect(told).toBe(500_000);
});

test("a call that is aborted while its repeat is read ends quietly, and its reader too", async () => {
  const reading = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<Awaited<ReturnType<UploadStore<Uint8Array>["replay"]>>>();
  const store = storeAt(1n, () => new Promise(() => {}));
  store.replay = () => {
    reading.resolve();
    return answer.promise;
  };
  const call = new AbortController();
  const repeat: ClientFrame<Uint8Array> = { frame: "batch", firstOffset: 0n, records: largeRecord() };
  const session = sessionOf(store, 15_000, call.signal).run(counted([repeat, repeat]).frames);
  await session.next();
  const last = session.next();
  await reading.promise;
  call.abort();
  expect(await last).toEqual({ done: true, value: undefined });
  answer.resolve({ outcomes: [], counts: countVerdicts([]) });
  await turns(10);
});

test("a store that fails twice in a row while old records are repeated asks for the repeat again, and no outcome is left out", async () => {
  const lost = () => Promise.reject(Object.assign(new Error("the connection is gone"), { code: "08006" }));
  let commits = 0;
  let standsAt = 0n;
  const store = storeAt(4n, () => {
    if (commits++ === 0) return lost();
    return Promise.resolve({ committed: standsAt >= 4n, verdicts: [] } as unknown as AppendResult);
  });
  let replays = 0;
  const { replay } = store;
  store.replay = (prefix) => (replays++ === 0 ? lost() : replay(prefix));
  const asked: bigint[] = [];
  let ask = (_offset: bigint) => {};
  async function* repeat(): AsyncGenerator<ClientFrame<Uint8Array>> {
    for (let offset = 0n; ; ) {
      const rewound = new Promise<bigint>((resolve) => {
        ask = resolve;
      });
      standsAt = offset;
      const records = Array.from({ length: 4 }, () => new Uint8Array(0));
      yield {
        frame: "batch",
        firstOffset: offset,
        records: Object.assign(records, { byteLength: 0, at: () => new Uint8Array(0) }),
      };
      offset = await rewound;
    }
  }
  const told: bigint[] = [];
  for await (const frame of sessionOf(store).run(repeat())) {
    if (frame.frame === "rewind") {
      asked.push(frame.expectedOffset);
      ask(frame.expectedOffset);
    }
    if (frame.frame === "ack") told.push(...frame.outcomes.map(({ recordOffset }) => recordOffset));
    if (told.length === 4 || asked.includes(4n)) break;
  }
  expect(asked).toEqual([0n, 0n]);
  expect(told).toEqual([0n, 1n, 2n, 3n]);
});

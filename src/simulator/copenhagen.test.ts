import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { Direction } from "../gen/tandem/type/v1/call_pb.js";
import { readCallsCsv, recordsFromCalls } from "./copenhagen.ts";
import { durationsFor } from "./durations.ts";

const STUDY = join(import.meta.dirname, "../../../shared/data/copenhagen-calls.csv");
const NOW_MS = Date.parse("2026-03-15T00:30:00Z");
const HEADER = "timestamp,caller,callee,duration";

describe("readCallsCsv", () => {
  it.for([
    ["a field that is no number", "0,1,2,3\n5,x,2,3", /:3: caller is "x"/],
    ["a fraction", "0,1,2,3.5", /:2: duration is "3.5"/],
    ["a duration below -1", "0,1,2,-2", /:2: duration is "-2"/],
    ["a missing field", "0,1,2", /:2: 3 fields instead of 4/],
    ["one who calls herself", "0,1,1,3", /:2: 1 calls itself/],
    ["a time beyond what can still be taken", "99999999,1,2,3", /:2: timestamp is/],
    ["no calls", "", /no calls in it/],
    ["an open quote", '0,1,2,"3', /calls\.csv/],
  ] as const)("names the line of %s", async ([, rows, message]) => {
    await expect(read(`${HEADER}\n${rows}\n`)).rejects.toThrow(message);
  });

  it("names the columns that the header lacks", async () => {
    await expect(read("timestamp,caller,duration\n0,1,2\n")).rejects.toThrow(
      /:1: the header must name .* missing: callee/,
    );
  });

  it("says which file is not there", async () => {
    await expect(readCallsCsv("/nowhere/calls.csv")).rejects.toThrow("/nowhere/calls.csv");
  });

  it("takes columns in any order, a byte order mark, CRLF and empty lines", async () => {
    expect(await read("\ufeffduration,callee,caller,timestamp\r\n-1,2,1,7\r\n\r\n")).toEqual([
      { timestampS: 7, caller: 1, callee: 2, durationS: -1 },
    ]);
  });
});

// The study's file lies beside the repository and is not part of it.
describe.runIf(existsSync(STUDY))("the Copenhagen study (skipped where its file is not at hand)", () => {
  it("becomes 3,600 outbound records under ids of their own, 946 of them unanswered", async () => {
    const calls = await readCallsCsv(STUDY);
    const { recordsByCarrier } = recordsFromCalls(calls, { seed: "test", nowMs: NOW_MS });
    const records = [...recordsByCarrier.values()].flat();
    expect(records).toHaveLength(3_600);
    expect(new Set(records.map(({ recordId }) => recordId)).size).toBe(3_600);
    expect(records.every(({ direction }) => direction === Direction.OUTBOUND)).toBe(true);
    expect(records.filter(({ times }) => times?.answerTime === undefined)).toHaveLength(946);
    const connectedMs = records.reduce((sum, { lengths }) => sum + (lengths?.connectedDurationMs ?? 0n), 0n);
    expect(connectedMs).toBe(BigInt(calls.reduce((sum, { durationS }) => sum + Math.max(durationS, 0) * 1000, 0)));
  });

  it("gives each of its people one number at one of three carriers", async () => {
    const calls = await readCallsCsv(STUDY);
    const { world } = recordsFromCalls(calls, { seed: "test", nowMs: NOW_MS });
    const counts = world.carriers.map(({ numbers }) => new Set(numbers.map(({ phoneNumber }) => phoneNumber)).size);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(
      new Set(calls.flatMap((call) => [call.caller, call.callee])).size,
    );
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
  });

  it("ends before today, within the last 120 days", async () => {
    const { recordsByCarrier } = recordsFromCalls(await readCallsCsv(STUDY), { seed: "test", nowMs: NOW_MS });
    for (const { times } of [...recordsByCarrier.values()].flat()) {
      expect(timestampMs(times?.endTime ?? never())).toBeLessThan(Date.parse("2026-03-15T00:00:00Z"));
      expect(timestampMs(times?.inviteTime ?? never())).toBeGreaterThan(NOW_MS - 31 * 86_400_000);
    }
  });

  it("has a duration for each answered call of each carrier", async () => {
    const { world, recordsByCarrier } = recordsFromCalls(await readCallsCsv(STUDY), { seed: "test", nowMs: NOW_MS });
    const planned = world.carriers.map((carrier) => {
      const records = recordsByCarrier.get(carrier.carrierId) ?? [];
      return durationsFor(carrier, records, { seed: "test", nowMs: NOW_MS, faults: {} }).planned.length;
    });
    expect(planned.reduce((sum, count) => sum + count, 0)).toBe(3_600 - 946);
  });
});

async function read(text: string) {
  const folder = await mkdtemp(join(tmpdir(), "tandem-calls-"));
  try {
    const file = join(folder, "calls.csv");
    await writeFile(file, text);
    return await readCallsCsv(file);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function never(): never {
  throw new Error("every call has its times");
}

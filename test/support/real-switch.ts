import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson } from "@bufbuild/protobuf";
import { readDurationsCsv } from "../../src/cli/durations/durations-csv.ts";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import type { CallDuration } from "../../src/gen/tandem/type/v1/call_duration_pb.js";

const FIXTURES = new URL("../fixtures/real-switch/", import.meta.url);
/** The day on which real programs made the calls of the fixtures. */
const MADE_ON = "2026-11-29";

/** The UTC day that they are moved to: three days ago, so that every one is over. */
export const REAL_DAY = new Date(Date.now() - 3 * 86_400_000).toISOString().slice(0, 10);

/** The platform's records of a fixture, moved by whole days. */
export async function realCdrs(name: string): Promise<CallDetailRecord[]> {
  const lines = (await readFixture(`${name}-platform.jsonl`)).split("\n");
  return lines.map((line) => fromJson(CallDetailRecordSchema, JSON.parse(line)));
}

/** The carrier's, likewise, read from CSV as `tandem durations upload` reads it. */
export async function realDurations(name: string): Promise<readonly CallDuration[]> {
  const folder = await mkdtemp(join(tmpdir(), "tandem-real-"));
  try {
    const file = join(folder, "durations.csv");
    await writeFile(file, `${await readFixture(`${name}-carrier.csv`)}\n`);
    const { records, mistakes } = await readDurationsCsv(file);
    if (mistakes.lineCount > 0) throw new Error(mistakes.told.join("\n"));
    return records;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The text of a fixture, moved by whole days. */
export async function readFixture(name: string): Promise<string> {
  return (await readFile(new URL(name, FIXTURES), "utf8")).trim().replaceAll(MADE_ON, REAL_DAY);
}

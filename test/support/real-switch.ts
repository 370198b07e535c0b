import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fromJson } from "@bufbuild/protobuf";
import { DurationsFile, PLAIN_SETTINGS } from "../../src/cli/durations/durations-file.ts";
import type { FormatSettings } from "../../src/cli/durations/formats/format.ts";
import { guessFormat } from "../../src/cli/durations/formats/formats.ts";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import type { CallDuration } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { Direction } from "../../src/gen/tandem/type/v1/call_pb.js";

const FIXTURES = new URL("../fixtures/", import.meta.url);
const DAY_MS = 86_400_000;
/** The day on which real programs made the calls of the fixtures. */
const MADE_ON = "2026-11-29";

/** The UTC day that they are moved to: three days ago, so that every one is over. */
export const REAL_DAY = new Date(Date.now() - 3 * DAY_MS).toISOString().slice(0, 10);

/** How many days they are moved. */
const MOVED_DAYS = (Date.parse(REAL_DAY) - Date.parse(MADE_ON)) / DAY_MS;

/** What a carrier says of its switch's files of outbound calls. */
export const SWITCH_SETTINGS: FormatSettings = {
  ...PLAIN_SETTINGS,
  direction: Direction.OUTBOUND,
  trunkId: "gb-1",
};

/** The platform's records of a fixture, moved by whole days. */
export async function realCdrs(name: string): Promise<CallDetailRecord[]> {
  const lines = (await readFixture(`${name}-platform.jsonl`)).split("\n");
  return lines.map((line) => fromJson(CallDetailRecordSchema, JSON.parse(line)));
}

/** The carrier's, read from the file of its switch as `tandem durations upload` reads it. */
export async function realDurations(name: string, settings: Partial<FormatSettings> = {}): Promise<CallDuration[]> {
  await using folder = await moveFixture(name);
  const format = guessFormat(await readFile(folder.file, "utf8"));
  if (format === undefined) throw new Error(`${name} looks like no format`);
  const given = format.needs.length === 0 ? PLAIN_SETTINGS : SWITCH_SETTINGS;
  const records: CallDuration[] = [];
  for await (const { reading } of new DurationsFile(folder.file, format, { ...given, ...settings }).readings()) {
    if (reading.kind === "mistakes") throw new Error(JSON.stringify(reading.mistakes));
    if (reading.kind === "record") records.push(reading.record);
  }
  return records;
}

/** A fixture in a folder of its own, moved by whole days. */
export async function moveFixture(name: string): Promise<AsyncDisposable & { readonly file: string }> {
  const folder = await mkdtemp(join(tmpdir(), "tandem-real-"));
  const file = join(folder, basename(name));
  await writeFile(file, `${await readFixture(name)}\n`);
  return { file, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

/**
 * The text of a fixture of real calls, or of another folder of fixtures, moved by whole days, in
 * whichever way it writes times.
 */
export async function readFixture(name: string): Promise<string> {
  const folder = name.includes("/") ? "" : "real-switch/";
  const text = (await readFile(new URL(`${folder}${name}`, FIXTURES), "utf8")).trim();
  return text
    .replaceAll(/2026-11-(?:28|29|30)/g, (day) => moved(Date.parse(day)).toISOString().slice(0, 10))
    .replaceAll(/\b1795\d{6}(?=\d{6}\b|\b|\.)/g, (seconds) => `${Number(seconds) + MOVED_DAYS * 86_400}`)
    .replaceAll(/\b24613\d\d(?=\.\d)/g, (julian) => `${Number(julian) + MOVED_DAYS}`)
    .replaceAll(/\bNov (29|30) 2026/g, (day) => wordsOf(day).replace(/^\w+ (\w+) (\d+) (\d+)$/, "$1 $2 $3"))
    .replaceAll(/\w{3} (Nov (?:29|30)) (\d\d:\d\d:\d\d) 2026/g, (_, day, clock) =>
      wordsOf(`${day} 2026`).replace(/ (\d{4})$/, ` ${clock} $1`),
    );
}

function moved(ms: number): Date {
  return new Date(ms + MOVED_DAYS * DAY_MS);
}

/** Such as `Sun Nov 29 2026`. */
function wordsOf(day: string): string {
  const words = moved(Date.parse(`${day} UTC`)).toUTCString();
  const [, week, date, month, year] = /^(\w+), (\d+) (\w+) (\d+)/.exec(words) ?? [];
  return `${week} ${month} ${date} ${year}`;
}

import { readFile } from "node:fs/promises";
import { z } from "zod";
import { isTimeZone } from "../../../domain/time/time-zone.ts";
import { PartyKind } from "../../../gen/tandem/type/v1/party_pb.js";
import { DURATION_COLUMNS } from "../duration-columns.ts";
import { Cells, partyOf, readStamp } from "./cells.ts";
import { csvRows } from "./csv-rows.ts";
import {
  type DurationFormat,
  DurationsFileError,
  type FormatSettings,
  type Reading,
  type Remark,
  type Row,
} from "./format.ts";
import { LocalClock, type Stamp } from "./local-clock.ts";
import { rowByRow } from "./row-by-row.ts";
import { idOfRow } from "./row-id.ts";
import { readTandemRow } from "./tandem-csv.ts";

const TIMES = ["invite_time", "answer_time", "end_time"] as const;
const PARTIES = ["calling", "asserted", "called", "redirecting"];

const SOURCE = z.union([
  z
    .string()
    .min(1)
    .transform((from) => ({ from })),
  z.strictObject({
    /** The file's column. */
    from: z.string().min(1),
    /** What its texts stand for; others stay as they are. */
    values: z.record(z.string(), z.string()).optional(),
    /** How times are written: with a date, or in units since 1970. Default: text. */
    times: z.enum(["text", "unix-s", "unix-ms", "unix-us"]).optional(),
  }),
  z.strictObject({ constant: z.string() }),
]);

const MAP = z.strictObject({
  delimiter: z.string().length(1).default(","),
  /** The names of the columns of a file that has no header. */
  header: z.array(z.string().min(1)).min(1).optional(),
  /** The zone of times without an offset. */
  time_zone: z.string().refine(isTimeZone, "expected an IANA time zone, such as Europe/Copenhagen").optional(),
  /**
   * Whether rows are in the order in which calls ended, which tells times that occur twice
   * apart.
   */
  in_order_of_ends: z.boolean().default(false),
  columns: z.record(z.string(), SOURCE),
});

type ColumnMap = z.infer<typeof MAP>;
type Source = ColumnMap["columns"][string];

/** A format that a column map describes, which is kept in a file of JSON. */
export async function readColumnMap(path: string): Promise<DurationFormat> {
  const map = parseMap(await readFile(path, "utf8"), path);
  return {
    name: "map",
    title: "CSV by a column map",
    edition: JSON.stringify(map),
    needs: [],
    recognises: () => false,
    rows: (bytes) => csvRows(bytes, { delimiter: map.delimiter, ...(map.header && { columns: map.header }) }),
    open: (settings, remark) => openMapped(map, path, settings, remark),
  };
}

function parseMap(text: string, path: string): ColumnMap {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new DurationsFileError(`${path} is no JSON: ${error instanceof Error ? error.message : error}`, {
      cause: error,
    });
  }
  const parsed = MAP.safeParse(json);
  const problems = parsed.error?.issues.map((issue) => `${issue.path.join(".") || "the map"}: ${issue.message}`) ?? [];
  const columns = Object.keys(parsed.data?.columns ?? {});
  for (const name of columns.filter((column) => DURATION_COLUMNS[column] === undefined))
    problems.push(`columns.${name}: Tandem has no such column; known are ${Object.keys(DURATION_COLUMNS).join(", ")}`);
  const { header } = parsed.data ?? {};
  for (const [name, source] of Object.entries(parsed.data?.columns ?? {}))
    if (header && "from" in source && !header.includes(source.from))
      problems.push(`columns.${name}: the header has no ${source.from}`);
  if (problems.length > 0) throw new DurationsFileError(`${path}: ${problems.join("; ")}`);
  return parsed.data as ColumnMap;
}

function openMapped(map: ColumnMap, path: string, settings: FormatSettings, remark: Remark) {
  const timeZone = settings.timeZone ?? map.time_zone;
  const newClock = () => (timeZone === undefined ? undefined : new LocalClock(timeZone));
  const shared = map.in_order_of_ends ? newClock() : undefined;
  const reader = rowByRow((row) => readMapped(row, map, { settings, clock: shared ?? newClock(), remark }));
  return {
    take: (row: Row) => {
      if (row.isHeader) checkSources(Object.keys(row.cells), map, path);
      return reader.take(row);
    },
    end: reader.end,
  };
}

function checkSources(header: readonly string[], { columns }: ColumnMap, path: string): void {
  const missing = Object.values(columns).flatMap((source) =>
    "from" in source && !header.includes(source.from) ? [source.from] : [],
  );
  if (missing.length === 0) return;
  throw new DurationsFileError(
    `line 1: no column ${missing.join(", ")}, which ${path} names; there are ${header.join(", ")}`,
  );
}

interface Mapping {
  readonly settings: FormatSettings;
  readonly clock: LocalClock | undefined;
  readonly remark: Remark;
}

function readMapped(row: Row, { columns }: ColumnMap, { settings, clock, remark }: Mapping): Reading {
  const cells = new Cells(row);
  const texts: Record<string, string> = {};
  for (const [column, source] of Object.entries(columns)) {
    const text = textOf(cells, source);
    texts[column] = PARTIES.includes(column) ? partyText(text) : text;
  }
  readTimes(cells, columns, texts, clock);
  if (cells.mistakes.length > 0) return { kind: "mistakes", rows: [row], mistakes: cells.mistakes };
  const reading = readTandemRow(row, texts, remark, (column) => nameOf(column, columns[column]));
  if (reading.kind !== "record") return reading;
  const { record } = reading;
  record.direction ||= cells.direction(settings);
  record.recordId = `${settings.recordPrefix}${record.recordId || idOfRow(row)}`;
  if (settings.revision !== undefined) record.revision ??= settings.revision;
  if (settings.trunkId !== undefined) record.trunkId ??= settings.trunkId;
  return reading;
}

function nameOf(column: string, source: Source | undefined): string {
  return source && "from" in source ? `${source.from} (${column})` : column;
}

function textOf(cells: Cells, source: Source): string {
  if ("constant" in source) return source.constant;
  const text = cells.text(source.from);
  return ("values" in source && source.values?.[text]) || text;
}

/** Numbers stand as the switch writes them, or as Tandem's own columns have parties. */
function partyText(text: string): string {
  if (text === "" || /^(restricted|unavailable|short:.+|emergency:.+|other:.+)$/.test(text)) return text;
  const party = partyOf(text);
  if (party.kind === PartyKind.NON_E164) return `other:${party.value}`;
  return party.kind === PartyKind.RESTRICTED ? "restricted" : (party.value ?? "unavailable");
}

/** All times of a row together: in the hour that occurs twice they tell each other apart. */
function readTimes(
  cells: Cells,
  columns: ColumnMap["columns"],
  texts: Record<string, string>,
  clock: LocalClock | undefined,
): void {
  const stamps = TIMES.map((column) => {
    const source = columns[column];
    return source && texts[column] ? stampOf(cells, source, texts[column], clock) : undefined;
  });
  if (!stamps.some((stamp) => stamp && "localMs" in stamp)) {
    for (const [index, column] of TIMES.entries()) write(texts, column, stamps[index]);
    return;
  }
  const [start, answer, end] = stamps;
  const talkMs = Number(texts["connected_duration_ms"] || Number(texts["connected_duration_s"] || Number.NaN) * 1_000);
  const length = Number.isNaN(talkMs) ? undefined : talkMs;
  const blamed = TIMES.map((name) => columns[name]).find((source) => source !== undefined);
  const column = blamed && "from" in blamed ? blamed.from : "time";
  const times = cells.instants(clock as LocalClock, { start, answer, end, talkMs: length }, column);
  for (const [index, ms] of [times.startMs, times.answerMs, times.endMs].entries())
    if (ms !== undefined) write(texts, TIMES[index] as string, { instantMs: ms });
}

function write(texts: Record<string, string>, column: string, stamp: Stamp | undefined): void {
  // A time with an offset stays as it is, with all its digits.
  if (stamp && "instantMs" in stamp && !/T.*(Z|[+-]\d{2}:\d{2})$/.test(texts[column] ?? ""))
    texts[column] = new Date(stamp.instantMs).toISOString();
}

const UNITS_PER_MS = { "unix-s": 0.001, "unix-ms": 1, "unix-us": 1_000 };

function stampOf(cells: Cells, source: Source, text: string, clock: LocalClock | undefined): Stamp | undefined {
  const column = "from" in source ? source.from : "time";
  const written = ("times" in source && source.times) || "text";
  if (written !== "text") {
    if (/^0(\.0*)?$/.test(text)) return undefined;
    const ms = Math.floor(Number(text) / UNITS_PER_MS[written]);
    return /^\d+(\.\d+)?$/.test(text) && Math.abs(ms) < 8.64e15
      ? { instantMs: ms }
      : cells.blame(column, `a time as ${written}`);
  }
  const stamp = readStamp(text);
  if (stamp === undefined) return cells.blame(column, "a time such as 2026-03-01 10:05:00");
  if ("localMs" in stamp && clock === undefined)
    return cells.blame(column, "a time with its offset, or time_zone in the map, or --time-zone");
  return stamp;
}

import { type RawBuilder, sql } from "kysely";
import type { RecordName, RecordRef } from "../../domain/matching/facts.ts";
import { recordText } from "../../domain/matching/facts.ts";
import { DURATION, type RecordKind } from "../../domain/record-kind.ts";
import { type Micros, msFromMicros } from "../../domain/time/instant.ts";
import { inRange, readColumn, readRows, readValue, run, type Tx, together, unnest } from "../database/run.ts";
import { recordAt } from "../records/record-at.ts";
import { EntryKind } from "../records/record-rows.ts";
import { RowBytes } from "./row-bytes.ts";

/** `[start, end)`. */
export interface TimeRange {
  readonly start: Micros;
  readonly end: Micros;
}

/** The ranges as a table `w`. */
export function unnestRanges(ranges: readonly TimeRange[]): RawBuilder<unknown> {
  const rows = ranges.map(({ start, end }) => ({ rangeStart: start, rangeEnd: end }));
  return unnest("w", rows, { rangeStart: "timestamptz", rangeEnd: "timestamptz" });
}

/** The columns of a RecordName. */
export const RECORD_NAME = { recordId: "text", recordDate: "date" } as const;

/** The newest stored revision of a record. Times are milliseconds since 1970. */
export interface StoredTip extends RecordRef {
  readonly ingestMs: number;
  /** Of the first revision: a correction does not make a record late. */
  firstIngestMs: number;
  readonly isVoid: boolean;
  /**
   * The invite or else the answer. A VOID may have that of the revision which it takes back.
   * Undefined: none was ever named.
   */
  readonly startMs: number | undefined;
  readonly phoneNumber: string | undefined;
  readonly customerId: string | undefined;
  /** The call part; of a VOID, that of the newest report before it. */
  payload: Buffer;
}

/** In the order in which `tipsIn` takes them. */
const TIP_COLUMNS = sql.raw(
  "r.record_id, r.record_date, r.revision, r.ingest_time, r.entry_kind, r.phone_number, r.customer_id, r.payload",
);

// A row a value, all in one value.
async function selectTips(tx: Tx, rows: RawBuilder<unknown>): Promise<StoredTip[]> {
  const tips = await readValue(tx)<Buffer | undefined>`
    SELECT string_agg(record_send(t), ''::bytea) FROM (${rows}) t`;
  return tipsIn(new RowBytes(tips));
}

function tipsIn(row: RowBytes): StoredTip[] {
  const tips: StoredTip[] = [];
  while (row.next()) {
    const recordId = row.text();
    const recordDate = row.day();
    const revision = row.int4();
    const ingestMs = row.msOrNull() ?? 0;
    const isVoid = row.int2() === EntryKind.VOID;
    const phoneNumber = row.textOrNull();
    const customerId = row.textOrNull();
    const payload = row.bytes();
    const startMs = row.msOrNull();
    const times = { ingestMs, firstIngestMs: ingestMs, startMs };
    tips.push({ recordId, recordDate, revision, ...times, isVoid, phoneNumber, customerId, payload });
  }
  return tips;
}

/**
 * Reads the tips that start in ranges, which do not overlap. A VOID without a start begins with its
 * record_date.
 */
export async function readTips(
  tx: Tx,
  kind: RecordKind,
  carrierId: string,
  ranges: readonly TimeRange[],
): Promise<StoredTip[]> {
  if (ranges.length === 0) return [];
  const { records, start } = kind;
  const wanted = unnestRanges(ranges);
  const column = sql.ref(`r.${start}`);
  const [tips, others] = await together([
    selectTips(
      tx,
      sql`
    SELECT ${TIP_COLUMNS}, ${column} AS start_time
    FROM ${wanted}
    CROSS JOIN LATERAL (SELECT * FROM ${sql.table(records)} r
      WHERE r.carrier_id = ${carrierId} AND ${column} >= w.range_start AND ${column} < w.range_end AND r.entry_kind <> ${EntryKind.ERASURE} OFFSET 0) r`,
    ),
    selectTips(
      tx,
      sql`
    SELECT ${TIP_COLUMNS}, NULL::timestamptz AS start_time
    FROM ${wanted}
    JOIN ${sql.table(records)} r ON r.carrier_id = ${carrierId} AND ${column} IS NULL
      AND r.record_date >= (w.range_start AT TIME ZONE 'UTC') AND r.record_date < (w.range_end AT TIME ZONE 'UTC')
    WHERE r.entry_kind = ${EntryKind.VOID}`,
    ),
  ]);
  const found = await dropSuperseded(tx, kind, carrierId, others.length === 0 ? tips : [...tips, ...others]);
  await fillVoids(tx, kind, carrierId, found);
  return found;
}

/** Reads the tips of numbered parts that begin in a range. */
export async function readPartTips(tx: Tx, carrierId: string, range: TimeRange): Promise<StoredTip[]> {
  const tips = await selectTips(
    tx,
    sql`
    SELECT ${TIP_COLUMNS}, r.start_time FROM duration_record r
    WHERE r.carrier_id = ${carrierId} AND r.part_index IS NOT NULL AND ${inRange(sql`r.start_time`, range)}`,
  );
  const found = await dropSuperseded(tx, DURATION, carrierId, tips);
  await fillVoids(tx, DURATION, carrierId, found);
  return found;
}

// Most records have one revision. Among many, the others are found by their days at once; among
// few, by themselves, so that a new record costs the same on a day with many corrections.
async function dropSuperseded(
  tx: Tx,
  kind: RecordKind,
  carrierId: string,
  rows: readonly StoredTip[],
): Promise<StoredTip[]> {
  if (rows.length === 0) return [];
  const query = rows.length > MOST_BY_THEMSELVES ? correctedOf(kind, carrierId, rows) : newestOf(kind, carrierId, rows);
  const { rows: corrected } = await run(tx, query);
  if (corrected.length === 0) return [...rows];
  const newest = new Map(corrected.map((key) => [recordText(key), key.revision]));
  return rows.filter((row) => row.revision >= (newest.get(recordText(row)) ?? 1));
}

const MOST_BY_THEMSELVES = 2_000;

function correctedOf({ keys }: RecordKind, carrierId: string, rows: readonly RecordRef[]) {
  return sql<RecordRef>`
    SELECT record_id, record_date, max(revision) AS revision FROM ${sql.table(keys)}
    WHERE carrier_id = ${carrierId} AND record_date IN (${daysOf(rows)}) AND revision > 1
    GROUP BY record_id, record_date`;
}

function newestOf(kind: RecordKind, carrierId: string, rows: readonly RecordRef[]) {
  return sql<RecordRef>`
    SELECT k.record_id, k.record_date, max(k.revision) AS revision
    FROM ${revisionsOf(kind, carrierId, rows, sql`AND k.record_date IN (${daysOf(rows)})`)} GROUP BY k.record_id, k.record_date`;
}

// Literals, so that only their partitions are planned for.
function daysOf(rows: readonly RecordName[]) {
  const days = [...new Set(rows.map((row) => row.recordDate))];
  return sql.join(days.map((day) => sql`${sql.lit(day)}::date`));
}

/** The keys `k` of every revision of some records `n`. */
function revisionsOf(
  { keys }: RecordKind,
  carrierId: string,
  records: readonly RecordName[],
  condition = sql``,
): RawBuilder<unknown> {
  return sql`${unnest("n", records, RECORD_NAME)} CROSS JOIN LATERAL (SELECT * FROM ${sql.table(keys)} k
    WHERE k.carrier_id = ${carrierId} AND k.record_id = n.record_id AND k.record_date = n.record_date ${condition} OFFSET 0) k`;
}

/** The record of a key `k`. */
function recordOfKey({ records }: RecordKind, carrierId: string): RawBuilder<unknown> {
  return recordAt(sql.table(records), carrierId, "k");
}

async function fillVoids(tx: Tx, kind: RecordKind, carrierId: string, tips: readonly StoredTip[]): Promise<void> {
  const later = tips.filter(({ revision }) => revision > 1);
  const voids = tips.filter(({ isVoid }) => isVoid);
  const first = await readFirstIngestTimes(tx, kind, carrierId, later);
  const reported = await readReported(tx, kind, carrierId, voids);
  for (const tip of later) {
    const firstIngest = first.get(recordText(tip));
    if (firstIngest !== undefined) tip.firstIngestMs = msFromMicros(firstIngest);
  }
  for (const tip of voids) tip.payload = reported.get(recordText(tip)) ?? tip.payload;
}

async function readFirstIngestTimes(
  tx: Tx,
  kind: RecordKind,
  carrierId: string,
  later: readonly RecordName[],
): Promise<Map<string, Micros>> {
  if (later.length === 0) return new Map();
  const rows = await readRows(tx)<RecordName & { ingestTime: Micros }>`
    SELECT k.record_date, k.record_id, min(k.ingest_time) AS ingest_time
    FROM ${revisionsOf(kind, carrierId, later)} GROUP BY k.record_date, k.record_id`;
  return new Map(rows.map((row) => [recordText(row), row.ingestTime]));
}

async function readReported(
  tx: Tx,
  kind: RecordKind,
  carrierId: string,
  voids: readonly RecordRef[],
): Promise<Map<string, Buffer>> {
  if (voids.length === 0) return new Map();
  const rows = await readRows(tx)<RecordName & { payload: Buffer }>`
    SELECT DISTINCT ON (k.record_date, k.record_id) k.record_date, k.record_id, p.payload
    FROM ${unnest("v", voids, { ...RECORD_NAME, revision: "int4" })}
    CROSS JOIN LATERAL (SELECT * FROM ${sql.table(kind.keys)} k
      WHERE k.carrier_id = ${carrierId} AND k.record_id = v.record_id AND k.record_date = v.record_date AND k.revision < v.revision OFFSET 0) k
    CROSS JOIN LATERAL (${recordOfKey(kind, carrierId)}) p
    WHERE p.entry_kind = ${EntryKind.REPORT}
    ORDER BY k.record_date, k.record_id, k.revision DESC`;
  return new Map(rows.map((row) => [recordText(row), row.payload]));
}

/** When records of the carrier begin by its clock. Records that are gone are left out. */
export async function readDurationStarts(tx: Tx, carrierId: string, records: readonly RecordName[]): Promise<Micros[]> {
  if (records.length === 0) return [];
  return readColumn(tx)<Micros>`
    SELECT DISTINCT ON (k.record_date, k.record_id) COALESCE(r.start_time, k.record_date::timestamp AT TIME ZONE 'UTC') AS start_time
    FROM ${revisionsOf(DURATION, carrierId, records)} CROSS JOIN LATERAL (${recordOfKey(DURATION, carrierId)}) r
    ORDER BY k.record_date, k.record_id, k.revision DESC`;
}

/** A time that a new record touches. */
export interface Arrival {
  readonly startTime: Micros;
  /** The encoded record, when it was asked for. */
  readonly payload: Buffer | undefined;
}

interface ArrivalRequest {
  readonly carrierId: string;
  readonly after: bigint;
  readonly through: bigint;
}

/**
 * Reads the times that the records of `(after, through]` touch: their starts, and those of all
 * revisions of the same records. Without payloads only the minutes, each once or twice.
 */
export async function readArrivals(
  tx: Tx,
  kind: RecordKind,
  request: ArrivalRequest & { readonly withPayload: boolean },
): Promise<Arrival[]> {
  const { carrierId, withPayload } = request;
  const start = sql`COALESCE(${sql.ref(`r.${kind.start}`)}, r.record_date::timestamp AT TIME ZONE 'UTC')`;
  const touched = withPayload
    ? sql`${start} AS start_time, r.payload`
    : sql`DISTINCT date_trunc('minute', ${start}) AS start_time, NULL::bytea AS payload`;
  const [rows, later] = await together([
    readRows(tx)<Arrival>`SELECT ${touched} FROM ${arrivalsOf(kind, request)}`,
    readLater(tx, kind, request),
  ]);
  if (later.length === 0) return rows;
  const revisions = await readRows(tx)<Arrival>`
    SELECT ${touched} FROM ${revisionsOf(kind, carrierId, later)} CROSS JOIN LATERAL (${recordOfKey(kind, carrierId)}) r`;
  return [...rows, ...revisions];
}

function readLater(tx: Tx, kind: RecordKind, request: ArrivalRequest): Promise<RecordName[]> {
  return readRows(tx)<RecordName>`
    SELECT r.record_id, r.record_date FROM ${arrivalsOf(kind, request)} AND r.revision > 1`;
}

function arrivalsOf({ records }: RecordKind, { carrierId, after, through }: ArrivalRequest): RawBuilder<unknown> {
  return sql`${sql.table(records)} r
    WHERE r.carrier_id = ${carrierId} AND r.sequence > ${after} AND r.sequence <= ${through} AND r.entry_kind <> ${EntryKind.ERASURE}`;
}

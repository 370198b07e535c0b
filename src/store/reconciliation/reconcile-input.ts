import { sql } from "kysely";
import { DURATION, type RecordKind } from "../../domain/record-kind.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { dateArray, int4Array, textArray, timestamptzArray } from "../database/binary-array.ts";
import { run, type Tx, together } from "../database/run.ts";
import { recordAt } from "../records/record-at.ts";
import { EntryKind } from "../records/record-rows.ts";

// What reconciliation reads of both sides' records.

/** `[start, end)`. */
export interface TimeRange {
  readonly start: Micros;
  readonly end: Micros;
}

/** The newest revision of an identity, as it is stored. */
export interface StoredTip {
  recordId: string;
  recordDate: string;
  revision: number;
  sequence: bigint;
  ingestTime: Micros;
  /** Of the identity's first revision: a correction makes a record no later than it was. */
  firstIngestTime: Micros;
  isVoid: boolean;
  /**
   * The invite, else the answer; of a VOID that names none, of the revision that it takes back;
   * undefined when nothing ever named one.
   */
  startTime: Micros | undefined;
  phoneNumber: string | undefined;
  customerId: string | undefined;
  /**
   * The call part: of a VOID, that of the newest revision which reported the call, if there was
   * one.
   */
  payload: Buffer;
}

interface TipRow extends Omit<StoredTip, "firstIngestTime" | "isVoid"> {
  entryKind: number;
}

const TIP_COLUMNS = sql.raw(
  "r.record_id, r.record_date, r.revision, r.sequence, r.ingest_time, r.entry_kind, r.phone_number, r.customer_id, r.payload",
);

/**
 * Reads the tips whose start lies in one of the ranges, which do not overlap. A VOID without any
 * start is taken to have begun with its record_date's first instant.
 */
export async function readTips(
  tx: Tx,
  kind: RecordKind,
  carrierId: string,
  ranges: readonly TimeRange[],
): Promise<StoredTip[]> {
  if (ranges.length === 0) return [];
  const { records, start } = kind;
  const starts = timestamptzArray(ranges.map((range) => range.start));
  const ends = timestamptzArray(ranges.map((range) => range.end));
  const column = sql.ref(`r.${start}`);
  const [{ rows }, { rows: others }] = await together([
    run(tx)<TipRow>`
    SELECT ${TIP_COLUMNS}, ${column} AS start_time
    FROM unnest(${starts}::timestamptz[], ${ends}::timestamptz[]) AS w(range_start, range_end)
    JOIN ${sql.table(records)} r ON r.carrier_id = ${carrierId} AND ${column} >= w.range_start AND ${column} < w.range_end
    WHERE r.entry_kind <> ${EntryKind.ERASURE}`,
    run(tx)<TipRow>`
    SELECT ${TIP_COLUMNS}, NULL::timestamptz AS start_time
    FROM unnest(${starts}::timestamptz[], ${ends}::timestamptz[]) AS w(range_start, range_end)
    JOIN ${sql.table(records)} r ON r.carrier_id = ${carrierId} AND ${column} IS NULL
      AND r.record_date >= (w.range_start AT TIME ZONE 'UTC') AND r.record_date < (w.range_end AT TIME ZONE 'UTC')
    WHERE r.entry_kind = ${EntryKind.VOID}`,
  ]);
  const found = await dropSuperseded(tx, kind, carrierId, others.length === 0 ? rows : [...rows, ...others]);
  return fillVoids(tx, kind, carrierId, found);
}

/** Reads the tips of numbered parts of split calls that begin within a range. */
export async function readPartTips(tx: Tx, carrierId: string, range: TimeRange): Promise<StoredTip[]> {
  const { rows } = await run(tx)<TipRow>`
    SELECT ${TIP_COLUMNS}, r.start_time FROM duration_record r
    WHERE r.carrier_id = ${carrierId} AND r.part_index IS NOT NULL
      AND r.start_time >= ${isoFromMicros(range.start)}::timestamptz AND r.start_time < ${isoFromMicros(range.end)}::timestamptz`;
  return fillVoids(tx, DURATION, carrierId, await dropSuperseded(tx, DURATION, carrierId, rows));
}

// Most identities have one revision. Of many records the few others are found by their days, in one
// look-up; of few records by themselves, so that the work for a new record does not grow with the
// day's corrections.
async function dropSuperseded(tx: Tx, kind: RecordKind, carrierId: string, rows: readonly TipRow[]): Promise<TipRow[]> {
  if (rows.length === 0) return [];
  const { keys } = kind;
  const query = rows.length > MOST_BY_THEMSELVES ? correctedOf(keys, carrierId, rows) : newestOf(keys, carrierId, rows);
  const { rows: corrected } = await run(tx, query);
  if (corrected.length === 0) return [...rows];
  const newest = new Map(corrected.map((key) => [`${key.recordDate}/${key.recordId}`, key.revision]));
  return rows.filter((row) => row.revision >= (newest.get(`${row.recordDate}/${row.recordId}`) ?? 1));
}

type Corrected = Pick<TipRow, "recordId" | "recordDate" | "revision">;

const MOST_BY_THEMSELVES = 2_000;

function correctedOf(keys: string, carrierId: string, rows: readonly TipRow[]) {
  return sql<Corrected>`
    SELECT record_id, record_date, max(revision) AS revision FROM ${sql.table(keys)}
    WHERE carrier_id = ${carrierId} AND record_date IN (${daysOf(rows)}) AND revision > 1
    GROUP BY record_id, record_date`;
}

function newestOf(keys: string, carrierId: string, rows: readonly TipRow[]) {
  return sql<Corrected>`
    SELECT k.record_id, k.record_date, max(k.revision) AS revision
    FROM unnest(${textArray(rows.map((row) => row.recordId))}::text[], ${dateArray(rows.map((row) => row.recordDate))}::date[])
      AS n(record_id, record_date)
    CROSS JOIN LATERAL (SELECT * FROM ${sql.table(keys)} k
      WHERE k.carrier_id = ${carrierId} AND k.record_id = n.record_id AND k.record_date = n.record_date AND k.record_date IN (${daysOf(rows)})
      OFFSET 0) k
    GROUP BY k.record_id, k.record_date`;
}

// Literals, so that only their partitions are planned for.
function daysOf(rows: readonly TipRow[]) {
  const days = [...new Set(rows.map((row) => row.recordDate))];
  return sql.join(days.map((day) => sql`${sql.lit(day)}::date`));
}

async function fillVoids(tx: Tx, kind: RecordKind, carrierId: string, rows: readonly TipRow[]): Promise<StoredTip[]> {
  const first = await readFirstIngestTimes(
    tx,
    kind,
    carrierId,
    rows.filter((row) => row.revision > 1),
  );
  const voids = rows.filter((row) => row.entryKind === EntryKind.VOID);
  const reported = voids.length === 0 ? new Map<string, Buffer>() : await readReported(tx, kind, carrierId, voids);
  return rows.map(({ entryKind, ...row }) => ({
    ...row,
    firstIngestTime: first.get(`${row.recordDate}/${row.recordId}`) ?? row.ingestTime,
    isVoid: entryKind === EntryKind.VOID,
    payload: reported.get(`${row.recordDate}/${row.recordId}`) ?? row.payload,
  }));
}

async function readFirstIngestTimes(
  tx: Tx,
  kind: RecordKind,
  carrierId: string,
  later: readonly TipRow[],
): Promise<Map<string, Micros>> {
  if (later.length === 0) return new Map();
  const { rows } = await run(tx)<{ recordDate: string; recordId: string; ingestTime: Micros }>`
    SELECT l.record_date, l.record_id, min(k.ingest_time) AS ingest_time
    FROM unnest(${textArray(later.map((row) => row.recordId))}::text[], ${dateArray(later.map((row) => row.recordDate))}::date[])
      AS l(record_id, record_date)
    CROSS JOIN LATERAL (SELECT * FROM ${sql.table(kind.keys)} k
      WHERE k.carrier_id = ${carrierId} AND k.record_id = l.record_id AND k.record_date = l.record_date OFFSET 0) k
    GROUP BY l.record_date, l.record_id`;
  return new Map(rows.map((row) => [`${row.recordDate}/${row.recordId}`, row.ingestTime]));
}

async function readReported(
  tx: Tx,
  kind: RecordKind,
  carrierId: string,
  voids: readonly TipRow[],
): Promise<Map<string, Buffer>> {
  const { keys, records } = kind;
  const { rows } = await run(tx)<{ recordDate: string; recordId: string; payload: Buffer }>`
    SELECT DISTINCT ON (k.record_date, k.record_id) k.record_date, k.record_id, p.payload
    FROM unnest(${textArray(voids.map((row) => row.recordId))}::text[], ${dateArray(voids.map((row) => row.recordDate))}::date[],
                ${int4Array(voids.map((row) => row.revision))}::int4[]) AS v(record_id, record_date, revision)
    CROSS JOIN LATERAL (SELECT * FROM ${sql.table(keys)} k
      WHERE k.carrier_id = ${carrierId} AND k.record_id = v.record_id AND k.record_date = v.record_date AND k.revision < v.revision OFFSET 0) k
    CROSS JOIN LATERAL (${recordAt(sql.table(records), carrierId, "k")}) p
    WHERE p.entry_kind = ${EntryKind.REPORT}
    ORDER BY k.record_date, k.record_id, k.revision DESC`;
  return new Map(rows.map((row) => [`${row.recordDate}/${row.recordId}`, row.payload]));
}

/**
 * When records of the carrier begin by its clock, in their newest revision; those that are gone are
 * left out.
 */
export async function readDurationStarts(
  tx: Tx,
  carrierId: string,
  records: readonly { recordId: string; recordDate: string }[],
): Promise<Micros[]> {
  if (records.length === 0) return [];
  const { rows } = await run(tx)<{ startTime: Micros }>`
    SELECT DISTINCT ON (k.record_date, k.record_id) COALESCE(r.start_time, k.record_date::timestamp AT TIME ZONE 'UTC') AS start_time
    FROM unnest(${textArray(records.map(({ recordId }) => recordId))}::text[], ${dateArray(records.map(({ recordDate }) => recordDate))}::date[])
      AS n(record_id, record_date)
    CROSS JOIN LATERAL (SELECT * FROM duration_key k
      WHERE k.carrier_id = ${carrierId} AND k.record_id = n.record_id AND k.record_date = n.record_date OFFSET 0) k
    CROSS JOIN LATERAL (${recordAt(sql`duration_record`, carrierId, "k")}) r
    ORDER BY k.record_date, k.record_id, k.revision DESC`;
  return rows.map((row) => row.startTime);
}

/** A record that has come, and the time that it touches. */
export interface Arrival {
  sequence: bigint;
  startTime: Micros;
  /** The encoded record, when it was asked for. */
  payload: Buffer | undefined;
}

/**
 * Reads which instants the records of `(after, through]` touch: their own starts, and those of
 * every other revision of the same identities.
 * @param withPayload whether the encoded records are wanted too.
 */
export async function readArrivals(
  tx: Tx,
  kind: RecordKind,
  request: { carrierId: string; after: bigint; through: bigint; withPayload: boolean },
): Promise<Arrival[]> {
  const { records, keys, start } = kind;
  const { carrierId, after, through } = request;
  const payload = request.withPayload ? sql`r.payload` : sql`NULL::bytea`;
  const { rows } = await run(tx)<ArrivalRow>`
    SELECT r.sequence, r.record_id, r.record_date, r.revision, COALESCE(${sql.ref(`r.${start}`)}, r.record_date::timestamp AT TIME ZONE 'UTC') AS start_time,
      ${payload} AS payload
    FROM ${sql.table(records)} r
    WHERE r.carrier_id = ${carrierId} AND r.sequence > ${after} AND r.sequence <= ${through} AND r.entry_kind <> ${EntryKind.ERASURE}`;
  const later = rows.filter((row) => row.revision > 1);
  if (later.length === 0) return rows;
  const { rows: revisions } = await run(tx)<Arrival>`
    SELECT r.sequence, COALESCE(${sql.ref(`r.${start}`)}, r.record_date::timestamp AT TIME ZONE 'UTC') AS start_time, ${payload} AS payload
    FROM unnest(${textArray(later.map((row) => row.recordId))}::text[], ${dateArray(later.map((row) => row.recordDate))}::date[])
      AS l(record_id, record_date)
    CROSS JOIN LATERAL (SELECT * FROM ${sql.table(keys)} k
      WHERE k.carrier_id = ${carrierId} AND k.record_id = l.record_id AND k.record_date = l.record_date OFFSET 0) k
    CROSS JOIN LATERAL (${recordAt(sql.table(records), carrierId, "k")}) r`;
  return [...rows, ...revisions];
}

interface ArrivalRow extends Arrival {
  recordId: string;
  recordDate: string;
  revision: number;
}

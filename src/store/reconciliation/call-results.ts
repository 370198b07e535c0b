import { type RawBuilder, sql } from "kysely";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import {
  boolArray,
  byteaArray,
  dateArray,
  int2Array,
  int4Array,
  int8Array,
  textArray,
  timestamptzArray,
} from "../database/binary-array.ts";
import { insertAll, run, type Tx } from "../database/run.ts";
import type { TimeRange } from "./reconcile-input.ts";

/**
 * Names a result: the platform's record (side 1) where there is one, else the carrier's first (side
 * 2).
 */
export interface ResultName {
  side: number;
  recordId: string;
  recordDate: string;
}

/** A record that a result rests on. */
export interface ResultRecord {
  recordId: string;
  recordDate: string;
  revision: number;
}

/** A row of call_result; see schema.ts for what the columns mean. */
export interface CallResultRow extends ResultName {
  revision: number;
  carrierRecords: readonly ResultRecord[];
  startTime: Micros;
  callDate: string;
  status: number;
  causes: number;
  matchedBy: number;
  pendingReason: number;
  isOpen: boolean;
  isMerged: boolean;
  dueTime: Micros | undefined;
  direction: number;
  phoneNumber: string | undefined;
  customerId: string | undefined;
  trunkId: string | undefined;
  callId: string | undefined;
  otherNumber: string | undefined;
  otherCountry: string | undefined;
  platformAnswered: boolean | undefined;
  carrierAnswered: boolean | undefined;
  platformMs: bigint | undefined;
  carrierMs: bigint | undefined;
  billedS: bigint | undefined;
  clockTrunk: string | undefined;
  clockTime: Micros | undefined;
  voteMs: bigint | undefined;
  pairKey: bigint | undefined;
  correlationKey: bigint | undefined;
  idKeys: readonly bigint[] | undefined;
  resultHash: bigint;
  arrivalTime: Micros;
  discrepancyId: string | undefined;
  discrepancyRevision: number;
  firstSeenTime: Micros | undefined;
  resolvedTime: Micros | undefined;
  sequence: bigint | undefined;
  payload: Buffer | undefined;
}

/** Reads every result that starts in one of the ranges. */
export async function readResultsIn(tx: Tx, carrierId: string, ranges: readonly TimeRange[]): Promise<CallResultRow[]> {
  const { rows } = await run(tx)<StoredRow>`
    SELECT ${selected()} FROM unnest(${timestamptzArray(ranges.map((range) => range.start))}::timestamptz[],
      ${timestamptzArray(ranges.map((range) => range.end))}::timestamptz[]) AS w(range_start, range_end)
    JOIN call_result r ON r.carrier_id = ${carrierId} AND r.start_time >= w.range_start AND r.start_time < w.range_end`;
  return rows.map(callResultRow);
}

/** Reads the results of these names. */
export async function readResultsNamed(
  tx: Tx,
  carrierId: string,
  names: readonly ResultName[],
): Promise<CallResultRow[]> {
  if (names.length === 0) return [];
  const { rows } = await run(tx)<StoredRow>`
    SELECT ${selected()} FROM ${unnestNames(names)} CROSS JOIN LATERAL (SELECT * FROM call_result c
      WHERE c.carrier_id = ${carrierId} AND c.record_date = n.record_date AND c.record_id = n.record_id AND c.side = n.side OFFSET 0) r`;
  return rows.map(callResultRow);
}

/** A call as later records look for it. */
export interface FoundCall {
  startTime: Micros;
  /** Why it was found. */
  key: bigint;
  /** The trunk and the begin of the carrier's record by its clock, where there is one. */
  clockTrunk: string | undefined;
  clockTime: Micros | undefined;
  /** The carrier's records, of a call that has more than one. */
  parts: readonly { recordId: string; recordDate: string }[];
}

/** A key to look for, and when the call that has it may begin. */
export interface WantedCall {
  readonly key: bigint;
  readonly start: Micros;
  readonly end: Micros;
  /**
   * When given: only calls that were still going on at this instant, by their connected time and
   * five minutes for the rest.
   */
  readonly during?: Micros;
}

/**
 * Finds calls of one side by a key, each within the time that is wanted of it: by the two parties
 * those that lack a counterpart, disagree or have parts, or by the carrier's record the pair that
 * is far from it. Of each key the first ones, at most `limit`.
 */
export async function findCalls(
  tx: Tx,
  carrierId: string,
  search: { by: "pair_key" | "correlation_key"; side: number; wanted: readonly WantedCall[]; limit: number },
): Promise<FoundCall[]> {
  const { wanted } = search;
  if (wanted.length === 0) return [];
  const column = sql.ref(`r.${search.by}`);
  // OFFSET 0: by the key's index, and not by that of the order.
  const { rows } = await run(tx)<FoundRow>`
    SELECT f.start_time, w.key, f.clock_trunk, f.clock_time, ${FAR_PARTS}
    FROM unnest(${int8Array(wanted.map(({ key }) => key))}::int8[], ${timestamptzArray(wanted.map(({ start }) => start))}::timestamptz[],
                ${timestamptzArray(wanted.map(({ end }) => end))}::timestamptz[],
                ${timestamptzArray(wanted.map(({ during }) => during))}::timestamptz[]) AS w(key, range_start, range_end, during)
    CROSS JOIN LATERAL (
      SELECT * FROM (
        SELECT r.* FROM call_result r
        WHERE r.carrier_id = ${carrierId} AND ${column} = w.key AND r.start_time BETWEEN w.range_start AND w.range_end OFFSET 0) r
      WHERE r.side = ${search.side} AND NOT r.is_merged
        AND (w.during IS NULL OR r.start_time + make_interval(secs => COALESCE(r.platform_ms, r.carrier_ms, 0) / 1000.0 + 300) >= w.during)
      ORDER BY r.start_time, r.record_date, r.record_id LIMIT ${search.limit}) f`;
  return rows.map(foundCall);
}

/**
 * Finds the calls, of both sides and however they stand, whose records have an id; none of an id
 * that more than `most` have. Each key is wanted once.
 */
export async function findByIds(
  tx: Tx,
  carrierId: string,
  { wanted, most }: { wanted: readonly WantedCall[]; most: number },
): Promise<FoundCall[]> {
  if (wanted.length === 0) return [];
  // The carrier outside of OFFSET 0: few share an id, which the planner does not know. It would
  // rather read the carrier's calls of the time, or the carrier's whole index beside that of the
  // ids.
  const { rows } = await run(tx)<FoundRow>`
    SELECT f.start_time, w.key, f.clock_trunk, f.clock_time, ${PARTS}
    FROM unnest(${int8Array(wanted.map(({ key }) => key))}::int8[], ${timestamptzArray(wanted.map(({ start }) => start))}::timestamptz[],
                ${timestamptzArray(wanted.map(({ end }) => end))}::timestamptz[]) AS w(key, range_start, range_end)
    CROSS JOIN LATERAL (
      SELECT * FROM (
        SELECT r.carrier_id, r.start_time, r.clock_trunk, r.clock_time, r.carrier_record_ids, r.carrier_record_dates FROM call_result r
        WHERE r.id_keys @> ARRAY[w.key] OFFSET 0) r
      WHERE r.carrier_id = ${carrierId} AND r.start_time BETWEEN w.range_start AND w.range_end LIMIT ${most + 1}) f`;
  const byKey = Map.groupBy(rows, ({ key }) => key);
  return [...byKey.values()].flatMap((found) => (found.length > most ? [] : found.map(foundCall)));
}

/**
 * The calls of which these records of the carrier are parts. Carriers use an id again on another
 * day.
 */
export async function findSplitCalls(
  tx: Tx,
  carrierId: string,
  parts: readonly { recordId: string; recordDate: string }[],
): Promise<FoundCall[]> {
  if (parts.length === 0) return [];
  const { rows } = await run(tx)<FoundRow>`
    SELECT f.start_time, 0::int8 AS key, f.clock_trunk, f.clock_time, ${PARTS} FROM unnest(${textArray(parts.map(({ recordId }) => recordId))}::text[],
      ${dateArray(parts.map(({ recordDate }) => recordDate))}::date[]) AS p(record_id, record_date)
    JOIN call_result f ON f.carrier_id = ${carrierId} AND cardinality(f.carrier_record_ids) > 1 AND f.carrier_record_ids @> ARRAY[p.record_id]
      AND f.carrier_record_dates @> ARRAY[p.record_date] AND NOT f.is_merged`;
  return rows.map(foundCall);
}

/** Of a found call `f`: the carrier's records, where it has more than one. */
const PARTS = sql`CASE WHEN cardinality(f.carrier_record_ids) > 1 THEN f.carrier_record_ids END AS part_ids, f.carrier_record_dates AS part_dates`;

/**
 * Or the one that it has, where that begins far from it: the last part of a call whose first is
 * missing does.
 */
const FAR_PARTS = sql`CASE WHEN cardinality(f.carrier_record_ids) > 1 OR f.correlation_key IS NOT NULL THEN f.carrier_record_ids END AS part_ids,
  f.carrier_record_dates AS part_dates`;

interface FoundRow extends Omit<FoundCall, "parts"> {
  partIds: readonly string[] | undefined;
  partDates: readonly string[];
}

function foundCall({ partIds = [], partDates, ...row }: FoundRow): FoundCall {
  return { ...row, parts: partIds.map((recordId, index) => ({ recordId, recordDate: partDates[index] ?? "" })) };
}

/** Writes results, new or changed. */
export async function writeResults(
  tx: Tx,
  carrierId: string,
  rows: readonly CallResultRow[],
  now: Micros,
): Promise<void> {
  if (rows.length === 0) return;
  const names = sql.join(COLUMNS.map(({ name }) => sql.ref(name)));
  const parameters = COLUMNS.map(({ type, encode }) => sql`${encode(rows)}::${sql.raw(type)}[]`);
  const values = COLUMNS.map(({ name, convert }) => convert?.(sql.ref(`r.${name}`)) ?? sql.ref(`r.${name}`));
  const updated = [...COLUMNS.filter(({ name }) => !NAMING.has(name)).map(({ name }) => name), "update_time"];
  const query = sql`
    INSERT INTO call_result (carrier_id, update_time, ${names})
    SELECT c.carrier_id, ${isoFromMicros(now)}::timestamptz, ${sql.join(values)}
    FROM carrier c CROSS JOIN unnest(${sql.join(parameters)}) AS r(${names}) WHERE c.carrier_id = ${carrierId}
    ON CONFLICT (carrier_id, record_date, record_id, side) DO UPDATE SET ${sql.join(
      updated.map((name) => sql`${sql.ref(name)} = EXCLUDED.${sql.ref(name)}`),
    )}`;
  await insertAll(tx, query, rows.length);
}

/** Forgets results whose record is in another's now, and that were never shown to anybody. */
export async function deleteResults(tx: Tx, carrierId: string, names: readonly ResultName[]): Promise<void> {
  if (names.length === 0) return;
  await run(tx)`
    DELETE FROM call_result r USING ${unnestNames(names)}
    WHERE r.carrier_id = ${carrierId} AND r.record_date = n.record_date AND r.record_id = n.record_id AND r.side = n.side`;
}

/** Lets time no longer change results: their records are not there any more. */
export async function clearDueTimes(tx: Tx, carrierId: string, names: readonly ResultName[]): Promise<void> {
  if (names.length === 0) return;
  await run(tx)`
    UPDATE call_result r SET due_time = NULL FROM ${unnestNames(names)}
    WHERE r.carrier_id = ${carrierId} AND r.record_date = n.record_date AND r.record_id = n.record_id AND r.side = n.side`;
}

function unnestNames(names: readonly ResultName[]) {
  return sql`unnest(${int2Array(names.map(({ side }) => side))}::int2[], ${textArray(names.map(({ recordId }) => recordId))}::text[],
    ${dateArray(names.map(({ recordDate }) => recordDate))}::date[]) AS n(side, record_id, record_date)`;
}

/** A column of call_result, and how a parameter is made for it: one array of all rows' values. */
interface Column {
  readonly name: string;
  /** Of an element of the parameter. */
  readonly type: string;
  readonly encode: (rows: readonly CallResultRow[]) => Buffer;
  /** What is stored of an element; absent: itself. */
  readonly convert?: (element: RawBuilder<unknown>) => RawBuilder<unknown>;
}

type Field = Exclude<keyof CallResultRow, "carrierRecords">;
type FieldColumn<Value> = Pick<Column, "type" | "convert"> & { readonly encode: (values: readonly Value[]) => Buffer };

const INT2 = { type: "int2", encode: int2Array };
const INT4 = { type: "int4", encode: int4Array };
const INT8 = { type: "int8", encode: int8Array };
const BOOL = { type: "bool", encode: boolArray };
const TEXT = { type: "text", encode: textArray };
const DATE = { type: "date", encode: dateArray };
const TIME = { type: "timestamptz", encode: timestamptzArray };
const NOTHING = Buffer.alloc(0);
const BYTES: FieldColumn<Buffer | undefined> = {
  type: "bytea",
  encode: (values) => byteaArray(values.map((value) => value ?? NOTHING)),
  convert: (element) => sql`NULLIF(${element}, ''::bytea)`,
};

const KEYS: FieldColumn<readonly bigint[] | undefined> = {
  type: "text",
  encode: (values) => textArray(values.map((value) => value?.join(" "))),
  convert: (element) => sql`string_to_array(${element}, ' ')::bigint[]`,
};

/** Every field that is a column; the column has the field's name in snake case. */
const FIELDS: { readonly [Name in Field]: FieldColumn<CallResultRow[Name]> } = {
  side: INT2,
  recordId: TEXT,
  recordDate: DATE,
  revision: INT4,
  startTime: TIME,
  callDate: DATE,
  status: INT2,
  causes: INT2,
  matchedBy: INT2,
  pendingReason: INT2,
  isOpen: BOOL,
  isMerged: BOOL,
  dueTime: TIME,
  direction: INT2,
  phoneNumber: TEXT,
  customerId: TEXT,
  trunkId: TEXT,
  callId: TEXT,
  otherNumber: TEXT,
  otherCountry: TEXT,
  platformAnswered: BOOL,
  carrierAnswered: BOOL,
  platformMs: INT8,
  carrierMs: INT8,
  billedS: INT8,
  clockTrunk: TEXT,
  clockTime: TIME,
  voteMs: INT8,
  pairKey: INT8,
  correlationKey: INT8,
  idKeys: KEYS,
  resultHash: INT8,
  arrivalTime: TIME,
  discrepancyId: TEXT,
  discrepancyRevision: INT4,
  firstSeenTime: TIME,
  resolvedTime: TIME,
  sequence: INT8,
  payload: BYTES,
};

/**
 * The columns of `carrierRecords`: an array each, in a parameter as text, for which no array of
 * arrays is needed.
 */
const RECORD_COLUMNS = [
  { name: "carrier_record_ids", of: "recordId", type: "text" },
  { name: "carrier_record_dates", of: "recordDate", type: "date" },
  { name: "carrier_revisions", of: "revision", type: "int4" },
] as const;

const COLUMNS: readonly Column[] = [
  ...(Object.keys(FIELDS) as Field[]).map(fieldColumn),
  ...RECORD_COLUMNS.map(({ name, of, type }) => ({
    name,
    type: "text",
    encode: (rows: readonly CallResultRow[]) =>
      textArray(rows.map((row) => row.carrierRecords.map((record) => String(record[of])).join(" "))),
    convert: (element: RawBuilder<unknown>) => sql`string_to_array(${element}, ' ')::${sql.raw(type)}[]`,
  })),
];

/** What a result is named by. */
const NAMING: ReadonlySet<string> = new Set(["side", "record_id", "record_date"]);

function fieldColumn<Name extends Field>(field: Name): Column {
  const { type, encode, convert }: FieldColumn<CallResultRow[Name]> = FIELDS[field];
  return {
    name: columnOf(field),
    type,
    encode: (rows) => encode(rows.map((row) => row[field])),
    ...(convert && { convert }),
  };
}

function columnOf(field: Field): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The columns of a result `r`, by the names of its fields. */
function selected(): RawBuilder<unknown> {
  const fields = (Object.keys(FIELDS) as Field[]).map(
    (field) => sql`r.${sql.ref(columnOf(field))} AS ${sql.ref(field)}`,
  );
  return sql.join([...fields, ...RECORD_COLUMNS.map(({ name }) => sql.ref(`r.${name}`))]);
}

interface StoredRow extends Omit<CallResultRow, "carrierRecords"> {
  carrierRecordIds: string[];
  carrierRecordDates: string[];
  carrierRevisions: number[];
}

function callResultRow(row: StoredRow): CallResultRow {
  const { carrierRecordIds: ids, carrierRecordDates: dates, carrierRevisions: revisions, ...fields } = row;
  const carrierRecords = ids.map((recordId, index) => ({
    recordId,
    recordDate: dates[index] ?? "",
    revision: revisions[index] ?? 0,
  }));
  return Object.assign(fields, { carrierRecords });
}

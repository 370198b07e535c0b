import { sql } from "kysely";
import { isoFromMicros, type Micros } from "../domain/instant.ts";
import {
  boolArray,
  byteaArray,
  dateArray,
  int2Array,
  int4Array,
  int8Array,
  textArray,
  timestamptzArray,
} from "./binary-array.ts";
import { send, type Tx } from "./database.ts";
import type { TimeRange } from "./reconcile-input.ts";

/** Names a result: the platform's record (side 1) where there is one, else the carrier's first (side 2). */
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
  dueTime: Micros | null;
  direction: number;
  phoneNumber: string | null;
  customerId: string | null;
  trunkId: string | null;
  callId: string | null;
  otherNumber: string | null;
  otherCountry: string | null;
  platformAnswered: boolean | null;
  carrierAnswered: boolean | null;
  platformMs: bigint | null;
  carrierMs: bigint | null;
  billedS: bigint | null;
  clockTrunk: string | null;
  clockTime: Micros | null;
  voteMs: bigint | null;
  pairKey: bigint | null;
  correlationKey: bigint | null;
  resultHash: bigint;
  arrivalTime: Micros;
  discrepancyId: string | null;
  discrepancyRevision: number;
  firstSeenTime: Micros | null;
  resolvedTime: Micros | null;
  sequence: bigint | null;
  payload: Buffer | null;
}

/** Reads every result that starts in one of the ranges. */
export async function readResultsIn(tx: Tx, carrierId: string, ranges: readonly TimeRange[]): Promise<CallResultRow[]> {
  const query = sql`
    SELECT r.* FROM unnest(${timestamptzArray(ranges.map((range) => range.start))}::timestamptz[],
                           ${timestamptzArray(ranges.map((range) => range.end))}::timestamptz[]) AS w(range_start, range_end)
    JOIN call_result r ON r.carrier_id = ${carrierId} AND r.start_time >= w.range_start AND r.start_time < w.range_end`;
  const { rows } = await send<StoredRow>(tx, query.compile(tx));
  return rows.map(callResultRow);
}

/** Reads the results of these names. */
export async function readResultsNamed(
  tx: Tx,
  carrierId: string,
  names: readonly ResultName[],
): Promise<CallResultRow[]> {
  if (names.length === 0) return [];
  const query = sql`
    SELECT r.* FROM ${unnestNames(names)} JOIN call_result r ON r.carrier_id = ${carrierId} AND r.record_date = n.record_date
      AND r.record_id = n.record_id AND r.side = n.side`;
  const { rows } = await send<StoredRow>(tx, query.compile(tx));
  return rows.map(callResultRow);
}

/** A call without a counterpart, or one that disagrees, as later records look for it. */
export interface OpenCall {
  side: number;
  startTime: Micros;
  /** Why it was found. */
  key: bigint;
  clockTrunk: string | undefined;
  clockTime: Micros | undefined;
}

/** A key to look for, and when the call that has it may begin. */
export interface WantedCall {
  readonly key: bigint;
  readonly start: Micros;
  readonly end: Micros;
  /** When given: only calls that were still going on at this instant, by their connected time and five minutes for the rest. */
  readonly during?: Micros;
}

/** Finds open calls of one side by a key, each within the time that is wanted of it; at most `limit`. */
export async function findOpenCalls(
  tx: Tx,
  carrierId: string,
  search: { by: "pair_key" | "correlation_key"; side: number; wanted: readonly WantedCall[]; limit: number },
): Promise<OpenCall[]> {
  const { wanted } = search;
  if (wanted.length === 0) return [];
  const column = sql.ref(`r.${search.by}`);
  const query = sql`
    SELECT r.side, r.start_time, ${column} AS key, r.clock_trunk, r.clock_time
    FROM unnest(${int8Array(wanted.map(({ key }) => key))}::int8[], ${timestamptzArray(wanted.map(({ start }) => start))}::timestamptz[],
                ${timestamptzArray(wanted.map(({ end }) => end))}::timestamptz[],
                ${timestamptzArray(wanted.map(({ during }) => during ?? null))}::timestamptz[]) AS w(key, range_start, range_end, during)
    JOIN call_result r ON r.carrier_id = ${carrierId} AND ${column} = w.key AND r.side = ${search.side} AND NOT r.is_merged
      AND r.start_time BETWEEN w.range_start AND w.range_end
    WHERE w.during IS NULL OR r.start_time + make_interval(secs => COALESCE(r.platform_ms, r.carrier_ms, 0) / 1000.0 + 300) >= w.during
    LIMIT ${search.limit}`;
  const { rows } = await send<OpenRow>(tx, query.compile(tx));
  return rows.map((row) => ({
    side: row.side,
    startTime: row.start_time,
    key: row.key,
    clockTrunk: row.clock_trunk ?? undefined,
    clockTime: row.clock_time ?? undefined,
  }));
}

/** When the calls began of which these records of the carrier are parts. */
export async function findSplitCalls(
  tx: Tx,
  carrierId: string,
  parts: readonly { recordId: string; recordDate: string }[],
): Promise<Micros[]> {
  if (parts.length === 0) return [];
  const query = sql`
    SELECT r.start_time FROM unnest(${textArray(parts.map(({ recordId }) => recordId))}::text[]) AS p(record_id)
    JOIN call_result r ON r.carrier_id = ${carrierId} AND cardinality(r.carrier_record_ids) > 1 AND r.carrier_record_ids @> ARRAY[p.record_id]`;
  const { rows } = await send<{ start_time: Micros }>(tx, query.compile(tx));
  return rows.map((row) => row.start_time);
}

/** The carrier's calls that lack their counterparts and began in an hour of a trunk's clock; at most `limit`. */
export async function readOpenOfClock(
  tx: Tx,
  carrierId: string,
  clock: { trunkId: string; hour: Micros; limit: number },
): Promise<{ key: bigint; clockTime: Micros }[]> {
  const query = sql`
    SELECT r.pair_key AS key, r.clock_time FROM call_result r
    WHERE r.carrier_id = ${carrierId} AND r.side = 2 AND r.is_open AND NOT r.is_merged AND r.pair_key IS NOT NULL AND r.clock_trunk = ${clock.trunkId}
      AND r.clock_time >= ${isoFromMicros(clock.hour)}::timestamptz
      AND r.clock_time < ${isoFromMicros(clock.hour)}::timestamptz + interval '1 hour'
    LIMIT ${clock.limit}`;
  const { rows } = await send<{ key: bigint; clock_time: Micros }>(tx, query.compile(tx));
  return rows.map((row) => ({ key: row.key, clockTime: row.clock_time }));
}

interface OpenRow {
  side: number;
  start_time: Micros;
  key: bigint;
  clock_trunk: string | null;
  clock_time: Micros | null;
}

/** Writes results, new or changed. */
export async function writeResults(
  tx: Tx,
  carrierId: string,
  rows: readonly CallResultRow[],
  now: Micros,
): Promise<void> {
  if (rows.length === 0) return;
  const column = <K extends keyof CallResultRow>(name: K) => rows.map((row) => row[name]);
  const recordTexts = (name: keyof ResultRecord) =>
    textArray(rows.map((row) => row.carrierRecords.map((record) => record[name]).join(" ")));
  const query = sql`
    INSERT INTO call_result (carrier_id, side, record_id, record_date, revision, carrier_record_ids, carrier_record_dates, carrier_revisions,
      start_time, call_date, status, causes, matched_by, pending_reason, is_open, is_merged, due_time, direction, phone_number, customer_id,
      trunk_id, call_id, other_number, other_country, platform_answered, carrier_answered, platform_ms, carrier_ms, billed_s, clock_trunk,
      clock_time, vote_ms, pair_key, correlation_key, result_hash, arrival_time, update_time, discrepancy_id, discrepancy_revision,
      first_seen_time, resolved_time, sequence, payload)
    SELECT ${carrierId}, r.side, r.record_id, r.record_date, r.revision, string_to_array(r.carrier_record_ids, ' '),
      string_to_array(r.carrier_record_dates, ' ')::date[], string_to_array(r.carrier_revisions, ' ')::int4[], r.start_time, r.call_date,
      r.status, r.causes, r.matched_by, r.pending_reason, r.is_open, r.is_merged, r.due_time, r.direction, r.phone_number, r.customer_id,
      r.trunk_id, r.call_id, r.other_number, r.other_country, r.platform_answered, r.carrier_answered, r.platform_ms, r.carrier_ms,
      r.billed_s, r.clock_trunk, r.clock_time, r.vote_ms, r.pair_key, r.correlation_key, r.result_hash, r.arrival_time,
      ${isoFromMicros(now)}::timestamptz, r.discrepancy_id, r.discrepancy_revision, r.first_seen_time, r.resolved_time, r.sequence,
      NULLIF(r.payload, ''::bytea)
    FROM unnest(${int2Array(column("side"))}::int2[], ${textArray(column("recordId"))}::text[], ${dateArray(column("recordDate"))}::date[],
      ${int4Array(column("revision"))}::int4[], ${recordTexts("recordId")}::text[], ${recordTexts("recordDate")}::text[],
      ${textArray(rows.map((row) => row.carrierRecords.map((record) => String(record.revision)).join(" ")))}::text[],
      ${timestamptzArray(column("startTime"))}::timestamptz[], ${dateArray(column("callDate"))}::date[],
      ${int2Array(column("status"))}::int2[], ${int2Array(column("causes"))}::int2[], ${int2Array(column("matchedBy"))}::int2[],
      ${int2Array(column("pendingReason"))}::int2[], ${boolArray(column("isOpen"))}::bool[], ${boolArray(column("isMerged"))}::bool[],
      ${timestamptzArray(column("dueTime"))}::timestamptz[], ${int2Array(column("direction"))}::int2[],
      ${textArray(column("phoneNumber"))}::text[], ${textArray(column("customerId"))}::text[], ${textArray(column("trunkId"))}::text[],
      ${textArray(column("callId"))}::text[], ${textArray(column("otherNumber"))}::text[], ${textArray(column("otherCountry"))}::text[],
      ${boolArray(column("platformAnswered"))}::bool[], ${boolArray(column("carrierAnswered"))}::bool[],
      ${int8Array(column("platformMs"))}::int8[], ${int8Array(column("carrierMs"))}::int8[], ${int8Array(column("billedS"))}::int8[],
      ${textArray(column("clockTrunk"))}::text[], ${timestamptzArray(column("clockTime"))}::timestamptz[],
      ${int8Array(column("voteMs"))}::int8[], ${int8Array(column("pairKey"))}::int8[], ${int8Array(column("correlationKey"))}::int8[],
      ${int8Array(column("resultHash"))}::int8[], ${timestamptzArray(column("arrivalTime"))}::timestamptz[],
      ${textArray(column("discrepancyId"))}::text[], ${int4Array(column("discrepancyRevision"))}::int4[],
      ${timestamptzArray(column("firstSeenTime"))}::timestamptz[], ${timestamptzArray(column("resolvedTime"))}::timestamptz[],
      ${int8Array(column("sequence"))}::int8[], ${byteaArray(rows.map((row) => row.payload ?? NOTHING))}::bytea[])
      AS r(side, record_id, record_date, revision, carrier_record_ids, carrier_record_dates, carrier_revisions, start_time, call_date, status,
        causes, matched_by, pending_reason, is_open, is_merged, due_time, direction, phone_number, customer_id, trunk_id, call_id, other_number,
        other_country, platform_answered, carrier_answered, platform_ms, carrier_ms, billed_s, clock_trunk, clock_time, vote_ms, pair_key,
        correlation_key, result_hash, arrival_time, discrepancy_id, discrepancy_revision, first_seen_time, resolved_time, sequence, payload)
    ON CONFLICT (carrier_id, record_date, record_id, side) DO UPDATE SET ${sql.join(
      UPDATED.map((name) => sql`${sql.ref(name)} = EXCLUDED.${sql.ref(name)}`),
    )}`;
  await send(tx, query.compile(tx));
}

const NOTHING = Buffer.alloc(0);
const UPDATED = (
  "revision carrier_record_ids carrier_record_dates carrier_revisions start_time call_date status causes matched_by pending_reason is_open is_merged " +
  "due_time direction phone_number customer_id trunk_id call_id other_number other_country platform_answered carrier_answered platform_ms carrier_ms " +
  "billed_s clock_trunk clock_time vote_ms pair_key correlation_key result_hash arrival_time update_time discrepancy_id discrepancy_revision " +
  "first_seen_time resolved_time sequence payload"
).split(" ");

/** Forgets results whose record is in another's now, and that were never shown to anybody. */
export async function deleteResults(tx: Tx, carrierId: string, names: readonly ResultName[]): Promise<void> {
  if (names.length === 0) return;
  const query = sql`
    DELETE FROM call_result r USING ${unnestNames(names)}
    WHERE r.carrier_id = ${carrierId} AND r.record_date = n.record_date AND r.record_id = n.record_id AND r.side = n.side`;
  await send(tx, query.compile(tx));
}

/** Lets time no longer change results: their records are not there any more. */
export async function clearDueTimes(tx: Tx, carrierId: string, names: readonly ResultName[]): Promise<void> {
  if (names.length === 0) return;
  const query = sql`
    UPDATE call_result r SET due_time = NULL FROM ${unnestNames(names)}
    WHERE r.carrier_id = ${carrierId} AND r.record_date = n.record_date AND r.record_id = n.record_id AND r.side = n.side`;
  await send(tx, query.compile(tx));
}

function unnestNames(names: readonly ResultName[]) {
  return sql`unnest(${int2Array(names.map(({ side }) => side))}::int2[], ${textArray(names.map(({ recordId }) => recordId))}::text[],
    ${dateArray(names.map(({ recordDate }) => recordDate))}::date[]) AS n(side, record_id, record_date)`;
}

interface StoredRow {
  side: number;
  record_id: string;
  record_date: string;
  revision: number;
  carrier_record_ids: string[];
  carrier_record_dates: string[];
  carrier_revisions: number[];
  start_time: Micros;
  call_date: string;
  status: number;
  causes: number;
  matched_by: number;
  pending_reason: number;
  is_open: boolean;
  is_merged: boolean;
  due_time: Micros | null;
  direction: number;
  phone_number: string | null;
  customer_id: string | null;
  trunk_id: string | null;
  call_id: string | null;
  other_number: string | null;
  other_country: string | null;
  platform_answered: boolean | null;
  carrier_answered: boolean | null;
  platform_ms: bigint | null;
  carrier_ms: bigint | null;
  billed_s: bigint | null;
  clock_trunk: string | null;
  clock_time: Micros | null;
  vote_ms: bigint | null;
  pair_key: bigint | null;
  correlation_key: bigint | null;
  result_hash: bigint;
  arrival_time: Micros;
  discrepancy_id: string | null;
  discrepancy_revision: number;
  first_seen_time: Micros | null;
  resolved_time: Micros | null;
  sequence: bigint | null;
  payload: Buffer | null;
}

function callResultRow(row: StoredRow): CallResultRow {
  return {
    side: row.side,
    recordId: row.record_id,
    recordDate: row.record_date,
    revision: row.revision,
    carrierRecords: row.carrier_record_ids.map((recordId, index) => ({
      recordId,
      recordDate: row.carrier_record_dates[index] ?? "",
      revision: row.carrier_revisions[index] ?? 0,
    })),
    startTime: row.start_time,
    callDate: row.call_date,
    status: row.status,
    causes: row.causes,
    matchedBy: row.matched_by,
    pendingReason: row.pending_reason,
    isOpen: row.is_open,
    isMerged: row.is_merged,
    dueTime: row.due_time,
    direction: row.direction,
    phoneNumber: row.phone_number,
    customerId: row.customer_id,
    trunkId: row.trunk_id,
    callId: row.call_id,
    otherNumber: row.other_number,
    otherCountry: row.other_country,
    platformAnswered: row.platform_answered,
    carrierAnswered: row.carrier_answered,
    platformMs: row.platform_ms,
    carrierMs: row.carrier_ms,
    billedS: row.billed_s,
    clockTrunk: row.clock_trunk,
    clockTime: row.clock_time,
    voteMs: row.vote_ms,
    pairKey: row.pair_key,
    correlationKey: row.correlation_key,
    resultHash: row.result_hash,
    arrivalTime: row.arrival_time,
    discrepancyId: row.discrepancy_id,
    discrepancyRevision: row.discrepancy_revision,
    firstSeenTime: row.first_seen_time,
    resolvedTime: row.resolved_time,
    sequence: row.sequence,
    payload: row.payload,
  };
}

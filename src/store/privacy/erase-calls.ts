import { type RawBuilder, sql } from "kysely";
import { ERASED_HASH } from "../../domain/privacy/erasure.ts";
import { CDR, DURATION, type RecordKind } from "../../domain/record-kind.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import {
  boolArray,
  byteaArray,
  dateArray,
  int4Array,
  int8Array,
  textArray,
  timestamptzArray,
} from "../database/binary-array.ts";
import { readInOrder, run, type Tx } from "../database/run.ts";
import { EntryKind } from "../records/record-rows.ts";
import { covers, isInForce } from "./holds.ts";

// The records of calls, as an erasure finds and rewrites them. In system transactions.

/** Names a record, in all its revisions. */
export interface RecordName {
  recordId: string;
  recordDate: string;
}

/** One revision of a record as it is stored. */
export interface StoredRecord extends RecordName {
  revision: number;
  sequence: bigint;
  ingestTime: Micros;
  startTime: Micros | undefined;
  phoneNumber: string | undefined;
  contentHash: bigint;
  payload: Buffer;
  /** The platform's only: more is to come. */
  isPartial: boolean;
  callId: string | undefined;
  dialogCallId: string | undefined;
  correlationId: string | undefined;
  network: Buffer | undefined;
  /** The last to end of the holds that are on it. */
  hold: HoldOn | undefined;
}

/** A hold that is in force. */
export interface HoldOn {
  holdId: string;
  endTime: Micros;
}

/** In which of a carrier's records a number is looked for. */
export interface RecordSearch {
  /** Every E.164 form of it. */
  readonly forms: readonly string[];
  /** Finds the payloads in which it may be. */
  readonly pattern: string;
  readonly start: Micros;
  readonly end: Micros;
}

/**
 * When the first record, or result, at or after an instant begins; undefined when there is none
 * before the end.
 */
export async function findNextStart(
  tx: Tx,
  of: RecordKind | "result",
  carrierId: string,
  { start, end }: Pick<RecordSearch, "start" | "end">,
): Promise<Micros | undefined> {
  const { records, start: column } = of === "result" ? { records: "call_result", start: "start_time" } : of;
  const { rows } = await run(tx)<{ first: Micros | undefined }>`
    SELECT min(${sql.ref(column)}) AS first FROM ${sql.table(records)}
    WHERE carrier_id = ${carrierId} AND ${inRange(sql.ref(column), { start, end })}`;
  return rows[0]?.first;
}

/**
 * Records that begin in a range, and in which a number may be: by start and sequence, after one of
 * them; at most `limit`.
 */
export async function findRecordsOf(
  tx: Tx,
  kind: RecordKind,
  carrierId: string,
  search: RecordSearch,
  page: { after: bigint; limit: number },
): Promise<(RecordName & { sequence: bigint })[]> {
  const { records, start } = kind;
  // OFFSET 0: by the index of the starts. That few have the number the planner does not know, and
  // would rather read all there is by sequence.
  const { rows } = await run(tx)<RecordName & { sequence: bigint }>`
    SELECT r.record_id, r.record_date, r.sequence FROM (
      SELECT * FROM ${sql.table(records)} r
      WHERE r.carrier_id = ${carrierId} AND ${inRange(sql.ref(`r.${start}`), search)} AND r.entry_kind <> ${EntryKind.ERASURE}
        AND r.sequence > ${page.after} OFFSET 0) r
    WHERE ${mayHold(kind, carrierId, search)}
    ORDER BY r.sequence LIMIT ${page.limit}`;
  return rows;
}

/**
 * Records without any start, such as VOIDs of what never came, of the days of a range; by sequence,
 * after one of them, at most `limit`.
 */
export async function findTimelessRecordsOf(
  tx: Tx,
  kind: RecordKind,
  carrierId: string,
  search: RecordSearch,
  page: { after: bigint; limit: number },
): Promise<(RecordName & { sequence: bigint })[]> {
  const { records, start } = kind;
  const { rows } = await run(tx)<RecordName & { sequence: bigint }>`
    SELECT r.record_id, r.record_date, r.sequence FROM (
      SELECT * FROM ${sql.table(records)} r
      WHERE r.carrier_id = ${carrierId} AND ${sql.ref(`r.${start}`)} IS NULL AND r.entry_kind = ${EntryKind.VOID}
        AND r.record_date >= (${isoFromMicros(search.start)}::timestamptz AT TIME ZONE 'UTC')::date
        AND r.record_date <= ((${isoFromMicros(search.end)}::timestamptz - interval '1 microsecond') AT TIME ZONE 'UTC')::date
        AND r.sequence > ${page.after} OFFSET 0) r
    WHERE ${mayHold(kind, carrierId, search)}
    ORDER BY r.sequence LIMIT ${page.limit}`;
  return rows;
}

// A number with separators in it is found as well; bytes that are no text come out as backslashes
// and digits, which find too much and never too little.
function mayHold(kind: RecordKind, carrierId: string, { forms, pattern }: RecordSearch): RawBuilder<unknown> {
  const agent =
    kind === DURATION
      ? sql``
      : sql`OR EXISTS (SELECT FROM cdr_network n WHERE n.carrier_id = ${carrierId} AND n.sequence = r.sequence AND n.ingest_time = r.ingest_time
          AND encode(n.payload, 'escape') ~ ${pattern} OFFSET 0)`;
  return sql`(r.phone_number = ANY(${textArray(forms)}::text[]) OR encode(r.payload, 'escape') ~ ${pattern} ${agent})`;
}

/** Every revision of records, as it is stored. */
export async function readRevisions(
  tx: Tx,
  kind: RecordKind,
  carrierId: string,
  names: readonly RecordName[],
  now: Micros,
): Promise<StoredRecord[]> {
  if (names.length === 0) return [];
  const { records, keys, start } = kind;
  const more =
    kind === CDR
      ? sql`r.partial AND r.revision = max(k.revision) OVER (PARTITION BY k.record_date, k.record_id) AS is_partial,
            r.call_id, r.dialog_call_id, r.correlation_id, n.payload AS network`
      : sql`false AS is_partial, NULL AS call_id, NULL AS dialog_call_id, NULL AS correlation_id, NULL::bytea AS network`;
  const network =
    kind === CDR
      ? sql`LEFT JOIN cdr_network n ON n.carrier_id = r.carrier_id AND n.sequence = r.sequence AND n.ingest_time = r.ingest_time`
      : sql``;
  const { rows } = await run(tx)<Omit<StoredRecord, "hold"> & HoldColumns>`
    SELECT k.record_id, k.record_date, k.revision, k.sequence, k.ingest_time, k.content_hash, ${sql.ref(`r.${start}`)} AS start_time,
      r.phone_number, r.payload, ${more}, held.hold_id, held.end_time AS hold_end
    FROM ${unnestNames(names)}
    JOIN ${sql.table(keys)} k ON k.carrier_id = ${carrierId} AND k.record_id = w.record_id AND k.record_date = w.record_date
    JOIN ${sql.table(records)} r ON r.carrier_id = k.carrier_id AND r.sequence = k.sequence AND r.ingest_time = k.ingest_time
    ${network} ${holdOn(carrierId, kind.side, start, now)}`;
  return rows.map(withHold);
}

/** Joins the last to end of the holds that are on a record `r` of a carrier, as `held`. */
export function holdOn(
  carrierId: string,
  side: RecordKind["side"],
  start: RecordKind["start"],
  now: Micros,
): RawBuilder<unknown> {
  return sql`LEFT JOIN LATERAL (
    SELECT o.hold_id, o.end_time FROM hold o
    WHERE o.carrier_id = ${carrierId} AND ${isInForce(now)} AND ${covers(carrierId, side, start)}
    ORDER BY o.end_time DESC, o.hold_id LIMIT 1) held ON true`;
}

/** A record of the platform's as it is to be stored. */
export interface RewrittenCdr extends StoredRecord {
  callingErased: boolean;
  calledErased: boolean;
}

/** Writes records of the platform's without the number. */
export async function rewriteCdrs(tx: Tx, carrierId: string, records: readonly RewrittenCdr[]): Promise<void> {
  if (records.length === 0) return;
  await run(tx)`
    UPDATE cdr_record r SET payload = w.payload, phone_number = w.phone_number, call_id = w.call_id, dialog_call_id = w.dialog_call_id,
      correlation_id = w.correlation_id, calling_number = CASE WHEN w.calling_erased THEN NULL ELSE r.calling_number END,
      called_number = CASE WHEN w.called_erased THEN NULL ELSE r.called_number END
    FROM unnest(${int8Array(records.map((r) => r.sequence))}::int8[], ${timestamptzArray(records.map((r) => r.ingestTime))}::timestamptz[],
      ${byteaArray(records.map((r) => r.payload))}::bytea[], ${textArray(records.map((r) => r.phoneNumber))}::text[],
      ${textArray(records.map((r) => r.callId))}::text[], ${textArray(records.map((r) => r.dialogCallId))}::text[],
      ${textArray(records.map((r) => r.correlationId))}::text[], ${boolArray(records.map((r) => r.callingErased))}::bool[],
      ${boolArray(records.map((r) => r.calledErased))}::bool[])
      AS w(sequence, ingest_time, payload, phone_number, call_id, dialog_call_id, correlation_id, calling_erased, called_erased)
    WHERE r.carrier_id = ${carrierId} AND r.sequence = w.sequence AND r.ingest_time = w.ingest_time`;
  const networks = records.flatMap(({ sequence, ingestTime, network }) =>
    network ? [{ sequence, ingestTime, payload: network }] : [],
  );
  if (networks.length > 0) await rewritePayloads(tx, "cdr_network", carrierId, networks);
  await eraseHashes(tx, CDR, carrierId, records);
}

/** Writes records of the carrier's without the number. */
export async function rewriteDurations(tx: Tx, carrierId: string, records: readonly StoredRecord[]): Promise<void> {
  if (records.length === 0) return;
  await rewritePayloads(tx, "duration_record", carrierId, records);
  await run(tx)`
    UPDATE duration_record r SET phone_number = w.phone_number
    FROM unnest(${int8Array(records.map((r) => r.sequence))}::int8[], ${timestamptzArray(records.map((r) => r.ingestTime))}::timestamptz[],
      ${textArray(records.map((r) => r.phoneNumber))}::text[]) AS w(sequence, ingest_time, phone_number)
    WHERE r.carrier_id = ${carrierId} AND r.sequence = w.sequence AND r.ingest_time = w.ingest_time
      AND r.phone_number IS DISTINCT FROM w.phone_number`;
  await eraseHashes(tx, DURATION, carrierId, records);
}

async function rewritePayloads(
  tx: Tx,
  table: "cdr_network" | "duration_record",
  carrierId: string,
  parts: readonly { sequence: bigint; ingestTime: Micros; payload: Buffer }[],
): Promise<void> {
  await run(tx)`
    UPDATE ${sql.table(table)} r SET payload = w.payload
    FROM unnest(${int8Array(parts.map((p) => p.sequence))}::int8[], ${timestamptzArray(parts.map((p) => p.ingestTime))}::timestamptz[],
      ${byteaArray(parts.map((p) => p.payload))}::bytea[]) AS w(sequence, ingest_time, payload)
    WHERE r.carrier_id = ${carrierId} AND r.sequence = w.sequence AND r.ingest_time = w.ingest_time`;
}

async function eraseHashes(
  tx: Tx,
  kind: RecordKind,
  carrierId: string,
  records: readonly (RecordName & { revision: number })[],
): Promise<void> {
  await run(tx)`
    UPDATE ${sql.table(kind.keys)} k SET content_hash = ${ERASED_HASH}, party_hash = ${ERASED_HASH}
    FROM unnest(${textArray(records.map((r) => r.recordId))}::text[], ${dateArray(records.map((r) => r.recordDate))}::date[],
      ${int4Array(records.map((r) => r.revision))}::int4[]) AS w(record_id, record_date, revision)
    WHERE k.carrier_id = ${carrierId} AND k.record_id = w.record_id AND k.record_date = w.record_date AND k.revision = w.revision`;
}

/** Appends an ERASURE entry to the feed of call detail records, under its lock. */
export async function insertCdrErasure(
  tx: Tx,
  carrierId: string,
  lock: { nextSequence: bigint; ingestTime: Micros },
  entry: { erasureId: string; payload: Buffer },
): Promise<void> {
  const time = sql`${isoFromMicros(lock.ingestTime)}::timestamptz`;
  await run(tx)`
    INSERT INTO cdr_record (carrier_id, sequence, ingest_time, record_id, record_date, revision, entry_kind, partial, direction, quality_verdict, payload)
    VALUES (${carrierId}, ${lock.nextSequence}, ${time}, ${entry.erasureId}, (${time} AT TIME ZONE 'UTC')::date, 0, ${EntryKind.ERASURE}, false, 0, 0,
      ${entry.payload})`;
}

/**
 * Takes the keyed hashes of records out of what uploads keep of their batches, page by page.
 * Returns where the page ended and how many went.
 */
export async function eraseBatchHashes(
  tx: Tx,
  carrierId: string,
  hashes: ReadonlySet<bigint>,
  page: { after: BatchPlace | undefined; limit: number },
): Promise<{ last: BatchPlace | undefined; erased: number }> {
  await readInOrder(tx);
  const after = page.after ?? { kind: 0, uploadId: "", firstOffset: -1n };
  const { rows } = await run(tx)<{ kind: number; uploadId: string; firstOffset: bigint; hashes: Buffer }>`
    SELECT kind, upload_id, first_offset, hashes FROM upload_batch
    WHERE carrier_id = ${carrierId} AND (kind, upload_id, first_offset) > (${after.kind}::int2, ${after.uploadId}::text, ${after.firstOffset}::int8)
    ORDER BY kind, upload_id, first_offset LIMIT ${page.limit}`;
  let erased = 0;
  for (const row of rows) {
    const found = zeroHashes(row.hashes, hashes);
    if (found === 0) continue;
    erased += found;
    await run(tx)`
      UPDATE upload_batch SET hashes = ${row.hashes} WHERE carrier_id = ${carrierId} AND kind = ${row.kind} AND upload_id = ${row.uploadId}
        AND first_offset = ${row.firstOffset}`;
  }
  const last = rows.length < page.limit ? undefined : rows.at(-1);
  return { last, erased };
}

/** Where a page of batches ended. */
export interface BatchPlace {
  kind: number;
  uploadId: string;
  firstOffset: bigint;
}

function zeroHashes(bytes: Buffer, hashes: ReadonlySet<bigint>): number {
  let erased = 0;
  for (let at = 0; at + 8 <= bytes.length; at += 8) {
    if (!hashes.has(bytes.readBigInt64BE(at))) continue;
    bytes.writeBigInt64BE(ERASED_HASH, at);
    erased++;
  }
  return erased;
}

/** The condition that an instant lies in `[start, end)`. */
export function inRange(column: RawBuilder<unknown>, { start, end }: { start: Micros; end: Micros }) {
  return sql`${column} >= ${isoFromMicros(start)}::timestamptz AND ${column} < ${isoFromMicros(end)}::timestamptz`;
}

function unnestNames(names: readonly RecordName[]) {
  return sql`unnest(${textArray(names.map((name) => name.recordId))}::text[], ${dateArray(names.map((name) => name.recordDate))}::date[])
    AS w(record_id, record_date)`;
}

/** The columns of a hold that `holdOn` joined. */
export interface HoldColumns {
  holdId: string | undefined;
  holdEnd: Micros | undefined;
}

/** A row with the hold that `holdOn` joined. */
export function withHold<Row extends HoldColumns>({ holdId, holdEnd, ...row }: Row) {
  return { ...row, hold: holdId === undefined || holdEnd === undefined ? undefined : { holdId, endTime: holdEnd } };
}

import { sql } from "kysely";
import type { JudgedRecord } from "../../domain/calls/judge.ts";
import { ERASED_HASH } from "../../domain/privacy/erasure.ts";
import { CDR, DURATION, type RecordKind } from "../../domain/record-kind.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import type { Verdict } from "../../gen/tandem/type/v1/upload_pb.js";
import {
  boolArray,
  byteaArray,
  dateArray,
  float8Array,
  int2Array,
  int4Array,
  int8Array,
  textArray,
  timestamptzArray,
} from "../database/binary-array.ts";
import { insertAll, run, type Tx, together } from "../database/run.ts";
import type { RejectRow } from "./rejects.ts";

/** What an entry of a feed of records is. */
export const EntryKind = { REPORT: 1, VOID: 2, ERASURE: 3 } as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

/** The columns of duration_record, besides identity, position and attribution. */
export interface DurationRow {
  entryKind: number;
  startTime: Micros | null;
  direction: number;
  connectedDurationMs: bigint | null;
  trunkId: string | null;
  /** Of a numbered part of a split call. */
  partIndex: number | null;
  payload: Uint8Array;
}

/**
 * The columns of cdr_record, besides identity, position and attribution, and the parts that are
 * stored apart.
 */
export interface CdrRow {
  entryKind: number;
  partial: boolean;
  callId: string | null;
  inviteTime: Micros | null;
  direction: number;
  trunkId: string | null;
  dialogCallId: string | null;
  correlationId: string | null;
  codec: string | null;
  callingNumber: string | null;
  calledNumber: string | null;
  answered: boolean | null;
  networkEffective: boolean | null;
  setupDurationMs: bigint | null;
  connectedDurationMs: bigint | null;
  qualityVerdict: number;
  payload: Uint8Array;
  quality: QualityRow | undefined;
  network: { payload: Uint8Array } | undefined;
}

/** The columns of cdr_quality, besides position. */
export interface QualityRow {
  mosLq: number | null;
  mosCq: number | null;
  classifiedStreams: number;
  poorStreams: number;
  reasons: readonly number[];
  payload: Uint8Array;
}

export type RecordRow = DurationRow | CdrRow;

/**
 * One record, ready to be judged and stored: what the upload's edge makes of a message, and whose
 * number it is.
 */
export interface AppendRecord extends Readonly<JudgedRecord> {
  /** As sent, for the control totals. */
  readonly connectedDurationMs: bigint;
  /** Whether there is something to be told of it though it is accepted. */
  readonly warned: boolean;
  readonly startTime: Micros | undefined;
  /**
   * The number and customer that the call belongs to; absent when none fits. The number is empty
   * when it was erased.
   */
  readonly attribution: { phoneNumber: string; customerId: string; basis: number } | undefined;
  /** E.164 numbers that could decide the attribution, for a later try. */
  readonly numbers: readonly string[];
  /** The columns and encoded parts; absent when refused. */
  readonly row: RecordRow | undefined;
  /** The whole normalised record, encoded, as quarantine keeps it. */
  encoded: () => Uint8Array;
  /**
   * Of a record of which something was erased as it arrived, by which erasures: its hashes are not
   * kept.
   */
  readonly erasedBy?: readonly string[];
}

/** One batch of one upload, its records attributed. */
export interface AppendBatch {
  uploadId: string;
  writerEpoch: bigint;
  firstOffset: bigint;
  records: readonly AppendRecord[];
  /** What is to be kept of a record that is not plainly accepted. */
  describe: (index: number, verdict: Verdict, issue: number) => RejectRow;
}

/** The hash to keep of a record: none of one that something was erased of. */
export function keptHash(record: AppendRecord, hash: bigint): bigint {
  return record.erasedBy === undefined ? hash : ERASED_HASH;
}

/** The identities of records as binary arrays, which more than one statement takes. */
interface IdentityColumns {
  recordIds: Buffer;
  recordDates: Buffer;
  revisions: Buffer;
}

interface Lock {
  nextSequence: bigint;
  ingestTime: Micros;
}

/**
 * Inserts accepted records with the sequences from `lock.nextSequence` on, their keys first: the
 * unique key is the backstop.
 */
export async function insertAccepted(
  tx: Tx,
  carrierId: string,
  kind: RecordKind,
  lock: { nextSequence: bigint; ingestTime: Micros },
  records: readonly AppendRecord[],
): Promise<void> {
  if (records.length === 0) return;
  const identity = {
    recordIds: textArray(records.map((r) => r.recordId)),
    recordDates: dateArray(records.map((r) => r.recordDate)),
    revisions: int4Array(records.map((r) => r.revision)),
  };
  const keys = sql`
    INSERT INTO ${sql.table(kind.keys)} (carrier_id, record_id, record_date, revision, content_hash, party_hash, sequence, ingest_time)
    SELECT c.carrier_id, unnest(${identity.recordIds}::text[]), unnest(${identity.recordDates}::date[]), unnest(${identity.revisions}::int4[]),
           unnest(${int8Array(records.map((r) => keptHash(r, r.contentHash)))}::int8[]), unnest(${int8Array(records.map((r) => keptHash(r, r.partyHash)))}::int8[]),
           generate_series(${lock.nextSequence}::int8, ${lock.nextSequence + BigInt(records.length - 1)}::int8),
           ${isoFromMicros(lock.ingestTime)}::timestamptz
    FROM carrier c WHERE c.carrier_id = ${carrierId}`;
  const insertRows = kind === CDR ? insertCdrRows : insertDurationRows;
  await together([insertAll(tx, keys, records.length), insertRows(tx, carrierId, lock, records, identity)]);
}

/**
 * Inserts durations with the sequences from `lock.nextSequence` on. Columns go as binary arrays:
 * see bench/RESULTS.md for the strategies compared.
 */
async function insertDurationRows(
  tx: Tx,
  carrierId: string,
  lock: Lock,
  records: readonly AppendRecord[],
  identity: IdentityColumns,
): Promise<void> {
  const rows = records.map((record) => record.row as DurationRow);
  // Hardly any record is a part, and a column costs something for each of them.
  const hasParts = rows.some((row) => row.partIndex !== null);
  const parts = hasParts ? sql`, unnest(${int4Array(rows.map((r) => r.partIndex))}::int4[])` : sql``;
  const query = sql`
    INSERT INTO duration_record (carrier_id, sequence, ingest_time, record_id, record_date, revision, entry_kind, start_time, direction,
      phone_number, customer_id, trunk_id, connected_duration_ms, payload${hasParts ? sql`, part_index` : sql``})
    SELECT c.carrier_id, generate_series(${lock.nextSequence}::int8, ${lock.nextSequence + BigInt(records.length - 1)}::int8),
      ${isoFromMicros(lock.ingestTime)}::timestamptz, unnest(${identity.recordIds}::text[]), unnest(${identity.recordDates}::date[]),
      unnest(${identity.revisions}::int4[]), unnest(${int2Array(rows.map((r) => r.entryKind))}::int2[]),
      unnest(${timestamptzArray(rows.map((r) => r.startTime))}::timestamptz[]), unnest(${int2Array(rows.map((r) => r.direction))}::int2[]),
      unnest(${textArray(records.map((r) => r.attribution?.phoneNumber || null))}::text[]),
      unnest(${textArray(records.map((r) => r.attribution?.customerId ?? null))}::text[]),
      unnest(${textArray(rows.map((r) => r.trunkId))}::text[]), unnest(${int8Array(rows.map((r) => r.connectedDurationMs))}::int8[]),
      unnest(${byteaArray(rows.map((r) => r.payload))}::bytea[])${parts}
    FROM carrier c WHERE c.carrier_id = ${carrierId}`;
  const hasVoid = rows.some((row) => row.entryKind === EntryKind.VOID);
  await together([
    insertAll(tx, query, records.length),
    ...(hasVoid ? [inheritVoidedDuration(tx, carrierId, lock, records.length)] : []),
  ]);
}

/** Inserts call detail records and their parts with the sequences from `lock.nextSequence` on. */
async function insertCdrRows(
  tx: Tx,
  carrierId: string,
  lock: Lock,
  records: readonly AppendRecord[],
  identity: IdentityColumns,
): Promise<void> {
  const rows = records.map((record) => record.row as CdrRow);
  const query = sql`
    INSERT INTO cdr_record (carrier_id, sequence, ingest_time, record_id, record_date, revision, entry_kind, partial, call_id, invite_time,
      direction, phone_number, customer_id, trunk_id, dialog_call_id, correlation_id, codec, calling_number, called_number, answered,
      network_effective, setup_duration_ms, connected_duration_ms, quality_verdict, payload)
    SELECT c.carrier_id, ${lock.nextSequence}::int8 + r.position - 1, ${isoFromMicros(lock.ingestTime)}::timestamptz, r.record_id, r.record_date,
      r.revision, r.entry_kind, r.partial, r.call_id, r.invite_time, r.direction, r.phone_number, r.customer_id, r.trunk_id, r.dialog_call_id,
      r.correlation_id, r.codec, r.calling_number, r.called_number, r.answered, r.network_effective, r.setup_duration_ms,
      r.connected_duration_ms, r.quality_verdict, r.payload
    FROM carrier c CROSS JOIN unnest(${identity.recordIds}::text[], ${identity.recordDates}::date[],
      ${identity.revisions}::int4[], ${int2Array(rows.map((r) => r.entryKind))}::int2[],
      ${boolArray(rows.map((r) => r.partial))}::bool[], ${textArray(rows.map((r) => r.callId))}::text[],
      ${timestamptzArray(rows.map((r) => r.inviteTime))}::timestamptz[], ${int2Array(rows.map((r) => r.direction))}::int2[],
      ${textArray(records.map((r) => r.attribution?.phoneNumber || null))}::text[],
      ${textArray(records.map((r) => r.attribution?.customerId ?? null))}::text[], ${textArray(rows.map((r) => r.trunkId))}::text[],
      ${textArray(rows.map((r) => r.dialogCallId))}::text[], ${textArray(rows.map((r) => r.correlationId))}::text[],
      ${textArray(rows.map((r) => r.codec))}::text[], ${textArray(rows.map((r) => r.callingNumber))}::text[],
      ${textArray(rows.map((r) => r.calledNumber))}::text[], ${boolArray(rows.map((r) => r.answered))}::bool[],
      ${boolArray(rows.map((r) => r.networkEffective))}::bool[], ${int8Array(rows.map((r) => r.setupDurationMs))}::int8[],
      ${int8Array(rows.map((r) => r.connectedDurationMs))}::int8[], ${int2Array(rows.map((r) => r.qualityVerdict))}::int2[],
      ${byteaArray(rows.map((r) => r.payload))}::bytea[])
      WITH ORDINALITY AS r(record_id, record_date, revision, entry_kind, partial, call_id, invite_time, direction, phone_number, customer_id,
        trunk_id, dialog_call_id, correlation_id, codec, calling_number, called_number, answered, network_effective, setup_duration_ms,
        connected_duration_ms, quality_verdict, payload, position)
    WHERE c.carrier_id = ${carrierId}`;
  const hasVoid = rows.some((row) => row.entryKind === EntryKind.VOID);
  await together([
    insertAll(tx, query, records.length),
    insertQuality(tx, carrierId, lock, rows),
    insertNetwork(tx, carrierId, lock, rows),
    ...(hasVoid ? [inheritVoided(tx, carrierId, lock, records.length)] : []),
  ]);
}

async function insertQuality(tx: Tx, carrierId: string, lock: Lock, rows: readonly CdrRow[]): Promise<void> {
  const parts = rows.flatMap((row, index) =>
    row.quality ? [{ ...row.quality, sequence: lock.nextSequence + BigInt(index) }] : [],
  );
  if (parts.length === 0) return;
  const query = sql`
    INSERT INTO cdr_quality (carrier_id, sequence, ingest_time, mos_lq, mos_cq, classified_streams, poor_streams, reasons, payload)
    SELECT c.carrier_id, q.sequence, ${isoFromMicros(lock.ingestTime)}::timestamptz, q.mos_lq, q.mos_cq, q.classified_streams, q.poor_streams,
      q.reasons::int2[], q.payload
    FROM carrier c CROSS JOIN unnest(${int8Array(parts.map((p) => p.sequence))}::int8[], ${float8Array(parts.map((p) => p.mosLq))}::float8[],
      ${float8Array(parts.map((p) => p.mosCq))}::float8[], ${int4Array(parts.map((p) => p.classifiedStreams))}::int4[],
      ${int4Array(parts.map((p) => p.poorStreams))}::int4[], ${textArray(parts.map((p) => `{${p.reasons.join(",")}}`))}::text[],
      ${byteaArray(parts.map((p) => p.payload))}::bytea[])
      AS q(sequence, mos_lq, mos_cq, classified_streams, poor_streams, reasons, payload)
    WHERE c.carrier_id = ${carrierId}`;
  await insertAll(tx, query, parts.length);
}

async function insertNetwork(tx: Tx, carrierId: string, lock: Lock, rows: readonly CdrRow[]): Promise<void> {
  const parts = rows.flatMap((row, index) =>
    row.network ? [{ ...row.network, sequence: lock.nextSequence + BigInt(index) }] : [],
  );
  if (parts.length === 0) return;
  const query = sql`
    INSERT INTO cdr_network (carrier_id, sequence, ingest_time, payload)
    SELECT c.carrier_id, n.sequence, ${isoFromMicros(lock.ingestTime)}::timestamptz, n.payload
    FROM carrier c CROSS JOIN unnest(${int8Array(parts.map((p) => p.sequence))}::int8[], ${byteaArray(parts.map((p) => p.payload))}::bytea[])
      AS n(sequence, payload)
    WHERE c.carrier_id = ${carrierId}`;
  await insertAll(tx, query, parts.length);
}

// A VOID may name only an identity: its start and its number are those of the revision that it
// takes back, where calls are looked for by time.
async function inheritVoidedDuration(tx: Tx, carrierId: string, lock: Lock, count: number): Promise<void> {
  await run(tx)`
    UPDATE duration_record v SET start_time = COALESCE(p.start_time, v.start_time), direction = p.direction,
      phone_number = COALESCE(p.phone_number, v.phone_number), customer_id = COALESCE(p.customer_id, v.customer_id),
      trunk_id = COALESCE(p.trunk_id, v.trunk_id), part_index = p.part_index
    FROM (${revisionsTakenBack(DURATION, carrierId, lock, count)}) p
    WHERE v.carrier_id = ${carrierId} AND v.sequence = p.void_sequence AND v.ingest_time = ${isoFromMicros(lock.ingestTime)}::timestamptz`;
}

// The newest revision below each VOID of this transaction.
function revisionsTakenBack(kind: RecordKind, carrierId: string, lock: Lock, count: number) {
  const record = sql.table(kind.records);
  return sql`
    SELECT DISTINCT ON (void.sequence) void.sequence AS void_sequence, prior.*
    FROM ${record} void
    JOIN ${sql.table(kind.keys)} k ON k.carrier_id = void.carrier_id AND k.record_id = void.record_id AND k.record_date = void.record_date
      AND k.revision < void.revision
    JOIN ${record} prior ON prior.carrier_id = k.carrier_id AND prior.sequence = k.sequence AND prior.ingest_time = k.ingest_time
    WHERE void.carrier_id = ${carrierId} AND void.entry_kind = ${EntryKind.VOID}
      AND void.ingest_time = ${isoFromMicros(lock.ingestTime)}::timestamptz
      AND void.sequence >= ${lock.nextSequence} AND void.sequence < ${lock.nextSequence + BigInt(count)}
    ORDER BY void.sequence, k.revision DESC`;
}

// A VOID may name only an identity: whatever it says itself, it takes what filters ask for from the
// revision that it takes back, so that whoever saw that sees this too.
async function inheritVoided(tx: Tx, carrierId: string, lock: Lock, count: number): Promise<void> {
  await run(tx)`
    UPDATE cdr_record v SET call_id = COALESCE(p.call_id, v.call_id), invite_time = COALESCE(p.invite_time, v.invite_time),
      direction = p.direction, phone_number = COALESCE(p.phone_number, v.phone_number), customer_id = COALESCE(p.customer_id, v.customer_id),
      trunk_id = COALESCE(p.trunk_id, v.trunk_id), dialog_call_id = COALESCE(p.dialog_call_id, v.dialog_call_id),
      correlation_id = COALESCE(p.correlation_id, v.correlation_id), quality_verdict = p.quality_verdict
    FROM (${revisionsTakenBack(CDR, carrierId, lock, count)}) p
    WHERE v.carrier_id = ${carrierId} AND v.sequence = p.void_sequence AND v.ingest_time = ${isoFromMicros(lock.ingestTime)}::timestamptz`;
}

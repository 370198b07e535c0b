import { type RawBuilder, sql } from "kysely";
import { ERASED_HASH } from "../../domain/privacy/erasure.ts";
import { CDR, DURATION, type RecordKind } from "../../domain/record-kind.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { textArray } from "../database/binary-array.ts";
import { dayOf, inRange, readInOrder, readRows, readValue, run, type Tx, unnest } from "../database/run.ts";
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
  kind: RecordKind;
  revision: number;
  sequence: bigint;
  ingestTime: Micros;
  startTime: Micros | undefined;
  phoneNumber: string | undefined;
  contentHash: bigint;
  payload: Buffer;
  /** The platform's only: more revisions are to come. */
  isPartial: boolean;
  callId: string | undefined;
  dialogCallId: string | undefined;
  correlationId: string | undefined;
  network: Buffer | undefined;
  /** The hold on it that ends last. */
  hold: HoldOn | undefined;
}

export interface HoldOn {
  holdId: string;
  endTime: Micros;
}

/** Where a number is looked for in a carrier's records. */
export interface RecordSearch {
  /** Every E.164 form of it. */
  readonly forms: readonly string[];
  /** Finds the payloads in which it may be. */
  readonly pattern: string;
  readonly start: Micros;
  readonly end: Micros;
}

/** When the first record or result of a range begins; undefined: there is none. */
export function findNextStart(
  tx: Tx,
  of: RecordKind | "result",
  carrierId: string,
  { start, end }: Pick<RecordSearch, "start" | "end">,
): Promise<Micros | undefined> {
  const { records, start: column } = of === "result" ? { records: "call_result", start: "start_time" } : of;
  return readValue(tx)<Micros | undefined>`
    SELECT min(${sql.ref(column)}) AS first FROM ${sql.table(records)}
    WHERE carrier_id = ${carrierId} AND ${inRange(sql.ref(column), { start, end })}`;
}

export type FoundRecord = RecordName & { sequence: bigint };

/**
 * Finds records of a range in which a number may be, by sequence.
 * @param page `areTimeless`: those without a start, such as VOIDs of what never came, by their day.
 */
export function findRecordsOf(
  tx: Tx,
  kind: RecordKind,
  carrierId: string,
  search: RecordSearch,
  page: { after: FoundRecord | undefined; limit: number; areTimeless: boolean },
): Promise<FoundRecord[]> {
  const start = sql.ref(`r.${kind.start}`);
  const isIn = page.areTimeless
    ? sql`${start} IS NULL AND r.entry_kind = ${EntryKind.VOID}
        AND r.record_date >= ${dayOf(search.start)} AND r.record_date <= ${dayOf(search.end - 1n)}`
    : sql`${inRange(start, search)} AND r.entry_kind <> ${EntryKind.ERASURE}`;
  // OFFSET 0: the planner does not know how few records have the number, and would read all of them
  // by sequence instead of by the index of starts.
  return readRows(tx)<FoundRecord>`
    SELECT r.record_id, r.record_date, r.sequence FROM (
      SELECT * FROM ${sql.table(kind.records)} r
      WHERE r.carrier_id = ${carrierId} AND ${isIn} AND r.sequence > ${page.after?.sequence ?? 0n} OFFSET 0) r
    WHERE ${mayHold(kind, carrierId, search)}
    ORDER BY r.sequence LIMIT ${page.limit}`;
}

// Finds numbers with separators too. Binary bytes appear as backslashes and digits, which may find
// too much but never too little.
function mayHold(kind: RecordKind, carrierId: string, { forms, pattern }: RecordSearch): RawBuilder<unknown> {
  const agent =
    kind === DURATION
      ? sql``
      : sql`OR EXISTS (SELECT FROM cdr_network n WHERE n.carrier_id = ${carrierId} AND n.sequence = r.sequence AND n.ingest_time = r.ingest_time
          AND encode(n.payload, 'escape') ~ ${pattern} OFFSET 0)`;
  return sql`(r.phone_number = ANY(${textArray(forms)}::text[]) OR encode(r.payload, 'escape') ~ ${pattern} ${agent})`;
}

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
  const rows = await readRows(tx)<Omit<StoredRecord, "hold" | "kind"> & HoldColumns>`
    SELECT k.record_id, k.record_date, k.revision, k.sequence, k.ingest_time, k.content_hash, ${sql.ref(`r.${start}`)} AS start_time,
      r.phone_number, r.payload, ${more}, held.hold_id, held.end_time AS hold_end
    FROM ${unnest("w", names, { recordId: "text", recordDate: "date" })}
    JOIN ${sql.table(keys)} k ON k.carrier_id = ${carrierId} AND k.record_id = w.record_id AND k.record_date = w.record_date
    JOIN ${sql.table(records)} r ON r.carrier_id = k.carrier_id AND r.sequence = k.sequence AND r.ingest_time = k.ingest_time
    ${network} ${holdOn(carrierId, kind.side, start, now)}`;
  return rows.map((row) => ({ ...withHold(row), kind }));
}

/** Joins the hold on a carrier's record `r` that ends last, as `held`. */
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

/** A record as it is to be stored. */
export interface RewrittenRecord extends StoredRecord {
  callingErased: boolean;
  calledErased: boolean;
}

export async function rewriteCdrs(tx: Tx, carrierId: string, records: readonly RewrittenRecord[]): Promise<void> {
  if (records.length === 0) return;
  const written = unnest("w", records, {
    ...({
      sequence: "int8",
      ingestTime: "timestamptz",
      payload: "bytea",
      phoneNumber: "text",
      callId: "text",
    } as const),
    ...({ dialogCallId: "text", correlationId: "text", callingErased: "bool", calledErased: "bool" } as const),
  });
  await run(tx)`
    UPDATE cdr_record r SET payload = w.payload, phone_number = w.phone_number, call_id = w.call_id, dialog_call_id = w.dialog_call_id,
      correlation_id = w.correlation_id, calling_number = CASE WHEN w.calling_erased THEN NULL ELSE r.calling_number END,
      called_number = CASE WHEN w.called_erased THEN NULL ELSE r.called_number END
    FROM ${written}
    WHERE r.carrier_id = ${carrierId} AND r.sequence = w.sequence AND r.ingest_time = w.ingest_time`;
  const networks = records.flatMap(({ sequence, ingestTime, network }) =>
    network ? [{ sequence, ingestTime, payload: network }] : [],
  );
  if (networks.length > 0) await rewritePayloads(tx, "cdr_network", carrierId, networks);
  await eraseHashes(tx, CDR, carrierId, records);
}

export async function rewriteDurations(tx: Tx, carrierId: string, records: readonly StoredRecord[]): Promise<void> {
  if (records.length === 0) return;
  await rewritePayloads(tx, "duration_record", carrierId, records);
  await run(tx)`
    UPDATE duration_record r SET phone_number = w.phone_number
    FROM ${unnest("w", records, { sequence: "int8", ingestTime: "timestamptz", phoneNumber: "text" })}
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
    FROM ${unnest("w", parts, { sequence: "int8", ingestTime: "timestamptz", payload: "bytea" })}
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
    FROM ${unnest("w", records, { recordId: "text", recordDate: "date", revision: "int4" })}
    WHERE k.carrier_id = ${carrierId} AND k.record_id = w.record_id AND k.record_date = w.record_date AND k.revision = w.revision`;
}

/** A batch of an upload, with eight bytes of keyed hash for each record. */
export interface UploadBatch {
  kind: number;
  uploadId: string;
  firstOffset: bigint;
  hashes: Buffer;
}

export async function findBatches(
  tx: Tx,
  carrierId: string,
  page: { after: UploadBatch | undefined; limit: number },
): Promise<UploadBatch[]> {
  await readInOrder(tx);
  const { kind, uploadId, firstOffset } = page.after ?? { kind: 0, uploadId: "", firstOffset: -1n };
  return readRows(tx)<UploadBatch>`
    SELECT kind, upload_id, first_offset, hashes FROM upload_batch
    WHERE carrier_id = ${carrierId} AND (kind, upload_id, first_offset) > (${kind}::int2, ${uploadId}::text, ${firstOffset}::int8)
    ORDER BY kind, upload_id, first_offset LIMIT ${page.limit}`;
}

export async function rewriteBatch(tx: Tx, carrierId: string, batch: UploadBatch): Promise<void> {
  await run(tx)`
    UPDATE upload_batch SET hashes = ${batch.hashes}
    WHERE carrier_id = ${carrierId} AND kind = ${batch.kind} AND upload_id = ${batch.uploadId} AND first_offset = ${batch.firstOffset}`;
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

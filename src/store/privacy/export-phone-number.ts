import { type RawBuilder, sql } from "kysely";
import { CDR, DURATION, PLATFORM_SIDE, type RecordKind } from "../../domain/record-kind.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { instant, readRows, type Tx, unnest } from "../database/run.ts";
import { joinParts, type StoredCdr } from "../records/cdrs.ts";
import type { StoredDuration } from "../records/durations.ts";
import { recordAt } from "../records/record-at.ts";
import { EntryKind } from "../records/record-rows.ts";

// No index has every party's number in every spelling. So records of the period are scanned, and
// those whose bytes may hold the number are read.

/** How many rows one statement looks through. */
export const SCANNED = 5_000;
/** How far apart clocks may put a call's two starts: 14 h, as clock offsets go, and more. */
const PAIRING_HOURS = 15;

export interface PhoneNumberSearch {
  readonly carrierId: string;
  /** Calls that began in [start, end). */
  readonly start: Micros;
  readonly end: Micros;
  /** Every E.164 form of it. */
  readonly forms: readonly string[];
  /** Finds the bytes of the number in PostgreSQL's `escape` format. */
  readonly pattern: string;
}

export interface ScanPlace {
  readonly time: Micros;
  readonly sequence: bigint;
}

/** What a scan found, and where the next begins; undefined: nothing is left. */
export interface Scan {
  readonly hits: readonly Hit[];
  readonly next: ScanPlace | undefined;
}

/** A record that may be of the number. */
export interface Hit {
  readonly sequence: bigint;
  readonly ingestTime: Micros;
}

/** A record that may be of the number, with what decides whether it may be given. */
export interface FoundRecord {
  /** The newest revision that reports the call, by which it is judged. */
  readonly reported: StoredCdr & StoredDuration;
  /** The highest revision: the same, or a VOID. */
  readonly newest: StoredCdr & StoredDuration;
  /** The other side's records of the call, by reconciliation. */
  readonly counterparts: readonly Buffer[];
}

/** The newest sequences of a carrier's feeds of records: who sees one sees all before it. */
export async function readRecordHeads(tx: Tx, carrierId: string): Promise<(kind: RecordKind) => bigint> {
  const rows = await readRows(tx)<{ feed: number; head: bigint }>`
    SELECT feed, next_sequence - 1 AS head FROM feed_head
    WHERE carrier_id = ${carrierId} AND feed IN (${CDR.feed}, ${DURATION.feed})`;
  return ({ feed }) => rows.find((row) => row.feed === feed)?.head ?? 0n;
}

/** Looks through the records of one kind up to a sequence, by start. */
export function scanRecords(
  tx: Tx,
  search: PhoneNumberSearch,
  kind: RecordKind,
  head: bigint,
  after: ScanPlace | undefined,
): Promise<Scan> {
  const where = sql`r.sequence <= ${head}::int8 AND r.entry_kind <> ${EntryKind.ERASURE}`;
  return scan(tx, search, { table: kind.records, time: sql.ref(`r.${kind.start}`), where }, after);
}

/** Looks through rows of a table that begin in the period, by start. */
export async function scan(
  tx: Tx,
  search: PhoneNumberSearch,
  { table, time, where }: { table: string; time: RawBuilder<unknown>; where: RawBuilder<unknown> },
  after: ScanPlace | undefined,
): Promise<Scan> {
  const { carrierId, start, end } = search;
  const from = after ?? { time: start, sequence: -1n };
  const rows = await readRows(tx)<Hit & { time: Micros; isHit: boolean; position: bigint }>`
    SELECT s.* FROM (
      SELECT r.sequence, r.ingest_time, ${time} AS time, ${mayHold(sql`r.payload`, search)} AS is_hit,
        row_number() OVER (ORDER BY ${time}, r.sequence) AS position
      FROM ${sql.table(table)} r
      WHERE r.carrier_id = ${carrierId} AND ${time} >= ${instant(from.time)} AND ${time} < ${instant(end)}
        AND (${time}, r.sequence) > (${instant(from.time)}, ${from.sequence}::int8) AND ${where}
      ORDER BY ${time}, r.sequence LIMIT ${SCANNED}) s
    WHERE s.is_hit OR s.position = ${SCANNED} ORDER BY s.position`;
  const last = rows.at(-1);
  return {
    hits: rows.filter((row) => row.isHit),
    next: last?.position === BigInt(SCANNED) ? { time: last.time, sequence: last.sequence } : undefined,
  };
}

/** Reads the records of hits, each record once. */
export async function readFound(
  tx: Tx,
  kind: RecordKind,
  { carrierId, hits, head, withNetwork }: FoundHits & { readonly head: bigint },
): Promise<FoundRecord[]> {
  if (hits.length === 0) return [];
  const start = sql.ref(`r.${kind.start}`);
  const parts = kind === CDR ? sql`q.payload AS quality, ${withNetwork ? sql`n.payload` : NONE} AS network` : NO_PARTS;
  const rows = await readRows(tx)<FoundRow>`
    SELECT r.sequence, r.ingest_time, r.entry_kind, r.record_id, ${start} AS start_time, r.customer_id, r.payload, ${parts},
      newest.sequence AS newest_sequence, newest.ingest_time AS newest_ingest_time, newest.payload AS newest_payload,
      ${counterpartsOf(kind, carrierId)} AS counterparts
    FROM ${found(kind, carrierId, hits, head)} ${kind === CDR ? joinParts(carrierId, withNetwork) : sql``}
    ORDER BY ${start}, r.sequence`;
  return rows.map((row) => foundRecord(carrierId, row));
}

/** What is read of a carrier's hits. */
export interface FoundHits {
  readonly carrierId: string;
  readonly hits: readonly Hit[];
  /** Whether network identifiers may be given. */
  readonly withNetwork: boolean;
}

const NONE = sql`NULL::bytea`;
const NO_PARTS = sql`NULL::bytea AS quality, NULL::bytea AS network`;

/** The condition that bytes may hold the number. */
export function mayHold(payload: RawBuilder<unknown>, { pattern }: PhoneNumberSearch): RawBuilder<boolean> {
  return sql<boolean>`(encode(${payload}, 'escape') ~ ${pattern})`;
}

// Of each record the newest revision that reports the call (else the newest), because an older one
// may name a party that a correction removed; and the highest revision, perhaps a VOID.
function found(kind: RecordKind, carrierId: string, hits: readonly Hit[], head: bigint): RawBuilder<unknown> {
  const [record, key] = [sql.table(kind.records), sql.table(kind.keys)];
  // OFFSET 0: each step looks up by key what the step before found, whatever the planner believes.
  const revisions = sql`(SELECT * FROM ${key} k
        WHERE k.carrier_id = ${carrierId} AND k.record_id = r.record_id AND k.record_date = r.record_date AND k.sequence <= ${head}::int8 OFFSET 0) k
      CROSS JOIN LATERAL (${recordAt(record, carrierId, "k")}) v`;
  return sql`${unnest("hit", hits, { sequence: "int8", ingestTime: "timestamptz" })}
    JOIN LATERAL (${recordAt(record, carrierId, "hit")}) r ON NOT EXISTS (SELECT FROM ${revisions}
        WHERE v.entry_kind < r.entry_kind OR (v.entry_kind = r.entry_kind AND k.revision > r.revision) OFFSET 0)
    LEFT JOIN LATERAL (SELECT v.sequence, v.ingest_time, v.payload FROM ${revisions} ORDER BY k.revision DESC LIMIT 1) newest ON true`;
}

/** The other side's records of the call of a record `r`. */
export function counterpartsOf(kind: RecordKind, carrierId: string): RawBuilder<unknown> {
  return kind === CDR ? counterpartsOfCdr(carrierId) : counterpartsOfDuration(carrierId);
}

function counterpartsOfCdr(carrierId: string): RawBuilder<unknown> {
  return sql`(
    SELECT array_agg(d.payload) FROM call_result c
    CROSS JOIN LATERAL unnest(c.carrier_record_ids, c.carrier_record_dates, c.carrier_revisions) AS part(record_id, record_date, revision)
    CROSS JOIN LATERAL (${payloadsOf(DURATION, carrierId, sql`part`)}) d
    WHERE c.carrier_id = ${carrierId} AND c.record_date = r.record_date AND c.record_id = r.record_id AND c.side = ${sql.lit(PLATFORM_SIDE)})`;
}

function counterpartsOfDuration(carrierId: string): RawBuilder<unknown> {
  const hours = sql`make_interval(hours => ${sql.lit(PAIRING_HOURS)})`;
  // By the number, not by the carrier's calls of that time, which the planner takes for few. Naming
  // both columns once more makes the right index the cheapest.
  return sql`(
    SELECT array_agg(p.payload) FROM (
      SELECT * FROM call_result c
      WHERE c.carrier_id = ${carrierId} AND c.phone_number = r.phone_number
        AND c.start_time >= r.start_time - ${hours} AND c.start_time <= r.start_time + ${hours}
        AND (c.phone_number, c.start_time) >= (r.phone_number, r.start_time - ${hours})
        AND (c.phone_number, c.start_time) <= (r.phone_number, r.start_time + ${hours}) OFFSET 0) c
    CROSS JOIN LATERAL (${payloadsOf(CDR, carrierId, sql`c`)}) p
    WHERE c.side = ${sql.lit(PLATFORM_SIDE)} AND (r.record_id, r.record_date) IN (SELECT * FROM unnest(c.carrier_record_ids, c.carrier_record_dates)))`;
}

/** The bytes of one revision of a record, from the feed or a hold. */
export function payloadsOf(kind: RecordKind, carrierId: string, name: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`
    SELECT v.payload FROM (SELECT * FROM ${sql.table(kind.keys)} k
      WHERE k.carrier_id = ${carrierId} AND k.record_id = ${name}.record_id AND k.record_date = ${name}.record_date
        AND k.revision = ${name}.revision OFFSET 0) k
    CROSS JOIN LATERAL (${recordAt(sql.table(kind.records), carrierId, "k")}) v
    UNION ALL
    SELECT h.payload FROM held_record h WHERE h.carrier_id = ${carrierId} AND h.side = ${sql.lit(kind.side)}
      AND h.record_id = ${name}.record_id AND h.record_date = ${name}.record_date AND h.revision = ${name}.revision`;
}

/** A row as it is read. The newest revision is absent where only the reported one counts. */
export interface FoundRow {
  sequence: bigint;
  ingestTime: Micros;
  entryKind: number;
  recordId: string;
  startTime: Micros;
  customerId: string | undefined;
  payload: Buffer;
  quality: Buffer | undefined;
  network: Buffer | undefined;
  newestSequence?: bigint | undefined;
  newestIngestTime?: Micros | undefined;
  newestPayload?: Buffer | undefined;
  counterparts: Buffer[] | undefined;
}

export function foundRecord(carrierId: string, row: FoundRow): FoundRecord {
  const { newestSequence, newestIngestTime, newestPayload, counterparts = [], ...record } = row;
  const reported = { ...record, carrierId, inviteTime: record.startTime, quarantined: false };
  if (newestSequence === undefined || newestSequence === record.sequence)
    return { reported, newest: reported, counterparts };
  const newest = {
    ...reported,
    sequence: newestSequence,
    ingestTime: newestIngestTime ?? 0n,
    entryKind: EntryKind.VOID,
    payload: newestPayload ?? Buffer.alloc(0),
    quality: undefined,
    network: undefined,
  };
  return { reported, newest, counterparts };
}

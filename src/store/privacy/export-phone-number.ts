import { type RawBuilder, sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import { CDR, DURATION, PLATFORM_SIDE, type RecordKind } from "../../domain/record-kind.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { int8Array, timestamptzArray } from "../database/binary-array.ts";
import { run, type Tx } from "../database/run.ts";
import type { StoredCdr } from "../records/cdrs.ts";
import type { StoredDuration } from "../records/durations.ts";
import { recordAt } from "../records/record-at.ts";
import { EntryKind } from "../records/record-rows.ts";

// No index has the numbers of every party, and their spellings differ: records of the period are
// looked through where they lie, so many at a time, and those whose bytes may hold the number are
// read.

/** How many records one statement looks through. */
const SCANNED = 5_000;
/**
 * How far apart the two sides' clocks may say that a call began: 14 h, as clock offsets go, and a
 * little.
 */
const PAIRING_HOURS = 15;

/** What is looked for at a carrier. */
export interface PhoneNumberSearch {
  readonly carrierId: string;
  /** Calls that began in [start, end). */
  readonly start: Micros;
  readonly end: Micros;
  /** Every E.164 form of it. */
  readonly forms: readonly string[];
  /** Finds the bytes of each record of the number, as PostgreSQL's `escape` has them. */
  readonly pattern: string;
}

/** Where a scan stopped. */
export interface ScanPlace {
  readonly time: Micros;
  readonly sequence: bigint;
}

/** What a scan found, and where the next one begins; undefined: everything was looked through. */
export interface Scan {
  readonly hits: readonly Hit[];
  readonly next: ScanPlace | undefined;
}

/** A record that may be of the number. */
export interface Hit {
  readonly sequence: bigint;
  readonly ingestTime: Micros;
}

/** A record of the number, perhaps, with what decides whether it may be given. */
export interface FoundCdr {
  /** The newest revision that reports the call, by which it is judged. */
  readonly reported: StoredCdr;
  /** The highest revision: the same, or a VOID. */
  readonly newest: StoredCdr;
  /** To which the platform attributed the call. */
  readonly ownNumber: string | undefined;
  /** The carrier's records of the same call, as reconciliation pairs them. */
  readonly counterparts: readonly Buffer[];
}

/** A carrier's record of the number, perhaps, likewise. */
export interface FoundDuration {
  readonly reported: StoredDuration;
  readonly newest: StoredDuration;
  /** The platform's record of the same call. */
  readonly counterparts: readonly Buffer[];
}

/**
 * The newest sequences of a carrier's feeds of records. What is committed later is of a later
 * moment.
 */
export interface RecordHeads {
  readonly cdrs: bigint;
  readonly durations: bigint;
}

/** Reads the newest sequences: who sees one sees all before it. */
export async function readRecordHeads(tx: Tx, carrierId: string): Promise<RecordHeads> {
  const query = tx
    .selectFrom("feed_head")
    .select(["feed", sql<bigint>`next_sequence - 1`.as("head")])
    .where("carrier_id", "=", carrierId)
    .where("feed", "in", [FeedId.CDRS, FeedId.DURATIONS]);
  const { rows } = await run(tx, query);
  const headOf = (feed: number) => rows.find((row) => row.feed === feed)?.head ?? 0n;
  return { cdrs: headOf(FeedId.CDRS), durations: headOf(FeedId.DURATIONS) };
}

/** Looks through call detail records, by invite. */
export function scanCdrs(tx: Tx, search: PhoneNumberSearch, head: bigint, after: ScanPlace | undefined): Promise<Scan> {
  return scan(tx, search, { table: sql`cdr_record`, time: sql`r.invite_time`, head, after });
}

/** Looks through applied durations, by start. */
export function scanDurations(
  tx: Tx,
  search: PhoneNumberSearch,
  head: bigint,
  after: ScanPlace | undefined,
): Promise<Scan> {
  return scan(tx, search, { table: sql`duration_record`, time: sql`r.start_time`, head, after });
}

async function scan(
  tx: Tx,
  search: PhoneNumberSearch,
  {
    table,
    time,
    head,
    after,
  }: { table: RawBuilder<unknown>; time: RawBuilder<unknown>; head: bigint; after: ScanPlace | undefined },
): Promise<Scan> {
  const { carrierId, start, end } = search;
  const from = after ?? { time: start, sequence: -1n };
  const { rows } = await run(tx)<Hit & { time: Micros; isHit: boolean; position: bigint }>`
    SELECT s.* FROM (
      SELECT r.sequence, r.ingest_time, ${time} AS time, ${mayHold(sql`r.payload`, search)} AS is_hit,
        row_number() OVER (ORDER BY ${time}, r.sequence) AS position
      FROM ${table} r
      WHERE r.carrier_id = ${carrierId} AND ${time} >= ${instant(from.time)} AND ${time} < ${instant(end)}
        AND (${time}, r.sequence) > (${instant(from.time)}, ${from.sequence}::int8)
        AND r.sequence <= ${head}::int8 AND r.entry_kind <> ${EntryKind.ERASURE}
      ORDER BY ${time}, r.sequence LIMIT ${SCANNED}) s
    WHERE s.is_hit OR s.position = ${SCANNED} ORDER BY s.position`;
  const last = rows.at(-1);
  return {
    hits: rows.filter((row) => row.isHit),
    next: last?.position === BigInt(SCANNED) ? { time: last.time, sequence: last.sequence } : undefined,
  };
}

/** Reads call detail records that a scan found, each call's record once. */
export async function readFoundCdrs(
  tx: Tx,
  carrierId: string,
  hits: readonly Hit[],
  head: bigint,
  withNetwork: boolean,
): Promise<FoundCdr[]> {
  if (hits.length === 0) return [];
  const network = withNetwork ? sql`n.payload` : sql`NULL::bytea`;
  const { rows } = await run(tx)<CdrRow>`
    SELECT r.sequence, r.ingest_time, r.entry_kind, r.invite_time, r.payload, q.payload AS quality, ${network} AS network, r.phone_number,
      newest.sequence AS newest_sequence, newest.ingest_time AS newest_ingest_time, newest.payload AS newest_payload,
      ${counterpartsOfCdr(carrierId)} AS counterparts
    FROM ${found(CDR, carrierId, hits, head)}
    LEFT JOIN LATERAL (SELECT p.payload FROM cdr_quality p
      WHERE p.carrier_id = ${carrierId} AND p.sequence = r.sequence AND p.ingest_time = r.ingest_time LIMIT 1) q ON true
    LEFT JOIN LATERAL (SELECT p.payload FROM cdr_network p
      WHERE p.carrier_id = ${carrierId} AND p.sequence = r.sequence AND p.ingest_time = r.ingest_time LIMIT 1) n ON true
    ORDER BY r.invite_time, r.sequence`;
  return rows.map((row) => {
    const reported = cdrOfRow(carrierId, row);
    const isVoided = row.newestSequence !== undefined && row.newestSequence !== row.sequence;
    return {
      reported,
      newest: isVoided ? voidOfRow(reported, row) : reported,
      ownNumber: row.phoneNumber,
      counterparts: row.counterparts ?? [],
    };
  });
}

/** Reads durations that a scan found, each record once. */
export async function readFoundDurations(
  tx: Tx,
  carrierId: string,
  hits: readonly Hit[],
  head: bigint,
): Promise<FoundDuration[]> {
  if (hits.length === 0) return [];
  const { rows } = await run(tx)<DurationRow>`
    SELECT r.record_id, r.sequence, r.ingest_time, r.start_time, r.customer_id, r.payload,
      newest.sequence AS newest_sequence, newest.ingest_time AS newest_ingest_time, newest.payload AS newest_payload,
      ${counterpartsOfDuration(carrierId)} AS counterparts
    FROM ${found(DURATION, carrierId, hits, head)}
    ORDER BY r.start_time, r.sequence`;
  return rows.map((row) => {
    const reported = durationOfRow(row);
    const { newestPayload: payload, newestSequence: sequence, newestIngestTime: ingestTime } = row;
    const newest = payload && sequence && ingestTime ? { ...reported, payload, sequence, ingestTime } : reported;
    return { reported, newest, counterparts: row.counterparts ?? [] };
  });
}

/** The condition that bytes may hold what a search is for. */
export function mayHold(payload: RawBuilder<unknown>, { pattern }: PhoneNumberSearch): RawBuilder<boolean> {
  return sql<boolean>`(encode(${payload}, 'escape') ~ ${pattern})`;
}

// Of each record the newest revision that reports the call (or, when none does, the newest): an
// older one may name whom a correction took out. With it the highest of all, which may be a VOID.
function found(kind: RecordKind, carrierId: string, hits: readonly Hit[], head: bigint): RawBuilder<unknown> {
  const [record, key] = [sql.table(kind.records), sql.table(kind.keys)];
  // OFFSET 0: each step looks up by key what the step before found, whatever the planner believes
  // of the carrier's rows.
  const revisions = sql`(SELECT * FROM ${key} k
        WHERE k.carrier_id = ${carrierId} AND k.record_id = r.record_id AND k.record_date = r.record_date AND k.sequence <= ${head}::int8 OFFSET 0) k
      CROSS JOIN LATERAL (${recordAt(record, carrierId, "k")}) v`;
  return sql`unnest(${int8Array(hits.map((hit) => hit.sequence))}::int8[], ${timestamptzArray(hits.map((hit) => hit.ingestTime))}::timestamptz[])
      AS hit(sequence, ingest_time)
    JOIN LATERAL (${recordAt(record, carrierId, "hit")}) r ON NOT EXISTS (SELECT FROM ${revisions}
        WHERE v.entry_kind < r.entry_kind OR (v.entry_kind = r.entry_kind AND k.revision > r.revision) OFFSET 0)
    LEFT JOIN LATERAL (SELECT v.sequence, v.ingest_time, v.payload FROM ${revisions} ORDER BY k.revision DESC LIMIT 1) newest ON true`;
}

/** The carrier's records of the call of a platform's record `r`. */
export function counterpartsOfCdr(carrierId: string): RawBuilder<unknown> {
  return sql`(
    SELECT array_agg(d.payload) FROM call_result c
    CROSS JOIN LATERAL unnest(c.carrier_record_ids, c.carrier_record_dates, c.carrier_revisions) AS part(record_id, record_date, revision)
    CROSS JOIN LATERAL (${payloadsOf(DURATION, carrierId, sql`part`)}) d
    WHERE c.carrier_id = ${carrierId} AND c.record_date = r.record_date AND c.record_id = r.record_id AND c.side = ${sql.lit(PLATFORM_SIDE)})`;
}

/** The platform's record of the call of a carrier's record `r`. */
export function counterpartsOfDuration(carrierId: string): RawBuilder<unknown> {
  const hours = sql`make_interval(hours => ${sql.lit(PAIRING_HOURS)})`;
  // By the number, and not by the carrier's calls of that time, which the planner takes for as few,
  // or by both indexes, of which the carrier's is read whole: what is said of both columns once
  // more costs least where an index has them so, and leaves nothing to be gained by another.
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

/** The bytes of one revision of a record, as it is or as it is held. */
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

function instant(micros: Micros): RawBuilder<unknown> {
  return sql`${isoFromMicros(micros)}::timestamptz`;
}

interface FoundColumns {
  sequence: bigint;
  ingestTime: Micros;
  payload: Buffer;
  newestSequence: bigint | undefined;
  newestIngestTime: Micros | undefined;
  newestPayload: Buffer | undefined;
  counterparts: Buffer[] | undefined;
}

type CdrRow = FoundColumns & Omit<StoredCdr, "carrierId"> & { phoneNumber: string | undefined };
type DurationRow = FoundColumns & Omit<StoredDuration, "quarantined" | "sequence">;

/** The record of a row that has more. */
export function cdrOfRow(carrierId: string, row: Omit<StoredCdr, "carrierId">): StoredCdr {
  const { sequence, ingestTime, entryKind, inviteTime, payload, quality, network } = row;
  return { carrierId, sequence, ingestTime, entryKind, inviteTime, payload, quality, network };
}

function voidOfRow(reported: StoredCdr, row: CdrRow): StoredCdr {
  return {
    ...reported,
    sequence: row.newestSequence ?? 0n,
    ingestTime: row.newestIngestTime ?? 0n,
    entryKind: EntryKind.VOID,
    payload: row.newestPayload ?? Buffer.alloc(0),
    quality: undefined,
    network: undefined,
  };
}

/** The record of a row that has more. */
export function durationOfRow(row: Omit<StoredDuration, "quarantined">): StoredDuration {
  const { recordId, startTime, payload, sequence, ingestTime, customerId } = row;
  return { recordId, startTime, payload, sequence, ingestTime, customerId, quarantined: false };
}

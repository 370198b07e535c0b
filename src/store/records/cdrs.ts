import { type RawBuilder, sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import { DAY_MS, type Micros, microsFromMs } from "../../domain/time/instant.ts";
import { wallMs } from "../../domain/time/wall-clock.ts";
import { POSTGRES_EPOCH_DAYS, POSTGRES_EPOCH_MICROS } from "../database/binary-array.ts";
import { instant, type Tx } from "../database/run.ts";
import { type PageRequest, readFeedPage, type StoredPage } from "../feeds/feed-page.ts";
import { EntryKind } from "./record-rows.ts";

/** Which records a stream, list or summary gives. Every condition that is set must hold. */
export interface CdrConditions {
  direction?: number | undefined;
  customerIds?: readonly string[] | undefined;
  phoneNumbers?: readonly string[] | undefined;
  trunkId?: string | undefined;
  qualityVerdicts?: readonly number[] | undefined;
}

/**
 * A record as it is stored: encoded parts that merge when they are joined, and its place in the
 * feed.
 */
export interface StoredCdr {
  carrierId: string;
  sequence: bigint;
  ingestTime: Micros;
  entryKind: number;
  inviteTime: Micros | undefined;
  payload: Buffer;
  quality: Buffer | undefined;
  network: Buffer | undefined;
}

/** A record as a page of the feed has it. */
export interface FeedCdr extends Pick<StoredCdr, "sequence" | "ingestTime" | "entryKind"> {
  recordDate: string;
  /** All of its parts, joined. */
  payload: Buffer;
}

/**
 * Reads a page of the feed: entries that match the conditions. An erasure matches every filter.
 * @param withNetwork whether network identifiers may be delivered.
 */
export async function readCdrPage(
  tx: Tx,
  request: PageRequest,
  { conditions, withNetwork }: { conditions: CdrConditions | undefined; withNetwork: boolean },
): Promise<StoredPage<FeedCdr>> {
  const { carrierId, limit, after } = request;
  const matches = conditions ? sql` AND (r.entry_kind = ${EntryKind.ERASURE} OR (${allOf(conditions)}))` : sql``;
  const readFrom = (ingested: IngestSpan) =>
    readFeedPage(tx, request, {
      feed: FeedId.CDRS,
      isFiltered: conditions !== undefined,
      entriesIn: (first, end) => sql`
        SELECT string_agg(${packed(withNetwork)}, '' ORDER BY r.sequence) AS packed
        FROM (
          SELECT * FROM cdr_record r
          WHERE r.carrier_id = ${carrierId} AND r.sequence > ${first} AND r.sequence <= ${end}${within("r", ingested)}${matches}
          ORDER BY r.sequence LIMIT ${limit}) r
        ${joinParts(carrierId, withNetwork, ingested)}`,
      isOneRow: true,
      entriesOf: unpack,
      bytesOf: ({ payload }) => payload.length,
    });
  const soon = microsFromMs(wallMs() + DAY_MS);
  const page = await readFrom({ from: after.ingestTime, to: soon });
  // The database's clock may be far ahead of this process's.
  return page.head.lastIngestTime <= soon ? page : readFrom({ from: after.ingestTime, to: undefined });
}

/**
 * When the entries of a page were ingested: none after another has an earlier time. With it
 * PostgreSQL plans for the weeks that can hold them, and not for all.
 */
interface IngestSpan {
  readonly from: Micros;
  readonly to: Micros | undefined;
}

function within(table: string, { from, to }: IngestSpan): RawBuilder<unknown> {
  const time = sql.ref(`${table}.ingest_time`);
  const until = to === undefined ? sql`` : sql` AND ${time} <= ${instant(to)}`;
  return sql` AND ${time} >= ${instant(from)}${until}`;
}

// A page as one value: rows of their own would cost more to make and to read than all else. Numbers
// are as PostgreSQL sends them in binary form.
function packed(withNetwork: boolean): RawBuilder<unknown> {
  const parts = sql`r.payload || COALESCE(q.payload, '') ${withNetwork ? sql`|| COALESCE(n.payload, '')` : sql``}`;
  const bytes = sql`length(r.payload) + COALESCE(length(q.payload), 0) ${withNetwork ? sql`+ COALESCE(length(n.payload), 0)` : sql``}`;
  return sql`int8send(r.sequence) || timestamptz_send(r.ingest_time) || date_send(r.record_date) || int2send(r.entry_kind)
        || int4send(${bytes}) || ${parts}`;
}

/** Where the figures of a packed record are, and how many bytes they take. */
const PACKED = { SEQUENCE: 0, INGEST_TIME: 8, RECORD_DATE: 16, ENTRY_KIND: 20, LENGTH: 22, BYTES: 26 } as const;

function unpack({ packed: bytes }: { packed: Buffer | undefined }): FeedCdr[] {
  const found: FeedCdr[] = [];
  if (bytes === undefined) return found;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const dayText = lastDayText();
  for (let at = 0; at < bytes.length; ) {
    const start = at + PACKED.BYTES;
    const end = start + view.getInt32(at + PACKED.LENGTH);
    found.push({
      sequence: view.getBigInt64(at + PACKED.SEQUENCE),
      ingestTime: view.getBigInt64(at + PACKED.INGEST_TIME) + POSTGRES_EPOCH_MICROS,
      recordDate: dayText(view.getInt32(at + PACKED.RECORD_DATE)),
      entryKind: view.getInt16(at + PACKED.ENTRY_KIND),
      payload: bytes.subarray(start, end),
    });
    at = end;
  }
  return found;
}

// Records of one page are of few days.
function lastDayText(): (day: number) => string {
  let last = Number.NaN;
  let text = "";
  return (day) => {
    if (day !== last) text = new Date((day + POSTGRES_EPOCH_DAYS) * DAY_MS).toISOString().slice(0, 10);
    last = day;
    return text;
  };
}

// Joined after the LIMIT of the records `r`, and one by one: the planner's statistics of a carrier
// may be from a day on which it had no rows, and then it would read all of its rows for each
// record.
export function joinParts(carrierId: string, withNetwork: boolean, ingested?: IngestSpan): RawBuilder<unknown> {
  const span = ingested ? within("p", ingested) : sql``;
  const join = (table: "cdr_quality" | "cdr_network", name: "q" | "n") => sql`LEFT JOIN LATERAL (
      SELECT p.payload FROM ${sql.table(table)} p
      WHERE p.carrier_id = ${carrierId} AND p.sequence = r.sequence AND p.ingest_time = r.ingest_time${span} LIMIT 1) ${sql.ref(name)} ON true`;
  return withNetwork ? sql`${join("cdr_quality", "q")} ${join("cdr_network", "n")}` : join("cdr_quality", "q");
}

export function cdrFloor(carrierId: string): RawBuilder<bigint> {
  return sql<bigint>`(SELECT f.earliest_sequence FROM feed_head f WHERE f.carrier_id = ${carrierId} AND f.feed = ${FeedId.CDRS})`;
}

/** The condition that no higher revision of a held record `r` is held. */
export function isHeldTip(carrierId: string): RawBuilder<boolean> {
  return sql<boolean>`NOT EXISTS (SELECT FROM held_record k WHERE k.carrier_id = ${carrierId} AND k.side = r.side
    AND k.record_id = r.record_id AND k.record_date = r.record_date AND k.revision > r.revision OFFSET 0)`;
}

/**
 * The condition that no higher revision of a record `r` is stored. OFFSET 0: it is looked up record
 * by record, and not by reading all of the carrier's keys, which the planner believes to be few
 * while it has no statistics of the carrier.
 */
export function isTip(keyTable: "cdr_key" | "duration_key", carrierId: string): RawBuilder<boolean> {
  return sql<boolean>`NOT EXISTS (SELECT FROM ${sql.table(keyTable)} k WHERE k.carrier_id = ${carrierId} AND k.record_id = r.record_id
    AND k.record_date = r.record_date AND k.revision > r.revision OFFSET 0)`;
}

/** One page, in order, of kept and of held records: one that is in both is taken once. */
export function mergeHeld<Row extends { sequence: bigint | undefined }>(
  kept: Row[],
  held: readonly Row[],
  limit: number,
  compare: (a: Row, b: Row) => number,
): Row[] {
  if (held.length === 0) return kept;
  const known = new Set(kept.map(({ sequence }) => sequence));
  return [...kept, ...held.filter(({ sequence }) => !known.has(sequence))].sort(compare).slice(0, limit);
}

/** The conditions as SQL over the record `r`. */
export function allOf(conditions: CdrConditions): RawBuilder<boolean> {
  const wheres: RawBuilder<unknown>[] = [sql`true`];
  if (conditions.direction) wheres.push(sql`r.direction = ${conditions.direction}`);
  if (conditions.customerIds?.length) wheres.push(sql`r.customer_id = ANY(${conditions.customerIds}::text[])`);
  if (conditions.phoneNumbers?.length) wheres.push(sql`r.phone_number = ANY(${conditions.phoneNumbers}::text[])`);
  if (conditions.trunkId !== undefined) wheres.push(sql`r.trunk_id = ${conditions.trunkId}`);
  if (conditions.qualityVerdicts?.length)
    wheres.push(sql`r.quality_verdict = ANY(${conditions.qualityVerdicts}::int2[])`);
  return sql<boolean>`${sql.join(wheres, sql` AND `)}`;
}

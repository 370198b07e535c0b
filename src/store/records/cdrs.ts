import { type RawBuilder, sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import type { Micros } from "../../domain/time/instant.ts";
import type { Tx } from "../database/run.ts";
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
export interface FeedCdr extends StoredCdr {
  /** The day of an erasure. */
  recordDate: string;
}

/**
 * Reads a page of the feed: entries that match the conditions. An erasure matches every filter.
 * @param withNetwork whether network identifiers may be delivered.
 */
export function readCdrPage(
  tx: Tx,
  request: PageRequest,
  { conditions, withNetwork }: { conditions: CdrConditions | undefined; withNetwork: boolean },
): Promise<StoredPage<FeedCdr>> {
  const { carrierId, limit } = request;
  const matches = conditions ? sql` AND (r.entry_kind = ${EntryKind.ERASURE} OR (${allOf(conditions)}))` : sql``;
  return readFeedPage(tx, request, {
    feed: FeedId.CDRS,
    isFiltered: conditions !== undefined,
    entriesIn: (after, end) => sql`
      SELECT r.carrier_id, r.sequence, r.ingest_time, r.entry_kind, r.record_date, r.invite_time, r.payload, ${partsOf(withNetwork)}
      FROM (
        SELECT * FROM cdr_record r WHERE r.carrier_id = ${carrierId} AND r.sequence > ${after} AND r.sequence <= ${end}${matches}
        ORDER BY r.sequence LIMIT ${limit}) r
      ${joinParts(carrierId, withNetwork)}`,
    entryOf: feedCdr,
    bytesOf,
  });
}

function partsOf(withNetwork: boolean): RawBuilder<unknown> {
  return sql`q.payload AS quality, ${withNetwork ? sql`n.payload` : sql`NULL::bytea`} AS network`;
}

// Joined after the LIMIT of the records `r`, and one by one: the planner's statistics of a carrier
// may be from a day on which it had no rows, and then it would read all of its rows for each
// record.
export function joinParts(carrierId: string, withNetwork: boolean): RawBuilder<unknown> {
  const join = (table: "cdr_quality" | "cdr_network", name: "q" | "n") => sql`LEFT JOIN LATERAL (
      SELECT p.payload FROM ${sql.table(table)} p
      WHERE p.carrier_id = ${carrierId} AND p.sequence = r.sequence AND p.ingest_time = r.ingest_time LIMIT 1) ${sql.ref(name)} ON true`;
  return withNetwork ? sql`${join("cdr_quality", "q")} ${join("cdr_network", "n")}` : join("cdr_quality", "q");
}

function bytesOf({ payload, quality, network }: StoredCdr): number {
  return payload.length + (quality?.length ?? 0) + (network?.length ?? 0);
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

// Called for every entry of every stream: no object larger than needed.
function feedCdr(row: FeedCdr): FeedCdr {
  const { carrierId, sequence, ingestTime, entryKind, recordDate, inviteTime, payload, quality, network } = row;
  return { carrierId, sequence, ingestTime, entryKind, recordDate, inviteTime, payload, quality, network };
}

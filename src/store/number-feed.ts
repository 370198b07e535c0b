import { type RawBuilder, sql } from "kysely";
import type { Micros } from "../domain/instant.ts";
import type { NumberFilter } from "../domain/number-filter.ts";
import { int2Array } from "./binary-array.ts";
import type { Tx } from "./database.ts";
import type { FeedHead } from "./feed-head.ts";
import { NumberEntryKind } from "./number-rows.ts";
import { Feed } from "./schema.ts";

/** An entry of the numbers feed. */
export interface NumberEntry {
  readonly sequence: bigint;
  readonly ingestTime: Micros;
  /** A NumberEntryKind. */
  readonly kind: number;
  /** The encoded PhoneNumber after the change, or the encoded ErasureEntry. */
  readonly payload: Buffer;
  /** Whether the row matched the filter before the change and no longer does. */
  readonly leftFilter: boolean;
}

/** A run of the feed, and its ends as the same statement saw them. */
export interface NumberPage {
  /** Every matching entry of (afterSequence, throughSequence]. */
  readonly entries: NumberEntry[];
  readonly throughSequence: bigint;
  /** Of the entry at throughSequence; 0 when the page reaches no further than afterSequence. */
  readonly throughIngestTime: Micros;
  readonly head: FeedHead;
}

/** Most entries that one page looks at when a filter leaves out most of them. */
const SCAN_LIMIT = 20_000n;

/**
 * Reads a page of the numbers feed. A change matches the filter if the row does before or after it; an erasure matches every filter. One statement
 * reads the page and the feed's ends, so that a reader below the floor is told, and not given less.
 */
export async function readNumberPage(
  tx: Tx,
  request: {
    carrierId: string;
    afterSequence: bigint;
    /** Not beyond this one. */
    untilSequence?: bigint | undefined;
    limit: number;
    filter: NumberFilter | undefined;
  },
): Promise<NumberPage> {
  const { carrierId, afterSequence, untilSequence, limit, filter } = request;
  const scanEnd = afterSequence + (filter ? SCAN_LIMIT : BigInt(limit));
  const end = untilSequence !== undefined && untilSequence < scanEnd ? untilSequence : scanEnd;
  const now = filter ? matches(filter, COLUMNS) : sql`true`;
  const before = filter ? sql`(e.previous_state IS NOT NULL AND ${matches(filter, PREVIOUS_COLUMNS)})` : sql`true`;
  const { rows } = await sql<PageRow>`
    SELECT h.epoch, h.earliest_sequence, h.next_sequence - 1 AS head_sequence, h.last_ingest_time, h.payload_generation, p.*
    FROM feed_head h LEFT JOIN LATERAL (
      SELECT e.sequence, e.ingest_time, e.entry_kind, e.payload, NOT (${now}) AS left_filter
      FROM number_entry e
      WHERE e.carrier_id = ${carrierId} AND e.sequence > ${afterSequence} AND e.sequence <= ${end}
        AND (e.entry_kind = ${NumberEntryKind.ERASURE} OR ${now} OR ${before})
      ORDER BY e.sequence LIMIT ${limit}) p ON true
    WHERE h.carrier_id = ${carrierId} AND h.feed = ${Feed.NUMBERS}
    ORDER BY p.sequence`.execute(tx);
  const first = rows[0];
  if (!first) throw new Error(`carrier ${carrierId} has no feed of numbers`);
  const head = headOf(first);
  const entries = rows.flatMap(entriesOf);
  const last = entries.at(-1);
  const throughSequence =
    entries.length === limit && last ? last.sequence : max(afterSequence, min(end, head.headSequence));
  const throughIngestTime =
    last?.sequence === throughSequence
      ? last.ingestTime
      : await ingestTimeOf(tx, carrierId, afterSequence, throughSequence);
  return { entries, throughSequence, throughIngestTime, head };
}

/** A number's current row, encoded. */
export interface NumberSnapshotRow {
  readonly phoneNumber: string;
  readonly carrierId: string;
  /** An encoded PhoneNumber. */
  readonly payload: Buffer;
}

/** Reads the current rows of a carrier's numbers that match, ascending by number compared as text. */
export async function readNumberSnapshotPage(
  tx: Tx,
  request: {
    carrierId: string;
    /** The number after which to go on; empty for the first page. */
    afterNumber: string;
    limit: number;
    filter: NumberFilter | undefined;
  },
): Promise<NumberSnapshotRow[]> {
  const { carrierId, afterNumber, limit, filter } = request;
  const { rows } = await sql<SnapshotRow>`
    SELECT e.phone_number, e.carrier_id, e.payload FROM phone_number e
    WHERE e.carrier_id = ${carrierId} AND e.phone_number > ${afterNumber} AND ${filter ? matches(filter, COLUMNS) : sql`true`}
    ORDER BY e.phone_number LIMIT ${limit}`.execute(tx);
  return rows.map(snapshotRow);
}

/** Reads the current rows of all carriers' numbers that match, by number, then by carrier. In a system transaction. */
export async function listNumbersOfAll(
  tx: Tx,
  request: {
    after: { phoneNumber: string; carrierId: string };
    limit: number;
    filter: NumberFilter | undefined;
    /** Only carriers of this region; undefined: all. */
    region: string | undefined;
  },
): Promise<NumberSnapshotRow[]> {
  const { after, limit, filter, region } = request;
  const { rows } = await sql<SnapshotRow>`
    SELECT e.phone_number, e.carrier_id, e.payload FROM phone_number e
    WHERE (e.phone_number, e.carrier_id) > (${after.phoneNumber}, ${after.carrierId})
      AND ${filter ? matches(filter, COLUMNS) : sql`true`}
      AND ${region === undefined ? sql`true` : sql`EXISTS (SELECT 1 FROM carrier c WHERE c.carrier_id = e.carrier_id AND c.region = ${region})`}
    ORDER BY e.phone_number, e.carrier_id LIMIT ${limit}`.execute(tx);
  return rows.map(snapshotRow);
}

interface Columns {
  readonly state: RawBuilder<unknown>;
  readonly customerId: RawBuilder<unknown>;
  readonly countryCode: RawBuilder<unknown>;
}

const COLUMNS: Columns = { state: sql`e.state`, customerId: sql`e.customer_id`, countryCode: sql`e.country_code` };
const PREVIOUS_COLUMNS: Columns = {
  state: sql`e.previous_state`,
  customerId: sql`e.previous_customer_id`,
  countryCode: sql`e.previous_country_code`,
};

// A column without a value matches no condition on it: never null, so that the whole can be negated.
function matches(filter: NumberFilter, columns: Columns): RawBuilder<boolean> {
  const all: RawBuilder<unknown>[] = [];
  const { states, customerId, countryCode, numberPrefix } = filter;
  if (states && states.length > 0) all.push(sql`${columns.state} = ANY(${int2Array(states)}::int2[])`);
  if (customerId !== undefined) all.push(sql`${columns.customerId} = ${customerId}`);
  if (countryCode !== undefined) all.push(sql`${columns.countryCode} = ${countryCode}`);
  // ':' follows '9' in ASCII, and numbers are compared by bytes: the prefix as a range of the key.
  if (numberPrefix !== undefined)
    all.push(sql`e.phone_number >= ${numberPrefix} AND e.phone_number < ${`${numberPrefix}:`}`);
  if (all.length === 0) return sql<boolean>`true`;
  return sql<boolean>`COALESCE(${sql.join(all, sql` AND `)}, false)`;
}

interface PageRow {
  epoch: bigint;
  earliest_sequence: bigint;
  head_sequence: bigint;
  last_ingest_time: Micros;
  payload_generation: bigint;
  sequence: bigint | null;
  ingest_time: Micros;
  entry_kind: number;
  payload: Buffer;
  left_filter: boolean;
}

interface SnapshotRow {
  phone_number: string;
  carrier_id: string;
  payload: Buffer;
}

function headOf(row: PageRow): FeedHead {
  return {
    epoch: row.epoch,
    earliestSequence: row.earliest_sequence,
    headSequence: row.head_sequence,
    lastIngestTime: row.last_ingest_time,
    payloadGeneration: row.payload_generation,
  };
}

function entriesOf(row: PageRow): NumberEntry[] {
  if (row.sequence === null) return [];
  const { sequence, ingest_time: ingestTime, entry_kind: kind, payload } = row;
  return [{ sequence, ingestTime, kind, payload, leftFilter: kind === NumberEntryKind.CHANGE && row.left_filter }];
}

function snapshotRow(row: SnapshotRow): NumberSnapshotRow {
  return { phoneNumber: row.phone_number, carrierId: row.carrier_id, payload: row.payload };
}

// Only a filtered page can end with an entry that it does not hold.
async function ingestTimeOf(tx: Tx, carrierId: string, after: bigint, through: bigint): Promise<Micros> {
  if (through <= after) return 0n;
  const { rows } = await sql<{ ingest_time: Micros }>`
    SELECT ingest_time FROM number_entry WHERE carrier_id = ${carrierId} AND sequence = ${through}`.execute(tx);
  return rows[0]?.ingest_time ?? 0n;
}

function min(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

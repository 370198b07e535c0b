import { type RawBuilder, sql } from "kysely";
import type { Micros } from "../domain/instant.ts";
import type { NumberFilter } from "../domain/number-filter.ts";
import { int2Array } from "./binary-array.ts";
import type { Tx } from "./database.ts";
import { type FeedPoint, type HeadColumns, headColumns, makePage, SCAN_LIMIT, type StoredPage } from "./feed-page.ts";
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

/**
 * Reads a page of the numbers feed. A change matches the filter if the row does before or after it; an erasure matches every filter. One statement
 * reads the page and the feed's ends, so that a reader below the floor is told, and not given less.
 */
export async function readNumberPage(
  tx: Tx,
  request: {
    carrierId: string;
    after: FeedPoint;
    /** Not beyond this one. */
    until?: bigint | undefined;
    limit: number;
    filter: NumberFilter | undefined;
  },
): Promise<StoredPage<NumberEntry>> {
  const { carrierId, until, limit, filter } = request;
  const after = request.after.sequence;
  const scanEnd = after + (filter ? SCAN_LIMIT : BigInt(limit));
  const end = until !== undefined && until < scanEnd ? until : scanEnd;
  const now = filter ? matches(filter, COLUMNS) : sql`true`;
  const before = filter ? sql`(e.previous_state IS NOT NULL AND ${matches(filter, PREVIOUS_COLUMNS)})` : sql`true`;
  const { rows } = await sql<HeadColumns & EntryColumns>`
    SELECT ${headColumns(carrierId, Feed.NUMBERS, request.after)}, p.*
    FROM feed_head h LEFT JOIN LATERAL (
      SELECT e.sequence, e.ingest_time, e.entry_kind, e.payload, NOT (${now}) AS left_filter
      FROM number_entry e
      WHERE e.carrier_id = ${carrierId} AND e.sequence > ${after} AND e.sequence <= ${end}
        AND (e.entry_kind = ${NumberEntryKind.ERASURE} OR ${now} OR ${before})
      ORDER BY e.sequence LIMIT ${limit}) p ON true
    WHERE h.carrier_id = ${carrierId} AND h.feed = ${Feed.NUMBERS}
    ORDER BY p.sequence`.execute(tx);
  const first = rows[0];
  if (!first) throw new Error(`carrier ${carrierId} has no feed of numbers`);
  const bytesOf = ({ payload }: NumberEntry) => payload.length;
  const read = { carrierId, feed: Feed.NUMBERS, after, end, limit };
  return makePage(tx, read, { entries: rows.flatMap(entriesOf), first, bytesOf });
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

interface EntryColumns {
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

function entriesOf(row: EntryColumns): NumberEntry[] {
  if (row.sequence === null) return [];
  const { sequence, ingest_time: ingestTime, entry_kind: kind, payload } = row;
  return [{ sequence, ingestTime, kind, payload, leftFilter: kind === NumberEntryKind.CHANGE && row.left_filter }];
}

function snapshotRow(row: SnapshotRow): NumberSnapshotRow {
  return { phoneNumber: row.phone_number, carrierId: row.carrier_id, payload: row.payload };
}

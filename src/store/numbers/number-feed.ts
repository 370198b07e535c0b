import { type RawBuilder, sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import type { NumberFilter } from "../../domain/numbers/number-filter.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { int2Array } from "../database/binary-array.ts";
import { LIST_SCAN, type Scanned } from "../database/list-scan.ts";
import { readRow, readRows, type Tx } from "../database/run.ts";
import { type PageRequest, readFeedPage, type StoredPage } from "../feeds/feed-page.ts";
import { NumberEntryKind } from "./number-rows.ts";

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
 * Reads a page of the numbers feed. A change matches the filter if the row does before or after it;
 * an erasure matches every filter.
 */
export function readNumberPage(
  tx: Tx,
  request: PageRequest,
  filter: NumberFilter | undefined,
): Promise<StoredPage<NumberEntry>> {
  const { carrierId, limit } = request;
  const now = filter ? matches(filter, COLUMNS) : sql`true`;
  const before = filter ? sql`(e.previous_state IS NOT NULL AND ${matches(filter, PREVIOUS_COLUMNS)})` : sql`true`;
  return readFeedPage<EntryColumns, NumberEntry>(tx, request, {
    feed: FeedId.NUMBERS,
    isFiltered: filter !== undefined,
    entriesIn: (after, end) => sql`
      SELECT e.sequence, e.ingest_time, e.entry_kind, e.payload, NOT (${now}) AS left_filter
      FROM number_entry e
      WHERE e.carrier_id = ${carrierId} AND e.sequence > ${after} AND e.sequence <= ${end}
        AND (e.entry_kind = ${NumberEntryKind.ERASURE} OR ${now} OR ${before})
      ORDER BY e.sequence LIMIT ${limit}`,
    entriesOf: ({ sequence, ingestTime, entryKind: kind, payload, leftFilter }) => [
      { sequence, ingestTime, kind, payload, leftFilter: kind === NumberEntryKind.CHANGE && leftFilter },
    ],
    bytesOf: ({ payload }) => payload.length,
  });
}

export interface NumberSnapshotRow {
  readonly phoneNumber: string;
  readonly carrierId: string;
  /** An encoded PhoneNumber. */
  readonly payload: Buffer;
}

/** Where a page of current rows ended. */
export type NumberPlace = Pick<NumberSnapshotRow, "phoneNumber" | "carrierId">;

/** Reads current rows that match, ascending by number as text. In a transaction as `LIST_PAGE`. */
export function readNumberSnapshotPage(
  tx: Tx,
  request: {
    carrierId: string;
    /** The number after which to go on; empty for the first page. */
    afterNumber: string;
    limit: number;
    filter: NumberFilter | undefined;
    /** Most rows to look at. Default `LIST_SCAN`. */
    scan?: number;
  },
): Promise<Scanned<NumberSnapshotRow, NumberPlace>> {
  const { carrierId, afterNumber, filter } = request;
  const { customerId, numberPrefix, ...others } = filter ?? {};
  // An index has the customer's numbers in order: whoever asks for them reads no others.
  const numbers = sql`phone_number e WHERE e.carrier_id = ${carrierId} AND e.phone_number > ${afterNumber}
    AND ${conditions({ customerId, numberPrefix }, COLUMNS)}`;
  return scanNumbers(tx, numbers, { ...request, order: sql`e.phone_number`, where: conditions(others, COLUMNS) });
}

/** Reads matching rows of all carriers, by number and carrier. In a system `LIST_PAGE`. */
export function listNumbersOfAll(
  tx: Tx,
  request: {
    after: NumberPlace;
    limit: number;
    filter: NumberFilter | undefined;
    /** Only carriers of this region; undefined: all. */
    region: string | undefined;
    scan?: number;
  },
): Promise<Scanned<NumberSnapshotRow, NumberPlace>> {
  const { after, filter, region } = request;
  const { numberPrefix, ...others } = filter ?? {};
  const numbers = sql`phone_number e WHERE (e.phone_number, e.carrier_id) > (${after.phoneNumber}, ${after.carrierId})
    AND ${conditions({ numberPrefix }, COLUMNS)}`;
  const isOfRegion =
    region === undefined
      ? sql`true`
      : sql`EXISTS (SELECT 1 FROM carrier c WHERE c.carrier_id = e.carrier_id AND c.region = ${region} OFFSET 0)`;
  const where = sql<boolean>`${conditions(others, COLUMNS)} AND ${isOfRegion}`;
  return scanNumbers(tx, numbers, { ...request, order: sql`e.phone_number, e.carrier_id`, where });
}

async function scanNumbers(
  tx: Tx,
  numbers: RawBuilder<unknown>,
  of: { order: RawBuilder<unknown>; where: RawBuilder<boolean>; limit: number; scan?: number },
): Promise<Scanned<NumberSnapshotRow, NumberPlace>> {
  const { order, where, limit, scan = LIST_SCAN } = of;
  const found = await readRows(tx)<NumberSnapshotRow>`
    SELECT e.phone_number, e.carrier_id, e.payload FROM (SELECT * FROM ${numbers} ORDER BY ${order} LIMIT ${scan}) e
    WHERE ${where} ORDER BY ${order} LIMIT ${limit}`;
  if (found.length >= limit) return { found, scannedTo: undefined };
  const scannedTo = await readRow(tx)<NumberPlace>`
    SELECT e.phone_number, e.carrier_id FROM ${numbers} ORDER BY ${order} OFFSET ${scan - 1} LIMIT 1`;
  return { found, scannedTo };
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

// Never null, so that the condition can be negated.
function matches(filter: NumberFilter, columns: Columns): RawBuilder<boolean> {
  return sql<boolean>`COALESCE(${conditions(filter, columns)}, false)`;
}

// As an index can be asked.
function conditions(
  filter: { readonly [Name in keyof NumberFilter]?: NumberFilter[Name] | undefined },
  columns: Columns,
): RawBuilder<boolean> {
  const all: RawBuilder<unknown>[] = [];
  const { states, customerId, countryCode, numberPrefix } = filter;
  if (states && states.length > 0) all.push(sql`${columns.state} = ANY(${int2Array(states)}::int2[])`);
  if (customerId !== undefined) all.push(sql`${columns.customerId} = ${customerId}`);
  if (countryCode !== undefined) all.push(sql`${columns.countryCode} = ${countryCode}`);
  // ':' follows '9' in ASCII, and numbers are compared by bytes: the prefix as a range of the key.
  if (numberPrefix !== undefined)
    all.push(sql`e.phone_number >= ${numberPrefix} AND e.phone_number < ${`${numberPrefix}:`}`);
  if (all.length === 0) return sql<boolean>`true`;
  return sql<boolean>`${sql.join(all, sql` AND `)}`;
}

interface EntryColumns {
  sequence: bigint;
  ingestTime: Micros;
  entryKind: number;
  payload: Buffer;
  leftFilter: boolean;
}

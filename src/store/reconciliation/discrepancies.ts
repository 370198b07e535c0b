import { type RawBuilder, sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { LIST_SCAN, type Scanned } from "../database/list-scan.ts";
import { run, type Tx } from "../database/run.ts";
import { type PageRequest, readFeedPage, type StoredPage } from "../feeds/feed-page.ts";

/** What an entry of the discrepancy feed is. */
export const DiscrepancyEntryKind = { DISCREPANCY: 1, ERASURE: 2 } as const;

/**
 * Which discrepancies a stream or list gives. Every condition that is set must hold; an empty list
 * is not set.
 */
export interface DiscrepancyConditions {
  /** MatchStatus. */
  statuses: readonly number[];
  /** MatchCause: with one of these at least. */
  causes: readonly number[];
  customerIds: readonly string[];
  trunkIds: readonly string[];
  direction: number | undefined;
  unresolved: boolean | undefined;
  /** Least difference of the connected durations, either way, milliseconds. */
  minAbsoluteDeltaMs: bigint | undefined;
}

/** A discrepancy, or an erasure in the feed, as it is stored: encoded but for its position. */
export interface StoredDiscrepancy {
  carrierId: string;
  sequence: bigint;
  ingestTime: Micros;
  /** A DiscrepancyEntryKind. */
  entryKind: number;
  payload: Buffer;
}

/**
 * Reads a page of the feed. A change matches the conditions if the discrepancy does before or after
 * it; an erasure matches all.
 */
export function readDiscrepancyPage(
  tx: Tx,
  request: PageRequest,
  conditions: DiscrepancyConditions | undefined,
): Promise<StoredPage<StoredDiscrepancy>> {
  const { carrierId, limit } = request;
  const matching = conditions
    ? sql`e.entry_kind = ${DiscrepancyEntryKind.ERASURE} OR ${allOf(conditions, AFTER)} OR ${allOf(conditions, BEFORE)}`
    : sql`true`;
  return readFeedPage(tx, request, {
    feed: FeedId.DISCREPANCIES,
    isFiltered: conditions !== undefined,
    entriesIn: (after, end) => sql`
      SELECT e.carrier_id, e.sequence, e.ingest_time, e.entry_kind, e.payload FROM discrepancy_entry e
      WHERE e.carrier_id = ${carrierId} AND e.sequence > ${after} AND e.sequence <= ${end} AND (${matching})
      ORDER BY e.sequence LIMIT ${limit}`,
    entryOf: storedDiscrepancy,
    bytesOf: ({ payload }) => payload.length,
  });
}

/**
 * Lists a carrier's discrepancies of [startDate, endDate), each in its highest revision, by
 * sequence after one. In a transaction as `LIST_PAGE`.
 */
export async function listDiscrepancies(
  tx: Tx,
  carrierId: string,
  search: { startDate: string; endDate: string; conditions: DiscrepancyConditions | undefined },
  page: { after: bigint; limit: number; scan?: number },
): Promise<Scanned<ListedDiscrepancy, bigint>> {
  const { startDate, endDate, conditions } = search;
  const { after, limit, scan = LIST_SCAN } = page;
  const results = sql`call_result r WHERE r.carrier_id = ${carrierId} AND r.sequence > ${after}`;
  const { rows: found } = await run(tx)<ListedDiscrepancy>`
    SELECT r.carrier_id, r.sequence, r.update_time AS ingest_time, ${DiscrepancyEntryKind.DISCREPANCY}::int2 AS entry_kind, r.payload, r.phone_number
    FROM (SELECT * FROM ${results} ORDER BY r.sequence LIMIT ${scan}) r
    WHERE r.payload IS NOT NULL AND r.call_date >= ${startDate}::date AND r.call_date < ${endDate}::date
      AND ${conditions ? allOf(conditions, STORED) : sql`true`}
    ORDER BY r.sequence LIMIT ${limit}`;
  if (found.length >= limit) return { found, scannedTo: undefined };
  const { rows: end } = await run(tx)<{ sequence: bigint }>`
    SELECT r.sequence FROM ${results} ORDER BY r.sequence OFFSET ${scan - 1} LIMIT 1`;
  return { found, scannedTo: end[0]?.sequence };
}

/** A discrepancy of a list. */
export interface ListedDiscrepancy extends StoredDiscrepancy {
  /** The carrier's number that the call is attributed to, E.164. */
  phoneNumber: string | undefined;
}

/**
 * Whether a side of a result `r` says answered and has no length: a length that is not known is not
 * zero, and nothing can be held against it.
 */
export const IS_UNMEASURED = sql<boolean>`
  (COALESCE(r.platform_answered, false) AND r.platform_ms IS NULL
    OR COALESCE(r.carrier_answered, false) AND r.carrier_ms IS NULL AND r.billed_s IS NULL)`;

/**
 * How far the connected durations of a result `r` are apart, milliseconds: a side without the call,
 * or that says unanswered, counts as nothing; billed seconds where the carrier has nothing finer.
 * Null: nobody knows, for a length is missing.
 */
export const ABSOLUTE_DELTA_MS = sql<bigint>`
  CASE WHEN NOT ${IS_UNMEASURED} THEN abs(COALESCE(r.carrier_ms, r.billed_s * 1000, 0) - COALESCE(r.platform_ms, 0)) END`;

interface Columns {
  readonly status: RawBuilder<unknown>;
  readonly causes: RawBuilder<unknown>;
  readonly customerId: RawBuilder<unknown>;
  readonly trunkId: RawBuilder<unknown>;
  readonly direction: RawBuilder<unknown>;
  readonly unresolved: RawBuilder<unknown>;
  readonly absoluteDeltaMs: RawBuilder<unknown>;
}

const STORED: Columns = {
  status: sql`r.status`,
  causes: sql`r.causes`,
  customerId: sql`r.customer_id`,
  trunkId: sql`r.trunk_id`,
  direction: sql`r.direction`,
  unresolved: sql`(r.resolved_time IS NULL)`,
  absoluteDeltaMs: ABSOLUTE_DELTA_MS,
};
const AFTER: Columns = {
  status: sql`e.status`,
  causes: sql`e.causes`,
  customerId: sql`e.customer_id`,
  trunkId: sql`e.trunk_id`,
  direction: sql`e.direction`,
  unresolved: sql`e.unresolved`,
  absoluteDeltaMs: sql`e.absolute_delta_ms`,
};
const BEFORE: Columns = {
  status: sql`e.previous_status`,
  causes: sql`e.previous_causes`,
  customerId: sql`e.previous_customer_id`,
  trunkId: sql`e.previous_trunk_id`,
  direction: sql`e.previous_direction`,
  unresolved: sql`e.previous_unresolved`,
  absoluteDeltaMs: sql`e.previous_absolute_delta_ms`,
};

// A column without a value matches no condition on it; a discrepancy's first entry has nothing
// before it, and so no status there.
function allOf(conditions: DiscrepancyConditions, columns: Columns): RawBuilder<boolean> {
  const { statuses, causes, customerIds, trunkIds, direction, unresolved, minAbsoluteDeltaMs } = conditions;
  const wheres: RawBuilder<unknown>[] = [sql`${columns.status} IS NOT NULL`];
  if (statuses.length > 0) wheres.push(sql`${columns.status} = ANY(${statuses}::int2[])`);
  if (causes.length > 0)
    wheres.push(sql`${columns.causes} & ${causes.reduce((bits, cause) => bits | (1 << cause), 0)}::int2 <> 0`);
  if (customerIds.length > 0) wheres.push(sql`${columns.customerId} = ANY(${customerIds}::text[])`);
  if (trunkIds.length > 0) wheres.push(sql`${columns.trunkId} = ANY(${trunkIds}::text[])`);
  if (direction !== undefined) wheres.push(sql`${columns.direction} = ${direction}`);
  if (unresolved !== undefined) wheres.push(sql`${columns.unresolved} = ${unresolved}`);
  if (minAbsoluteDeltaMs !== undefined)
    wheres.push(sql`COALESCE(${columns.absoluteDeltaMs}, 0) >= ${minAbsoluteDeltaMs}`);
  return sql<boolean>`(${sql.join(wheres, sql` AND `)})`;
}

function storedDiscrepancy({
  carrierId,
  sequence,
  ingestTime,
  entryKind,
  payload,
}: StoredDiscrepancy): StoredDiscrepancy {
  return { carrierId, sequence, ingestTime, entryKind, payload };
}

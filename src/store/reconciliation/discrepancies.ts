import { type RawBuilder, sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { LIST_SCAN, type Scanned } from "../database/list-scan.ts";
import { readRows, readValue, type Tx } from "../database/run.ts";
import { writeRows } from "../database/write-rows.ts";
import type { FeedLock } from "../feeds/feed-head.ts";
import { type PageRequest, readFeedPage, type StoredPage } from "../feeds/feed-page.ts";

export const DiscrepancyEntryKind = { DISCREPANCY: 1, ERASURE: 2 } as const;

/** Which discrepancies a stream or list gives. Every condition must hold; an empty list is none. */
export interface DiscrepancyConditions {
  statuses: readonly number[];
  /** At least one of these. */
  causes: readonly number[];
  customerIds: readonly string[];
  trunkIds: readonly string[];
  direction: number | undefined;
  unresolved: boolean | undefined;
  /** Least absolute difference of the connected durations, milliseconds. */
  minAbsoluteDeltaMs: bigint | undefined;
}

/** A stored entry of the feed: a discrepancy or an erasure, encoded without its position. */
export interface StoredDiscrepancy {
  carrierId: string;
  sequence: bigint;
  ingestTime: Micros;
  entryKind: number;
  payload: Buffer;
}

/**
 * Reads a page of the feed. A change matches if the discrepancy does before or after it; an erasure
 * always.
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
    entriesOf: (row: StoredDiscrepancy) => [storedDiscrepancy(row)],
    bytesOf: ({ payload }) => payload.length,
  });
}

/**
 * Lists a carrier's discrepancies of [startDate, endDate), each in its newest revision, by
 * sequence. In a transaction as `LIST_PAGE`.
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
  const found = await readRows(tx)<ListedDiscrepancy>`
    SELECT r.carrier_id, r.sequence, r.update_time AS ingest_time, ${DiscrepancyEntryKind.DISCREPANCY}::int2 AS entry_kind, r.payload, r.phone_number
    FROM (SELECT * FROM ${results} ORDER BY r.sequence LIMIT ${scan}) r
    WHERE r.payload IS NOT NULL AND r.call_date >= ${startDate}::date AND r.call_date < ${endDate}::date
      AND ${conditions ? allOf(conditions, STORED) : sql`true`}
    ORDER BY r.sequence LIMIT ${limit}`;
  if (found.length >= limit) return { found, scannedTo: undefined };
  const scannedTo = await readValue(tx)<bigint | undefined>`
    SELECT r.sequence FROM ${results} ORDER BY r.sequence OFFSET ${scan - 1} LIMIT 1`;
  return { found, scannedTo };
}

export interface ListedDiscrepancy extends StoredDiscrepancy {
  /** The carrier's number of the call, E.164. */
  phoneNumber: string | undefined;
}

/** Whether a side of a result `r` says answered without a length. An unknown length is not zero. */
export const IS_UNMEASURED = sql<boolean>`
  (COALESCE(r.platform_answered, false) AND r.platform_ms IS NULL
    OR COALESCE(r.carrier_answered, false) AND r.carrier_ms IS NULL AND r.billed_s IS NULL)`;

/**
 * Absolute difference of the connected durations of a result `r`, milliseconds. A side without the
 * call, or that says unanswered, has none; billed seconds count if the carrier has no finer time.
 * Null: a length is unknown.
 */
export const ABSOLUTE_DELTA_MS = sql<bigint>`
  CASE WHEN NOT ${IS_UNMEASURED} THEN abs(COALESCE(r.carrier_ms, r.billed_s * 1000, 0) - COALESCE(r.platform_ms, 0)) END`;

type Trait = "status" | "causes" | "customer_id" | "trunk_id" | "direction" | "unresolved" | "absolute_delta_ms";
type TraitColumns = (trait: Trait) => RawBuilder<unknown>;

/** Of an entry `e` after and before its change, and of a result `r`. */
const AFTER: TraitColumns = (trait) => sql.ref(`e.${trait}`);
const BEFORE: TraitColumns = (trait) => sql.ref(`e.previous_${trait}`);
const STORED: TraitColumns = (trait) => {
  if (trait === "unresolved") return sql`(r.resolved_time IS NULL)`;
  return trait === "absolute_delta_ms" ? ABSOLUTE_DELTA_MS : sql.ref(`r.${trait}`);
};

// Null matches no condition. A discrepancy's first entry has no status before it.
function allOf(conditions: DiscrepancyConditions, of: TraitColumns): RawBuilder<boolean> {
  const { statuses, causes, customerIds, trunkIds, direction, unresolved, minAbsoluteDeltaMs } = conditions;
  const causeBits = causes.reduce((bits, cause) => bits | (1 << cause), 0);
  const wheres = [
    sql`${of("status")} IS NOT NULL`,
    statuses.length > 0 && sql`${of("status")} = ANY(${statuses}::int2[])`,
    causes.length > 0 && sql`${of("causes")} & ${causeBits}::int2 <> 0`,
    customerIds.length > 0 && sql`${of("customer_id")} = ANY(${customerIds}::text[])`,
    trunkIds.length > 0 && sql`${of("trunk_id")} = ANY(${trunkIds}::text[])`,
    direction !== undefined && sql`${of("direction")} = ${direction}`,
    unresolved !== undefined && sql`${of("unresolved")} = ${unresolved}`,
    minAbsoluteDeltaMs !== undefined && sql`COALESCE(${of("absolute_delta_ms")}, 0) >= ${minAbsoluteDeltaMs}`,
  ].filter((where) => where !== false);
  return sql<boolean>`(${sql.join(wheres, sql` AND `)})`;
}

type EntryColumns = Omit<StoredDiscrepancy, "sequence"> & { sequence: bigint | undefined };

function storedDiscrepancy(columns: EntryColumns): StoredDiscrepancy {
  const { carrierId, sequence = 0n, ingestTime, entryKind, payload } = columns;
  return { carrierId, sequence, ingestTime, entryKind, payload };
}

/** What filters of the discrepancy feed look at. */
export interface DiscrepancyTraits {
  status: number;
  causes: number;
  customerId: string | undefined;
  trunkId: string | undefined;
  direction: number;
  unresolved: boolean;
  absoluteDeltaMs: bigint | undefined;
}

export interface DiscrepancyEntry {
  discrepancyId: string;
  now: DiscrepancyTraits;
  /** Before this change; undefined: it is new. */
  before: DiscrepancyTraits | undefined;
  /** The encoded Discrepancy without its position. */
  payload: Buffer;
}

const ENTRY_COLUMNS = {
  sequence: "int8",
  ingestTime: "timestamptz",
  entryKind: "int2",
  discrepancyId: "text",
  status: "int2",
  causes: "int2",
  customerId: "text",
  trunkId: "text",
  direction: "int2",
  unresolved: "bool",
  absoluteDeltaMs: "int8",
  previousStatus: "int2",
  previousCauses: "int2",
  previousCustomerId: "text",
  previousTrunkId: "text",
  previousDirection: "int2",
  previousUnresolved: "bool",
  previousAbsoluteDeltaMs: "int8",
  payload: "bytea",
} as const;

/** Appends entries, numbered from `lock.nextSequence`. */
export function appendDiscrepancies(
  tx: Tx,
  carrierId: string,
  lock: FeedLock,
  entries: readonly DiscrepancyEntry[],
): Promise<void> {
  const rows = entries.map((entry, index) => entryRow(entry, lock, index));
  return writeRows(tx, { table: "discrepancy_entry", carrierId, columns: ENTRY_COLUMNS }, rows);
}

function entryRow({ discrepancyId, now, before, payload }: DiscrepancyEntry, lock: FeedLock, index: number) {
  return {
    sequence: lock.nextSequence + BigInt(index),
    ingestTime: lock.ingestTime,
    entryKind: DiscrepancyEntryKind.DISCREPANCY as number,
    discrepancyId,
    ...now,
    previousStatus: before?.status,
    previousCauses: before?.causes,
    previousCustomerId: before?.customerId,
    previousTrunkId: before?.trunkId,
    previousDirection: before?.direction,
    previousUnresolved: before?.unresolved,
    previousAbsoluteDeltaMs: before?.absoluteDeltaMs,
    payload,
  };
}

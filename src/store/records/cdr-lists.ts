import { type RawBuilder, sql } from "kysely";
import { CDR, PLATFORM_SIDE } from "../../domain/record-kind.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { LIST_SCAN, type Scanned } from "../database/list-scan.ts";
import { readColumn, readRow, readRows, type Tx } from "../database/run.ts";
import { allOf, type CdrConditions, cdrFloor, isHeldTip, isTip, joinParts, mergeHeld, type StoredCdr } from "./cdrs.ts";
import { recordsOfId } from "./record-at.ts";
import { EntryKind } from "./record-rows.ts";

/** A record as a list has it: with its name. */
export interface ListedCdr extends StoredCdr {
  recordId: string;
  recordDate: string;
  revision: number;
}

/** What a list looks for: a period of invite times, or an id. */
export interface CdrSearch {
  period?: { start: Micros; end: Micros } | undefined;
  dialogCallId?: string | undefined;
  correlationId?: string | undefined;
  callId?: string | undefined;
  recordId?: string | undefined;
  recordDate?: string | undefined;
  conditions?: CdrConditions | undefined;
}

/**
 * Where a page of a list ended. Records without an invite time, VOIDs of what never came, come
 * after all others.
 */
export interface CdrPlace {
  inviteTime: Micros | undefined;
  sequence: bigint;
}

/**
 * Lists the latest revision of each record, by invite time and sequence, after the one that a page
 * ended with: what is kept, and what is held beyond its retention.
 */
export async function listCdrs(
  tx: Tx,
  carrierId: string,
  search: CdrSearch,
  page: CdrPageRequest,
  withNetwork: boolean,
): Promise<ListedCdr[]> {
  return (await scanCdrs(tx, carrierId, search, page, withNetwork)).found;
}

/** The same for a list of a period, and how far it looked. In a transaction as `LIST_PAGE`. */
export async function scanCdrs(
  tx: Tx,
  carrierId: string,
  search: CdrSearch,
  page: CdrPageRequest,
  withNetwork: boolean,
): Promise<Scanned<ListedCdr, CdrPlace>> {
  // In this order: a record that retention takes between the two is in both, and never in neither.
  const list = { ...page, carrierId, search, withNetwork };
  const kept = await listKept(tx, list);
  const held = await listHeld(tx, list);
  const [first, second] = [kept.scannedTo, held.scannedTo];
  const scannedTo = first && second && comparePlaces(second, first) < 0 ? second : (first ?? second);
  const direction = page.newestFirst ? -1 : 1;
  const inOrder = (a: ListedCdr, b: ListedCdr) => direction * comparePlaces(a, b);
  const found = mergeHeld(kept.found, held.found, page.limit, inOrder);
  return { found: scannedTo ? found.filter((cdr) => comparePlaces(cdr, scannedTo) <= 0) : found, scannedTo };
}

/** Which page of a list. */
interface CdrPageRequest {
  readonly after?: CdrPlace | undefined;
  readonly limit: number;
  readonly newestFirst?: boolean;
  /** Most rows to look at. Default `LIST_SCAN`. */
  readonly scan?: number;
}

interface CdrList extends CdrPageRequest {
  readonly carrierId: string;
  readonly search: CdrSearch;
  readonly withNetwork: boolean;
}

async function listKept(tx: Tx, list: CdrList): Promise<Scanned<ListedCdr, CdrPlace>> {
  const { carrierId, search, withNetwork, limit } = list;
  const records = sql`cdr_record r WHERE r.carrier_id = ${carrierId}${inPeriod(list)}`;
  const from = isNamed(search) ? recordsNamed(carrierId, search) : scanned(records, list);
  // The parts of held records that are past their retention are with the held copy.
  const rows = await readRows(tx)<ListedCdr>`
    SELECT r.carrier_id, r.sequence, r.ingest_time, r.entry_kind, r.record_id, r.record_date, r.revision, r.invite_time, r.payload, COALESCE(q.payload, x.quality) AS quality,
      ${withNetwork ? sql`COALESCE(n.payload, x.network)` : sql`NULL::bytea`} AS network
    FROM (
      SELECT r.* FROM ${from}
      WHERE ${sql.join(searchConditions(list), sql` AND `)} AND r.sequence >= ${cdrFloor(carrierId)} AND ${isTip("cdr_key", carrierId)}
      ORDER BY ${orderOf(list)} LIMIT ${limit}) r
    ${joinParts(carrierId, withNetwork)}
    LEFT JOIN LATERAL (
      SELECT h.quality, h.network FROM held_record h WHERE h.carrier_id = ${carrierId} AND h.side = ${sql.lit(PLATFORM_SIDE)} AND h.sequence = r.sequence LIMIT 1) x ON true
    ORDER BY ${orderOf(list)}`;
  return { found: rows, scannedTo: await readScanEnd(tx, records, list, rows.length) };
}

// The first rows in order, to which the conditions are then applied.
function scanned(records: RawBuilder<unknown>, page: CdrPageRequest): RawBuilder<unknown> {
  return sql`(SELECT * FROM ${records} ORDER BY ${orderOf(page)} LIMIT ${page.scan ?? LIST_SCAN}) r`;
}

// The last of the scanned rows, if the scan reached its limit and the page is not full.
async function readScanEnd(
  tx: Tx,
  records: RawBuilder<unknown>,
  list: CdrList,
  found: number,
): Promise<CdrPlace | undefined> {
  if (isNamed(list.search) || found >= list.limit) return undefined;
  return readRow(tx)<{ inviteTime: Micros | undefined; sequence: bigint }>`
    SELECT r.invite_time, r.sequence FROM ${records} ORDER BY ${orderOf(list)} OFFSET ${(list.scan ?? LIST_SCAN) - 1} LIMIT 1`;
}

function isNamed(search: CdrSearch): boolean {
  return search.recordId !== undefined || idsOf(search).length > 0;
}

/** The columns of the ids that are asked for. */
function idsOf({ callId, dialogCallId, correlationId }: CdrSearch) {
  const ids = { call_id: callId, dialog_call_id: dialogCallId, correlation_id: correlationId };
  return Object.entries(ids).filter(([, id]) => id !== undefined);
}

function recordsNamed(carrierId: string, search: CdrSearch): RawBuilder<unknown> {
  const { recordId, recordDate } = search;
  return recordId === undefined ? recordsOfCall(carrierId, search) : recordsOfId(CDR, carrierId, recordId, recordDate);
}

// By the id first, and then the period: the index of the order would read all records of the period
// for the few that have the id.
function recordsOfCall(carrierId: string, search: CdrSearch): RawBuilder<unknown> {
  const [named] = idsOf(search);
  if (!named) return sql`cdr_record r`;
  return sql`(SELECT * FROM cdr_record i WHERE i.carrier_id = ${carrierId} AND ${sql.ref(`i.${named[0]}`)} = ${named[1]} OFFSET 0) r`;
}

async function listHeld(tx: Tx, list: CdrList): Promise<Scanned<ListedCdr, CdrPlace>> {
  const { carrierId, search, withNetwork, limit } = list;
  const copies = sql`(SELECT h.*, h.start_time AS invite_time FROM held_record h WHERE h.carrier_id = ${carrierId} AND h.side = ${sql.lit(PLATFORM_SIDE)}) r`;
  const records = sql`${copies} WHERE r.carrier_id = ${carrierId}${inPeriod(list)}`;
  const wheres = searchConditions(list);
  if (search.recordId !== undefined) wheres.push(sql`r.record_id = ${search.recordId}`);
  if (search.recordDate !== undefined) wheres.push(sql`r.record_date = ${search.recordDate}::date`);
  const rows = await readRows(tx)<ListedCdr>`
    SELECT r.carrier_id, r.sequence, r.ingest_time, r.entry_kind, r.record_id, r.record_date, r.revision, r.invite_time, r.payload, r.quality,
      ${withNetwork ? sql`r.network` : sql`NULL::bytea`} AS network
    FROM ${isNamed(search) ? copies : scanned(records, list)}
    WHERE ${sql.join(wheres, sql` AND `)} AND r.sequence < ${cdrFloor(carrierId)} AND ${isTip("cdr_key", carrierId)} AND ${isHeldTip(carrierId)}
    ORDER BY ${orderOf(list)} LIMIT ${limit}`;
  return { found: rows, scannedTo: await readScanEnd(tx, records, list, rows.length) };
}

function searchConditions(list: CdrList): RawBuilder<unknown>[] {
  const { carrierId, search } = list;
  const wheres: RawBuilder<unknown>[] = [
    sql`r.carrier_id = ${carrierId}${inPeriod(list)}`,
    sql`r.entry_kind <> ${EntryKind.ERASURE}`,
  ];
  for (const [column, id] of idsOf(search)) wheres.push(sql`${sql.ref(`r.${column}`)} = ${id}`);
  if (search.conditions) wheres.push(allOf(search.conditions));
  return wheres;
}

function inPeriod({ search: { period }, after }: CdrList): RawBuilder<unknown> {
  const wheres: RawBuilder<unknown>[] = [];
  if (period)
    wheres.push(
      sql`r.invite_time >= ${isoFromMicros(period.start)}::timestamptz AND r.invite_time < ${isoFromMicros(period.end)}::timestamptz`,
    );
  if (after) wheres.push(isBehind(after, period !== undefined));
  return wheres.length === 0 ? sql`` : sql` AND ${sql.join(wheres, sql` AND `)}`;
}

function orderOf(page: CdrPageRequest): RawBuilder<unknown> {
  return page.newestFirst ? sql`r.invite_time DESC, r.sequence DESC` : sql`r.invite_time, r.sequence`;
}

// In PostgreSQL's order: records without an invite time last, and first when descending.
function comparePlaces(left: CdrPlace, right: CdrPlace): number {
  const timeOf = ({ inviteTime }: CdrPlace) => inviteTime ?? 2n ** 63n;
  const compare = (a: bigint, b: bigint) => (a < b ? -1 : Number(a > b));
  return compare(timeOf(left), timeOf(right)) || compare(left.sequence, right.sequence);
}

function isBehind({ inviteTime, sequence }: CdrPlace, allHaveTimes: boolean): RawBuilder<boolean> {
  if (inviteTime === undefined) return sql<boolean>`r.invite_time IS NULL AND r.sequence > ${sequence}::int8`;
  const later = sql<boolean>`(r.invite_time, r.sequence) > (${isoFromMicros(inviteTime)}::timestamptz, ${sequence}::int8)`;
  return allHaveTimes ? later : sql<boolean>`(${later} OR r.invite_time IS NULL)`;
}

/**
 * The carriers that have a record id or a call id: for the platform, in a system transaction. At
 * most `limit`. OFFSET 0: carriers are asked one by one, so that the ids of all are never read.
 */
export function findCarriersOfCdr(
  tx: Tx,
  name: { recordId?: string; callId?: string },
  limit: number,
): Promise<string[]> {
  return readColumn(tx)<string>`
    SELECT c.carrier_id FROM carrier c
    WHERE EXISTS (${
      name.recordId === undefined
        ? sql`SELECT FROM cdr_record r WHERE r.carrier_id = c.carrier_id AND r.call_id = ${name.callId ?? ""}`
        : sql`SELECT FROM cdr_key k WHERE k.carrier_id = c.carrier_id AND k.record_id = ${name.recordId}`
    } OFFSET 0) OR EXISTS (SELECT FROM held_record x WHERE x.carrier_id = c.carrier_id AND x.side = ${sql.lit(PLATFORM_SIDE)}
      AND ${name.recordId === undefined ? sql`x.call_id = ${name.callId ?? ""}` : sql`x.record_id = ${name.recordId}`} OFFSET 0) ORDER BY c.carrier_id LIMIT ${limit}`;
}

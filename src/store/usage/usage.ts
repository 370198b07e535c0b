import { createHash } from "node:crypto";
import { type RawBuilder, sql } from "kysely";
import type { Stated } from "../../domain/enum-values.ts";
import type { Micros } from "../../domain/time/instant.ts";
import type { ReportedCell } from "../../domain/usage/reporting.ts";
import {
  addParts,
  type PartTotals,
  SUMS,
  totalsOfSums,
  USAGE_PARTS,
  type UsageTotals,
} from "../../domain/usage/totals.ts";
import type { DatedPeriod, UsageFilter } from "../../domain/usage/usage-scope.ts";
import { UsageDimension, UsagePart } from "../../gen/tandem/platform/v1/usage_pb.js";
import { instant, readRows, run, snakeCase, type Tx } from "../database/run.ts";
import { USAGE_SUMS } from "./call-figures.ts";
import { type SumSource, summedUsage } from "./summed-usage.ts";
import { type PeriodVersion, usageRelation } from "./usage-source.ts";

/** Longest statement over usage, milliseconds. */
export const USAGE_TIMEOUT_MS = 30_000;

/** Which usage, in which state. */
export interface UsageQuery {
  readonly period: DatedPeriod;
  readonly filter: UsageFilter;
  /** At least one. Closed lines, and so versions, have no OTHER_PARTY. */
  readonly groupBy: readonly Stated<UsageDimension>[];
  readonly versions: readonly PeriodVersion[];
  readonly otherParty: OtherPartyView;
  /** The sums that tell it where no number is asked for; undefined: calls are read one by one. */
  readonly sums?: SumSource | undefined;
}

export interface OtherPartyView {
  /**
   * Whether its number is shown whole. If masked, the order of rows tells no more than the mask.
   */
  readonly isWhole: boolean;
  /** The key of the hash that tells other parties apart. */
  readonly secret: Buffer;
}

/** A group: its key, with empty texts for absent values, and its sums. */
export interface UsageGroup {
  readonly key: readonly string[];
  readonly parts: PartTotals;
}

export type KeyColumn = Stated<UsageDimension> | "OTHER_PARTY_KEY";

/**
 * The columns of a key, which order the groups. OTHER_PARTY gets a second one, to tell equal masked
 * numbers apart.
 */
export function keyColumns(groupBy: readonly Stated<UsageDimension>[]): KeyColumn[] {
  return groupBy.flatMap((dimension): KeyColumn[] =>
    dimension === UsageDimension.OTHER_PARTY ? [dimension, "OTHER_PARTY_KEY"] : [dimension],
  );
}

/** Reads a page of groups by key. In a system transaction. */
export async function readUsageGroups(
  tx: Tx,
  query: UsageQuery,
  page: { after: readonly string[] | undefined; limit: number },
): Promise<UsageGroup[]> {
  const columns = keyColumns(query.groupBy);
  const after = page.after
    ? sql`WHERE (${sql.join(columns.map(keyName))}) > (${sql.join(columns.map((column, index) => keyValue(column, page.after?.[index] ?? "")))})`
    : sql``;
  const rows = await readRows(tx)<GroupRow>`
    ${groupsOf(query)} ${after} ORDER BY ${sql.join(columns.map(keyName))} LIMIT ${page.limit}`;
  return rows.map((row) => usageGroup(row, columns.length));
}

/**
 * Reads all groups by key, in batches. In a system transaction with a snapshot; between batches
 * wait for nothing but the database.
 */
export async function* readAllUsageGroups(tx: Tx, query: UsageQuery, batchSize: number): AsyncGenerator<UsageGroup[]> {
  const columns = keyColumns(query.groupBy);
  await run(tx)`
    DECLARE usage_groups NO SCROLL CURSOR FOR ${groupsOf(query)} ORDER BY ${sql.join(columns.map(keyName))}`;
  while (true) {
    const rows = await readRows(tx)<GroupRow>`FETCH ${sql.lit(batchSize)} FROM usage_groups`;
    if (rows.length > 0) yield rows.map((row) => usageGroup(row, columns.length));
    if (rows.length < batchSize) return;
  }
}

/** The sums of one carrier. */
export interface CarrierUsage {
  readonly carrierId: string;
  readonly parts: PartTotals;
  /** By day and direction, without the days of closed versions. */
  readonly cells: readonly ReportedCell[];
}

/** Sums usage up by carrier, with which calls each carrier reported. In a system transaction. */
export async function readCarrierUsage(
  tx: Tx,
  query: Pick<UsageQuery, "period" | "filter" | "versions" | "sums">,
): Promise<CarrierUsage[]> {
  const { versions } = query;
  const rows = await readRows(tx)<CarrierRow>`
    SELECT u.carrier_id, u.part, u.usage_date, u.direction, ${USAGE_SUMS}, sum(u.reported)::int8 AS reported, min(u.source) AS source
    FROM (SELECT s.*, ${versions.length === 0 ? sql`1` : liveDay(versions)} AS source FROM (${relationOf(query, [])}) s) u
    GROUP BY u.carrier_id, u.part, u.usage_date, u.direction HAVING sum(u.attempts) > 0 ORDER BY u.carrier_id COLLATE "C"`;
  return [...Map.groupBy(rows, (row) => row.carrierId)].map(([carrierId, found]) => carrierUsage(carrierId, found));
}

/** A carrier that held a number of a customer or carried its calls in a period. */
export interface UsageCarrier {
  readonly carrierId: string;
  /** Undefined: never. */
  readonly reconciledThrough: Micros | undefined;
  /** The agreement's revision and the rules' version, by which its calls are judged. */
  readonly rules: string;
}

/**
 * Reads the carriers that held a number of the customer in a period, and some others, by id. In a
 * system transaction.
 */
export function readUsageCarriers(
  tx: Tx,
  { customerId, startDate, endDate, days }: DatedPeriod,
  others: readonly string[],
): Promise<UsageCarrier[]> {
  return readRows(tx)<UsageCarrier>`
    SELECT c.carrier_id, p.reconciled_through, COALESCE(p.agreement_revision || ':' || p.rule_version, '') AS rules
    FROM (SELECT carrier_id FROM number_holding
          WHERE customer_id = ${customerId} AND start_time < end_time AND start_time < ${instant(days.startOf(endDate))}
            AND end_time > ${instant(days.startOf(startDate))}
          UNION SELECT unnest(${[...others]}::text[])) c
    LEFT JOIN reconcile_position p ON p.carrier_id = c.carrier_id
    ORDER BY c.carrier_id COLLATE "C"`;
}

const SUM_COLUMNS = SUMS.map(snakeCase);

/** The key's columns `k`, and the sums of each part `p`. */
type GroupRow = Record<`k${number}`, string | number> & Record<`p${number}/${string}`, bigint | undefined>;

interface CarrierRow extends UsageTotals {
  carrierId: string;
  part: UsagePart;
  usageDate: string;
  direction: number;
  reported: bigint;
  /** 1: as it is now; 0: a closed version. */
  source: number;
}

// Summed by the raw columns first, so that a number is masked and hashed once and not for each
// call.
function groupsOf(query: UsageQuery): RawBuilder<unknown> {
  const { period, groupBy, otherParty } = query;
  const raw = groupBy.map((dimension) => sql.ref(`u.${COLUMNS[dimension]}`));
  const columns = keyColumns(groupBy);
  const keys = columns.map(
    (column, index) => sql`${keyOf(column, period.customerId, otherParty)} AS ${keyName(column, index)}`,
  );
  const byPart = USAGE_PARTS.flatMap((part) =>
    SUM_COLUMNS.map(
      (name) =>
        sql`sum(s.${sql.ref(name)}) FILTER (WHERE s.part = ${sql.lit(part)})::int8 AS ${sql.ref(`p${part}/${name}`)}`,
    ),
  );
  const names = columns.map(keyName);
  return sql`
    SELECT * FROM (
      SELECT ${sql.join(names)}, ${sql.join(byPart)} FROM (
        SELECT ${sql.join(keys)}, g.part, ${sql.join(SUM_COLUMNS.map((name) => sql.ref(`g.${name}`)))} FROM (
          SELECT ${sql.join(raw)}, u.part, ${USAGE_SUMS} FROM (${relationOf(query, groupBy)}) u
          GROUP BY ${sql.join(raw)}, u.part HAVING sum(u.attempts) > 0) g) s
      GROUP BY ${sql.join(names)}) k`;
}

function relationOf(
  { period, filter, versions, sums }: Pick<UsageQuery, "period" | "filter" | "versions" | "sums">,
  groupBy: readonly UsageDimension[],
): RawBuilder<unknown> {
  const isByNumber =
    filter.phoneNumbers.length > 0 ||
    groupBy.some((by) => by === UsageDimension.NUMBER || by === UsageDimension.OTHER_PARTY);
  if (sums === undefined || isByNumber || versions.length > 0) return usageRelation(period, filter, versions);
  return summedUsage(period, filter, sums);
}

const COLUMNS: Readonly<Record<Stated<UsageDimension>, string>> = {
  [UsageDimension.DAY]: "usage_date",
  [UsageDimension.NUMBER]: "phone_number",
  [UsageDimension.DIRECTION]: "direction",
  [UsageDimension.COUNTRY]: "country_code",
  [UsageDimension.CARRIER]: "carrier_id",
  [UsageDimension.OTHER_PARTY]: "other_number",
};

function keyOf(column: KeyColumn, customerId: string, { isWhole, secret }: OtherPartyView): RawBuilder<unknown> {
  if (column === UsageDimension.OTHER_PARTY)
    return sql`COALESCE(${isWhole ? sql`g.other_number` : MASKED}, '') COLLATE "C"`;
  if (column === "OTHER_PARTY_KEY") return sql`COALESCE(${otherPartyKey(customerId, secret)}, '') COLLATE "C"`;
  const value = sql.ref(`g.${COLUMNS[column]}`);
  const isText = column !== UsageDimension.DAY && column !== UsageDimension.DIRECTION;
  return isText ? sql`${value} COLLATE "C"` : value;
}

/**
 * Masks as domain/calls/party.ts does: the last three digits of a number, and every digit behind
 * it; all of a text without a number or beyond ASCII. Codes of up to six digits stay whole. Longer
 * ones may be a national number, since the kind of party is not kept here.
 */
const NUMBER_PART = sql`substring(g.other_number FROM '^[^@;]*')`;

const MASKED = sql`
  CASE WHEN g.other_number ~ '^[0-9]{2,6}$' THEN g.other_number
       WHEN octet_length(g.other_number) > char_length(g.other_number) OR ${NUMBER_PART} !~ '[0-9]' THEN '***'
       WHEN length(regexp_replace(${NUMBER_PART}, '[^0-9]', '', 'g')) > 15 THEN regexp_replace(g.other_number, '[0-9]', '*', 'g')
       ELSE regexp_replace(${NUMBER_PART}, '[0-9](?=([^0-9]*[0-9]){0,2}[^0-9]*$)', '*', 'g')
         || regexp_replace(COALESCE(substring(g.other_number FROM '[@;].*$'), ''), '[0-9]', '*', 'g') END`;

/**
 * HMAC-SHA-256 (RFC 2104) of customer and number: 16 bytes in base64url. PostgreSQL's core has only
 * the plain hash, so the key's two pads are parameters.
 */
function otherPartyKey(customerId: string, secret: Buffer): RawBuilder<unknown> {
  const key = createHash("sha256").update("tandem other party\0").update(secret).digest();
  const block = Buffer.concat([key, Buffer.alloc(64 - key.length)]);
  const pad = (byte: number) => Buffer.from(block.map((value) => value ^ byte));
  const inner = Buffer.concat([pad(0x36), Buffer.from(`${customerId}\0`)]);
  const digest = sql`sha256(${pad(0x5c)}::bytea || sha256(${inner}::bytea || convert_to(g.other_number, 'UTF8')))`;
  return sql`translate(left(encode(substring(${digest} FROM 1 FOR 16), 'base64'), 22), '+/', '-_')`;
}

function keyName(_: KeyColumn, index: number): RawBuilder<unknown> {
  return sql.ref(`k${index}`);
}

function keyValue(column: KeyColumn, value: string): RawBuilder<unknown> {
  if (column === UsageDimension.DAY) return sql`${value}::date`;
  if (column === UsageDimension.DIRECTION) return sql`${value}::int2`;
  return sql`${value}::text`;
}

function liveDay(versions: readonly PeriodVersion[]): RawBuilder<unknown> {
  const within = versions.map(
    ({ startDate, endDate }) => sql`(s.usage_date >= ${startDate}::date AND s.usage_date < ${endDate}::date)`,
  );
  return sql`CASE WHEN ${sql.join(within, sql` OR `)} THEN 0 ELSE 1 END`;
}

function usageGroup(row: GroupRow, columns: number): UsageGroup {
  const parts = new Map<UsagePart, UsageTotals>();
  for (const part of USAGE_PARTS) {
    if (row[`p${part}/attempts`]) parts.set(part, totalsOfSums(SUMS.map((name) => row[`p${part}/${name}`])));
  }
  return { key: Array.from({ length: columns }, (_, index) => String(row[`k${index}`])), parts };
}

function carrierUsage(carrierId: string, rows: readonly CarrierRow[]): CarrierUsage {
  const parts = new Map<UsagePart, UsageTotals>();
  const cells = new Map<string, { expected: bigint; reported: bigint; outside: bigint; answeredOutside: bigint }>();
  for (const row of rows) {
    addParts(parts, new Map([[row.part, row]]));
    if (row.source === 0 || row.part === UsagePart.PENDING) continue;
    const name = `${row.usageDate} ${row.direction}`;
    const cell = cells.get(name) ?? { expected: 0n, reported: 0n, outside: 0n, answeredOutside: 0n };
    cells.set(name, cell);
    cell.reported += row.reported;
    if (row.part !== UsagePart.NOT_REPORTED) cell.expected += row.attempts;
    else {
      cell.outside += row.attempts;
      cell.answeredOutside += row.answered;
    }
  }
  return { carrierId, parts, cells: [...cells.values()] };
}

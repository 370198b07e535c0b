import { createHash } from "node:crypto";
import { type RawBuilder, sql } from "kysely";
import type { Stated } from "../../domain/enum-values.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import type { ReportedCell } from "../../domain/usage/reporting.ts";
import { addParts, type PartTotals, USAGE_PARTS, type UsageTotals } from "../../domain/usage/totals.ts";
import type { DatedPeriod, UsageFilter } from "../../domain/usage/usage-scope.ts";
import { UsageDimension, UsagePart } from "../../gen/tandem/platform/v1/usage_pb.js";
import { run, type Tx } from "../database/run.ts";
import { type PeriodVersion, usageRelation } from "./usage-source.ts";

/** Longest that one statement over usage may take, milliseconds. */
export const USAGE_TIMEOUT_MS = 30_000;

/** Which usage, from which state of the figures. */
export interface UsageQuery {
  readonly period: DatedPeriod;
  readonly filter: UsageFilter;
  /** At least one. Not OTHER_PARTY with versions: closed lines do not have it. */
  readonly groupBy: readonly Stated<UsageDimension>[];
  readonly versions: readonly PeriodVersion[];
  readonly otherParty: OtherPartyView;
}

/** How the other party is shown. */
export interface OtherPartyView {
  /**
   * Whether its number is shown whole; masked, the order of rows tells no more than the masked
   * numbers do.
   */
  readonly isWhole: boolean;
  /** The key of the keyed hash that tells other parties apart. */
  readonly secret: Buffer;
}

/** One group: the value of each column of its key, '' where there is none, and its sums. */
export interface UsageGroup {
  /** As `keyColumns` has them. */
  readonly key: readonly string[];
  readonly parts: PartTotals;
}

/** What a column of a group's key holds. */
export type KeyColumn = Stated<UsageDimension> | "OTHER_PARTY_KEY";

/**
 * The columns of a group's key, by which groups are ordered: the dimensions, and after OTHER_PARTY
 * what tells equal masked numbers apart.
 */
export function keyColumns(groupBy: readonly Stated<UsageDimension>[]): KeyColumn[] {
  return groupBy.flatMap((dimension): KeyColumn[] =>
    dimension === UsageDimension.OTHER_PARTY ? [dimension, "OTHER_PARTY_KEY"] : [dimension],
  );
}

/** Reads a page of groups in the order of their keys. In a system transaction. */
export async function readUsageGroups(
  tx: Tx,
  query: UsageQuery,
  page: { after: readonly string[] | undefined; limit: number },
): Promise<UsageGroup[]> {
  const columns = keyColumns(query.groupBy);
  const after = page.after
    ? sql`WHERE (${sql.join(columns.map(keyName))}) > (${sql.join(columns.map((column, index) => keyValue(column, page.after?.[index] ?? "")))})`
    : sql``;
  const { rows } = await run(tx)<GroupRow>`
    ${groupsOf(query)} ${after} ORDER BY ${sql.join(columns.map(keyName))} LIMIT ${page.limit}`;
  return rows.map((row) => usageGroup(row, columns.length));
}

/**
 * Reads all groups in the order of their keys, so many at a time, from one state. In a system
 * transaction with a snapshot, which lasts for as long as this is walked: nothing may be waited for
 * in between that is not the database.
 */
export async function* readAllUsageGroups(tx: Tx, query: UsageQuery, batchSize: number): AsyncGenerator<UsageGroup[]> {
  const columns = keyColumns(query.groupBy);
  await run(tx)`
    DECLARE usage_groups NO SCROLL CURSOR FOR ${groupsOf(query)} ORDER BY ${sql.join(columns.map(keyName))}`;
  while (true) {
    const { rows } = await run(tx)<GroupRow>`FETCH ${sql.lit(batchSize)} FROM usage_groups`;
    if (rows.length > 0) yield rows.map((row) => usageGroup(row, columns.length));
    if (rows.length < batchSize) return;
  }
}

/** The sums of one carrier. */
export interface CarrierUsage {
  readonly carrierId: string;
  readonly parts: PartTotals;
  /** By day and direction; without the days that are shown as they were. */
  readonly cells: readonly ReportedCell[];
}

/**
 * Sums up usage by carrier, and which of its calls each carrier reported. In a system transaction.
 */
export async function readCarrierUsage(
  tx: Tx,
  { period, filter, versions }: Pick<UsageQuery, "period" | "filter" | "versions">,
): Promise<CarrierUsage[]> {
  const { rows } = await run(tx)<CarrierRow>`
    SELECT u.carrier_id, u.part, u.usage_date, u.direction, sum(u.attempts)::int8 AS attempts, sum(u.answered)::int8 AS answered,
      sum(u.connected_ms)::int8 AS connected_ms, sum(u.billed_count)::int8 AS billed_count, sum(u.billed_s)::int8 AS billed_s,
      sum(u.unmeasured)::int8 AS unmeasured, sum(u.reported)::int8 AS reported, min(u.source) AS source
    FROM (SELECT s.*, ${versions.length === 0 ? sql`1` : liveDay(versions)} AS source FROM (${usageRelation(period, filter, versions)}) s) u
    GROUP BY u.carrier_id, u.part, u.usage_date, u.direction ORDER BY u.carrier_id COLLATE "C"`;
  return [...Map.groupBy(rows, (row) => row.carrierId)].map(([carrierId, found]) => carrierUsage(carrierId, found));
}

/**
 * A carrier that held a number of a customer in a period, or carried a call of it; and how far it
 * is reconciled.
 */
export interface UsageCarrier {
  readonly carrierId: string;
  /** Undefined: it was never looked at. */
  readonly reconciledThrough: Micros | undefined;
  /** The agreement's revision and the version of the rules by which its calls are judged. */
  readonly rules: string;
}

/**
 * Reads the carriers that held a number of the customer in a period, with these besides, by id. In
 * a system transaction.
 */
export async function readUsageCarriers(
  tx: Tx,
  { customerId, startDate, endDate, days }: DatedPeriod,
  others: readonly string[],
): Promise<UsageCarrier[]> {
  const midnight = (day: string) => sql`${isoFromMicros(days.startOf(day))}::timestamptz`;
  const { rows } = await run(tx)<{
    carrierId: string;
    reconciledThrough: Micros | undefined;
    rules: string | undefined;
  }>`
    SELECT c.carrier_id, p.reconciled_through, p.agreement_revision || ':' || p.rule_version AS rules
    FROM (SELECT carrier_id FROM number_holding
          WHERE customer_id = ${customerId} AND start_time < end_time AND start_time < ${midnight(endDate)} AND end_time > ${midnight(startDate)}
          UNION SELECT unnest(${[...others]}::text[])) c
    LEFT JOIN reconcile_position p ON p.carrier_id = c.carrier_id
    ORDER BY c.carrier_id COLLATE "C"`;
  return rows.map((row) => ({ ...row, rules: row.rules ?? "" }));
}

/** The columns of sums, in the order in which usage_line and usage_period keep them. */
const SUMS = ["attempts", "answered", "connected_ms", "billed_count", "billed_s", "unmeasured"] as const;

type GroupRow = Record<`k${number}`, string | number> &
  Record<`p${number}${Capitalize<keyof UsageTotals>}`, bigint | undefined>;

interface CarrierRow extends UsageTotals {
  carrierId: string;
  part: UsagePart;
  usageDate: string;
  direction: number;
  reported: bigint;
  /** 1: as it is now. */
  source: number;
}

// First summed as it lies, so that the other party is masked and hashed once for each number and
// not for each call.
function groupsOf({ period, filter, groupBy, versions, otherParty }: UsageQuery): RawBuilder<unknown> {
  const raw = groupBy.map((dimension) => RAW_COLUMNS[dimension]);
  const columns = keyColumns(groupBy);
  const keys = columns.map(
    (column, index) => sql`${keyOf(column, period.customerId, otherParty)} AS ${keyName(column, index)}`,
  );
  const sums = SUMS.map((name) => sql`sum(u.${sql.ref(name)})::int8 AS ${sql.ref(name)}`);
  const byPart = USAGE_PARTS.flatMap((part) =>
    SUMS.map(
      (name) =>
        sql`sum(s.${sql.ref(name)}) FILTER (WHERE s.part = ${sql.lit(part)})::int8 AS ${sql.ref(`p${part}_${name}`)}`,
    ),
  );
  const names = columns.map(keyName);
  return sql`
    SELECT * FROM (
      SELECT ${sql.join(names)}, ${sql.join(byPart)} FROM (
        SELECT ${sql.join(keys)}, g.part, ${sql.join(SUMS.map((name) => sql.ref(`g.${name}`)))} FROM (
          SELECT ${sql.join(raw)}, u.part, ${sql.join(sums)} FROM (${usageRelation(period, filter, versions)}) u
          GROUP BY ${sql.join(raw)}, u.part) g) s
      GROUP BY ${sql.join(names)}) k`;
}

const RAW_COLUMNS: Readonly<Record<Stated<UsageDimension>, RawBuilder<unknown>>> = {
  [UsageDimension.DAY]: sql`u.usage_date`,
  [UsageDimension.NUMBER]: sql`u.phone_number`,
  [UsageDimension.DIRECTION]: sql`u.direction`,
  [UsageDimension.COUNTRY]: sql`u.country_code`,
  [UsageDimension.CARRIER]: sql`u.carrier_id`,
  [UsageDimension.OTHER_PARTY]: sql`u.other_number`,
};

function keyOf(column: KeyColumn, customerId: string, otherParty: OtherPartyView): RawBuilder<unknown> {
  switch (column) {
    case UsageDimension.DAY:
      return sql`g.usage_date`;
    case UsageDimension.NUMBER:
      return sql`g.phone_number COLLATE "C"`;
    case UsageDimension.DIRECTION:
      return sql`g.direction`;
    case UsageDimension.COUNTRY:
      return sql`g.country_code COLLATE "C"`;
    case UsageDimension.CARRIER:
      return sql`g.carrier_id COLLATE "C"`;
    case UsageDimension.OTHER_PARTY:
      return sql`COALESCE(${otherParty.isWhole ? sql`g.other_number` : MASKED}, '') COLLATE "C"`;
    case "OTHER_PARTY_KEY":
      return sql`COALESCE(${otherPartyKey(customerId, otherParty.secret)}, '') COLLATE "C"`;
    default:
      return column satisfies never;
  }
}

/**
 * As domain/calls/party.ts does it: of the number the last three digits, whatever stands between
 * them, and of what follows it every digit; all of what has no number, and of what is written
 * beyond ASCII. Codes of up to six digits are whole; seven digits and more may be somebody's number
 * in national form, and what kind of party it was is not kept here.
 */
const NUMBER_PART = sql`substring(g.other_number FROM '^[^@;]*')`;

const MASKED = sql`
  CASE WHEN g.other_number ~ '^[0-9]{2,6}$' THEN g.other_number
       WHEN octet_length(g.other_number) > char_length(g.other_number) OR ${NUMBER_PART} !~ '[0-9]' THEN '***'
       WHEN length(regexp_replace(${NUMBER_PART}, '[^0-9]', '', 'g')) > 15 THEN regexp_replace(g.other_number, '[0-9]', '*', 'g')
       ELSE regexp_replace(${NUMBER_PART}, '[0-9](?=([^0-9]*[0-9]){0,2}[^0-9]*$)', '*', 'g')
         || regexp_replace(COALESCE(substring(g.other_number FROM '[@;].*$'), ''), '[0-9]', '*', 'g') END`;

/**
 * HMAC-SHA-256 (RFC 2104) of customer and number, 16 bytes of it in base64url: PostgreSQL has the
 * hash in its core, and the keyed one only in an extension. The key's two pads come as parameters.
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
    const attempts = row[`p${part}Attempts`];
    if (!attempts) continue;
    parts.set(part, {
      attempts,
      answered: row[`p${part}Answered`] ?? 0n,
      connectedMs: row[`p${part}ConnectedMs`] ?? 0n,
      billedCount: row[`p${part}BilledCount`] ?? 0n,
      billedS: row[`p${part}BilledS`] ?? 0n,
      unmeasured: row[`p${part}Unmeasured`] ?? 0n,
    });
  }
  return { key: Array.from({ length: columns }, (_, index) => String(row[`k${index}`])), parts };
}

function carrierUsage(carrierId: string, rows: readonly CarrierRow[]): CarrierUsage {
  const parts = new Map<UsagePart, UsageTotals>();
  const cells = new Map<string, { expected: bigint; reported: bigint; outside: bigint; answeredOutside: bigint }>();
  for (const row of rows) {
    addParts(parts, new Map([[row.part, sumsOf(row)]]));
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

function sumsOf(row: CarrierRow): UsageTotals {
  const { attempts, answered, connectedMs, billedCount, billedS, unmeasured } = row;
  return { attempts, answered, connectedMs, billedCount, billedS, unmeasured };
}

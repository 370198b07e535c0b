import { type RawBuilder, sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import { BLOCK_SEQUENCES } from "../../domain/privacy/disclosure.ts";
import { addDays, type Micros } from "../../domain/time/instant.ts";
import { int8Array } from "../database/binary-array.ts";
import { instant, readValue, run, type Tx, unnest } from "../database/run.ts";

// The disclosure log of a carrier, newest first, in system transactions. An index answers every
// question: a block is found by its sequences, a row by the keys of its records, a period by its
// days.

/** An entry of a feed, as blocks cover it. */
export interface FeedEntry {
  readonly feed: typeof FeedId.CDRS | typeof FeedId.DISCREPANCIES;
  readonly sequence: bigint;
  readonly ingestTime: Micros;
}

export type DisclosureSubject =
  | {
      readonly of: "records";
      readonly entries: readonly FeedEntry[];
      readonly keys: readonly bigint[];
      /** Only this revision of the record with this key; absent: any. */
      readonly only?: { readonly key: bigint; readonly revision: number } | undefined;
    }
  /** Days [startDate, endDate). */
  | { readonly of: "period"; readonly startDate: string; readonly endDate: string };

export interface DisclosureSelection {
  readonly recipientKind: number | undefined;
  readonly start: Micros | undefined;
  readonly end: Micros | undefined;
  readonly after: DisclosurePlace | undefined;
  readonly limit: number;
}

/** A disclosure's place in the order of lists. */
export interface DisclosurePlace {
  readonly commitTime: Micros;
  readonly disclosureId: string;
}

export interface FoundDisclosure extends DisclosurePlace {
  /** How many records it names. */
  readonly namedCount: number;
}

/** A block delivers no entry later than this after its reservation: twice a stream's time. */
const BLOCK_REACH = sql.raw("interval '2 hours'");
/** More candidates of a period than this are not sorted: the log is walked from its newest row. */
const MAX_SORTED = 20_000;
/** The widths of span_class, days; the last has none. */
const CLASS_DAYS = [8, 64, 512] as const;

export async function findDisclosures(
  tx: Tx,
  carrierId: string,
  subject: DisclosureSubject,
  selection: DisclosureSelection,
): Promise<FoundDisclosure[]> {
  if (subject.of === "records") return (await run(tx, disclosuresOfRecords(carrierId, subject, selection))).rows;
  const count = await readValue(tx)<number>`
    SELECT count(*)::int4 AS count FROM (SELECT FROM (${periodByDates(carrierId, subject)}) d
      WHERE ${selected(selection)} LIMIT ${MAX_SORTED + 1}) c`;
  return (await run(tx, disclosuresOfPeriod(carrierId, subject, selection, count > MAX_SORTED ? "walked" : "sorted")))
    .rows;
}

/** A test looks at its plan. */
export function disclosuresOfRecords(
  carrierId: string,
  { entries, keys, only }: Extract<DisclosureSubject, { of: "records" }>,
  selection: DisclosureSelection,
): RawBuilder<FoundDisclosure> {
  const covering = [FeedId.CDRS, FeedId.DISCREPANCIES].map((feed) => {
    const its = entries.filter((entry) => entry.feed === feed);
    return sql`
      SELECT ${SELECTED} FROM ${unnest("e", its, { sequence: "int8", ingestTime: "timestamptz" })}
      JOIN disclosure d ON d.carrier_id = ${carrierId} AND d.feed = ${sql.lit(feed)}
        AND d.after_sequence < e.sequence AND d.after_sequence >= e.sequence - ${sql.lit(Number(BLOCK_SEQUENCES))}
        AND COALESCE(d.through_sequence, d.reserved_through) >= e.sequence
        AND d.commit_time >= e.ingest_time - ${BLOCK_REACH}`;
  });
  const named = sql`${int8Array(keys)}::int8[]`;
  const inRevision = only
    ? sql`AND EXISTS (SELECT FROM unnest(d.record_keys, d.revisions) AS n(key, revision)
        WHERE n.key = ANY (${named}) AND (n.key <> ${only.key} OR n.revision = ${only.revision}))`
    : sql``;
  const naming = sql`
    SELECT ${SELECTED} FROM disclosure d WHERE d.record_keys && ${named} AND d.carrier_id = ${carrierId} ${inRevision}`;
  return sql<FoundDisclosure>`
    SELECT ${FOUND} FROM (${sql.join([...covering, naming], sql` UNION `)}) d
    WHERE ${selected(selection)} ${NEWEST_FIRST} LIMIT ${selection.limit}`;
}

/** A test looks at its plan. */
export function disclosuresOfPeriod(
  carrierId: string,
  period: { startDate: string; endDate: string },
  selection: DisclosureSelection,
  how: "sorted" | "walked",
): RawBuilder<FoundDisclosure> {
  const { startDate, endDate } = period;
  const walked = sql`SELECT d.* FROM disclosure d WHERE d.carrier_id = ${carrierId} AND (${isOpen}
    OR (d.first_record_date < ${endDate}::date AND d.last_record_date >= ${startDate}::date))`;
  return sql<FoundDisclosure>`
    SELECT ${FOUND} FROM (${how === "sorted" ? periodByDates(carrierId, period) : walked}) d
    WHERE ${selected(selection)} AND (NOT ${isOpen} OR ${isOpenWithin(carrierId, period)})
    ${NEWEST_FIRST} LIMIT ${selection.limit}`;
}

// An open block may cover days that it does not name yet.
function periodByDates(carrierId: string, { startDate, endDate }: { startDate: string; endDate: string }) {
  const classes = [...CLASS_DAYS, undefined].map((days, index) => {
    const from = days === undefined ? sql`` : sql`AND d.first_record_date >= ${addDays(startDate, 1 - days)}::date`;
    return sql`SELECT d.* FROM disclosure d WHERE d.carrier_id = ${carrierId} AND d.span_class = ${sql.lit(index + 1)} ${from}
      AND d.first_record_date < ${endDate}::date AND d.last_record_date >= ${startDate}::date AND NOT ${isOpen}`;
  });
  const open = sql`SELECT d.* FROM disclosure d WHERE d.carrier_id = ${carrierId} AND ${isOpen}`;
  return sql.join([...classes, open], sql` UNION ALL `);
}

const isOpen = sql`(d.feed IS NOT NULL AND d.through_sequence IS NULL)`;

function isOpenWithin(carrierId: string, { startDate, endDate }: { startDate: string; endDate: string }) {
  return sql`(LEAST(d.first_record_date, (${firstDayOfBlock(carrierId)})) < ${endDate}::date
    AND GREATEST(d.last_record_date, (${lastDayOfBlock(carrierId)})) >= ${startDate}::date)`;
}

/** The first stored day of a block `d`. */
export function firstDayOfBlock(carrierId: string): RawBuilder<string | null> {
  return sql`SELECT min(b.day) FROM (${daysOfBlock(carrierId)}) b`;
}

/** The last stored day of a block `d`. */
export function lastDayOfBlock(carrierId: string): RawBuilder<string | null> {
  return sql`SELECT max(b.day) FROM (${daysOfBlock(carrierId)}) b`;
}

function daysOfBlock(carrierId: string): RawBuilder<{ day: string }> {
  const within = (alias: string) => sql`${sql.ref(`${alias}.carrier_id`)} = ${carrierId}
    AND ${sql.ref(`${alias}.sequence`)} > d.after_sequence AND ${sql.ref(`${alias}.sequence`)} <= d.reserved_through`;
  return sql`
    SELECT r.record_date AS day FROM cdr_record r WHERE d.feed = ${sql.lit(FeedId.CDRS)} AND ${within("r")}
    UNION ALL
    SELECT (n.ingest_time AT TIME ZONE 'UTC')::date FROM number_entry n WHERE d.feed = ${sql.lit(FeedId.NUMBERS)} AND ${within("n")}
    UNION ALL
    SELECT c.call_date FROM (
      SELECT e.discrepancy_id FROM discrepancy_entry e WHERE d.feed = ${sql.lit(FeedId.DISCREPANCIES)} AND ${within("e")} OFFSET 0) e
    CROSS JOIN LATERAL (
      SELECT c.call_date FROM call_result c WHERE c.carrier_id = ${carrierId} AND c.discrepancy_id = e.discrepancy_id OFFSET 0) c`;
}

// A block under which nothing was sent disclosed nothing.
function selected({ recipientKind, start, end, after }: DisclosureSelection): RawBuilder<boolean> {
  const wheres: RawBuilder<unknown>[] = [sql`d.record_count > 0`];
  if (recipientKind !== undefined) wheres.push(sql`d.recipient_kind = ${recipientKind}`);
  if (start !== undefined) wheres.push(sql`d.commit_time >= ${instant(start)}`);
  if (end !== undefined) wheres.push(sql`d.commit_time < ${instant(end)}`);
  if (after)
    wheres.push(sql`(d.commit_time, d.disclosure_id) < (${instant(after.commitTime)}, ${after.disclosureId}::uuid)`);
  return sql<boolean>`${sql.join(wheres, sql` AND `)}`;
}

const FOUND = sql.raw(
  "d.disclosure_id, d.commit_time, CASE WHEN d.feed IS NULL THEN d.record_count ELSE 0 END AS named_count",
);
// All columns that are needed: coming back for one would be a join, perhaps a scan.
const SELECTED = sql.raw("d.disclosure_id, d.commit_time, d.recipient_kind, d.feed, d.record_count");
const NEWEST_FIRST = sql.raw("ORDER BY d.commit_time DESC, d.disclosure_id DESC");

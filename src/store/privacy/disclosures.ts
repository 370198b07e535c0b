import { randomUUID } from "node:crypto";
import { sql } from "kysely";
import type { FeedId } from "../../domain/feed-id.ts";
import {
  BLOCK_SEQUENCES,
  type DisclosureTerms,
  MAX_NAMED_RECORDS,
  type NO_SIDE,
  type RecordName,
  recordKey,
} from "../../domain/privacy/disclosure.ts";
import type { RecordKind } from "../../domain/record-kind.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { DisclosureKind } from "../../gen/tandem/platform/v1/disclosure_pb.js";
import type { RecordPart } from "../../gen/tandem/type/v1/agreement_pb.js";
import { dateArray, int2Array, int4Array, int8Array, textArray } from "../database/binary-array.ts";
import { instant, run, type Tx, together } from "../database/run.ts";

// The disclosure log: rows are added and blocks of feeds closed, and nothing else ever changes. In
// transactions of the records' carrier.

/** Logs what a get, list or export is about to deliver: a row for each thousand records. */
export async function insertNamedRecords(
  tx: Tx,
  carrierId: string,
  terms: DisclosureTerms,
  named: {
    side: RecordKind["side"] | typeof NO_SIDE;
    recordParts: readonly RecordPart[];
    records: readonly RecordName[];
  },
): Promise<void> {
  const inserts: Promise<unknown>[] = [];
  for (let at = 0; at < named.records.length; at += MAX_NAMED_RECORDS) {
    const records = named.records.slice(at, at + MAX_NAMED_RECORDS);
    inserts.push(run(tx, namedRow(carrierId, terms, { ...named, records })));
  }
  await together(inserts);
}

function namedRow(
  carrierId: string,
  terms: DisclosureTerms,
  { side, recordParts, records }: Parameters<typeof insertNamedRecords>[3],
) {
  const dates = records.map(({ recordDate }) => recordDate);
  const keys = records.map(({ recordId, recordDate }) => recordKey(carrierId, side, recordId, recordDate));
  return sql`
    INSERT INTO disclosure (${COMMON_COLUMNS}, side, record_ids, record_dates, revisions, record_keys)
    VALUES (${commonValues(carrierId, randomUUID(), terms, { recordParts, count: records.length, ...rangeOfDays(dates) })},
      ${side}, ${textArray(records.map(({ recordId }) => recordId))}::text[], ${dateArray(dates)}::date[],
      ${int4Array(records.map(({ revision }) => revision))}::int4[], ${int8Array(keys)}::int8[])`;
}

/** A run of a feed that a stream may send. */
export interface ReservedBlock {
  readonly disclosureId: string;
  readonly feed: FeedId;
  readonly epoch: bigint;
  readonly afterSequence: bigint;
  /** At most BLOCK_SEQUENCES after. */
  readonly reservedThrough: bigint;
  readonly recordParts: readonly RecordPart[];
  /** Days of the entries that are about to be sent, as far as they are known. */
  readonly firstDate: string;
  readonly lastDate: string;
}

/** What was sent of a block; nothing of it when throughSequence is its afterSequence. */
export interface SentBlock {
  readonly disclosureId: string;
  readonly throughSequence: bigint;
  readonly recordCount: number;
  readonly firstDate: string;
  readonly lastDate: string;
}

/** Opens blocks and closes others. */
export async function writeBlocks(
  tx: Tx,
  carrierId: string,
  terms: DisclosureTerms,
  blocks: { reserved: readonly ReservedBlock[]; sent: readonly SentBlock[] },
): Promise<void> {
  await together([
    ...blocks.reserved.map((block) => run(tx, reserveBlock(carrierId, terms, block))),
    ...blocks.sent.map((block) => run(tx, closeBlock(carrierId, block))),
  ]);
}

function reserveBlock(carrierId: string, terms: DisclosureTerms, block: ReservedBlock) {
  const { disclosureId, feed, epoch, afterSequence, reservedThrough, recordParts } = block;
  const range = { first: block.firstDate, last: block.lastDate };
  const count = Number(reservedThrough - afterSequence);
  if (reservedThrough - afterSequence > BLOCK_SEQUENCES) throw new Error("a block covers more than it may");
  return sql`
    INSERT INTO disclosure (${COMMON_COLUMNS}, feed, feed_epoch, after_sequence, reserved_through)
    VALUES (${commonValues(carrierId, disclosureId, { ...terms, kind: DisclosureKind.FEED_BLOCK }, { recordParts, count, ...range })},
      ${feed}, ${epoch}, ${afterSequence}, ${reservedThrough})`;
}

// Does nothing if somebody has closed it meanwhile because it was left open.
function closeBlock(carrierId: string, block: SentBlock) {
  const { disclosureId, throughSequence, recordCount, firstDate, lastDate } = block;
  return sql`
    UPDATE disclosure SET through_sequence = ${throughSequence}, record_count = ${recordCount},
      first_record_date = ${firstDate}::date, last_record_date = ${lastDate}::date
    WHERE carrier_id = ${carrierId} AND disclosure_id = ${disclosureId}`;
}

const COMMON_COLUMNS = sql.raw(
  `carrier_id, disclosure_id, commit_time, recipient_kind, credential_id, method, kind, session_id, filter_json, filter_has_number, masked, purpose,
  legal_basis, privacy_statement_version, record_parts, record_count, first_record_date, last_record_date`,
);

function commonValues(
  carrierId: string,
  disclosureId: string,
  terms: DisclosureTerms,
  row: { recordParts: readonly RecordPart[]; count: number; first: string; last: string },
) {
  const { recipientKind, credentialId, method, kind, sessionId, filter, masked } = terms;
  return sql`${carrierId}, ${disclosureId}, clock_timestamp(), ${recipientKind}, ${credentialId}, ${method}, ${kind}, ${sessionId ?? null},
    ${filter.json}, ${filter.hasNumber}, ${masked}, ${terms.purpose}, ${terms.legalBasis}, ${terms.privacyStatementVersion},
    ${int2Array(row.recordParts)}::int2[], ${row.count}, ${row.first}::date, ${row.last}::date`;
}

/** Deletes disclosures before an instant. Needs the owner's rights. Returns how many went. */
export async function deleteDisclosures(tx: Tx, carrierId: string, before: Micros, limit: number): Promise<number> {
  const { count } = await run(tx)`
    DELETE FROM disclosure WHERE carrier_id = ${carrierId} AND disclosure_id IN (
      SELECT disclosure_id FROM disclosure WHERE carrier_id = ${carrierId} AND commit_time < ${instant(before)}
      ORDER BY commit_time, disclosure_id LIMIT ${limit})`;
  return count;
}

/** The first and the last of some days; at least one. */
export function rangeOfDays(days: Iterable<string>): { first: string; last: string } {
  let [first, last] = ["9999-12-31", "0001-01-01"];
  for (const day of days) {
    if (day < first) first = day;
    if (day > last) last = day;
  }
  return { first, last };
}

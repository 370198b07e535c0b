import { sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import { RECORD_KINDS, type RecordKind } from "../../domain/record-kind.ts";
import { type Days, listPartitions } from "../database/partitions.ts";
import { readRow, readRows, readValue, type Tx } from "../database/run.ts";
import { EntryKind } from "../records/record-rows.ts";
import { readPage, readSystemPage, type Verification } from "./verification.ts";

// Entries by sequence and keys by identity, in bounded pages that look the other side up by key.

const PAGE = 5_000n;
const MAX_SEQUENCE = 2n ** 63n - 1n;
const EXAMPLES = 10;

const ENTRY_TABLES = [
  { feed: FeedId.NUMBERS, name: "numbers", table: "number_entry", keys: undefined },
  { feed: FeedId.CDRS, name: "cdrs", table: "cdr_record", keys: "cdr_key" },
  { feed: FeedId.DISCREPANCIES, name: "discrepancies", table: "discrepancy_entry", keys: undefined },
  { feed: FeedId.DURATIONS, name: "durations", table: "duration_record", keys: "duration_key" },
] as const;

/** One entry for each sequence from floor to head, ingest times in order, records with keys. */
export async function verifyEntries(verification: Verification): Promise<void> {
  for (const entries of ENTRY_TABLES) {
    let page = await verifyEntryPage(verification, entries, 0n, MAX_SEQUENCE);
    // The head of the first page is where it ends, however fast writers are.
    const end = page?.next ?? 0n;
    while (page && page.past < end) page = await verifyEntryPage(verification, entries, page.past, end);
  }
}

async function verifyEntryPage(
  verification: Verification,
  entries: (typeof ENTRY_TABLES)[number],
  from: bigint,
  until: bigint,
): Promise<EntryPage | undefined> {
  const page = await readPage(verification, (tx) => readEntryPage(tx, verification.carrierId, entries, from, until));
  if (!page) return undefined;
  reportEntries(verification, entries.name, page);
  if (entries.keys) await verifyPageKeys(verification, entries, page);
  return page;
}

interface EntryPage {
  first: bigint;
  /** One past the last. */
  past: bigint;
  /** What the feed's next entry gets. */
  next: bigint;
  rows: bigint;
  sequences: bigint;
  /** How often the ingest time goes back. */
  backwards: bigint;
  beyondHead: boolean;
}

// One statement: retention raises the floor before it deletes entries.
function readEntryPage(
  tx: Tx,
  carrierId: string,
  { feed, table }: { feed: FeedId; table: string },
  from: bigint,
  until: bigint,
): Promise<EntryPage | undefined> {
  const entries = sql.table(table);
  return readRow(tx)<EntryPage>`
    WITH span AS MATERIALIZED (
      SELECT GREATEST(earliest_sequence, ${from}) AS first, next_sequence,
        LEAST(next_sequence, ${until}, GREATEST(earliest_sequence, ${from}) + ${PAGE}) AS past
      FROM feed_head WHERE carrier_id = ${carrierId} AND feed = ${feed}
    ), entry AS (
      SELECT e.sequence, e.ingest_time, lag(e.ingest_time) OVER (ORDER BY e.sequence) AS before
      FROM span s CROSS JOIN LATERAL (
        SELECT e.sequence, e.ingest_time FROM ${entries} e
        WHERE e.carrier_id = ${carrierId} AND e.sequence >= s.first AND e.sequence < s.past ORDER BY e.sequence OFFSET 0) e
    )
    SELECT s.first, s.past, s.next_sequence AS next, (SELECT count(*) FROM entry) AS rows, (SELECT count(DISTINCT sequence) FROM entry) AS sequences,
      (SELECT count(*) FROM entry WHERE ingest_time < before) AS backwards,
      EXISTS (SELECT FROM ${entries} e WHERE e.carrier_id = ${carrierId} AND e.sequence >= s.next_sequence ORDER BY e.sequence OFFSET 0) AS "beyondHead"
    FROM span s`;
}

function reportEntries({ report }: Verification, feed: string, page: EntryPage): void {
  const span = `${feed}: sequences ${page.first} to ${page.past - 1n}`;
  const expected = page.past > page.first ? page.past - page.first : 0n;
  if (page.rows !== expected || page.sequences !== expected)
    report("FEED_NOT_DENSE", `${span}: ${page.rows} entries with ${page.sequences} different sequences`);
  if (page.backwards > 0n) report("FEED_NOT_DENSE", `${span}: the ingest time goes back ${page.backwards} times`);
  if (page.beyondHead && page.past === page.next)
    report("FEED_NOT_DENSE", `${feed}: there are entries beyond the head, ${page.next - 1n}`);
}

// A key may be gone once its day has no partition any more: nothing of that day is taken again.
async function verifyPageKeys(
  verification: Verification,
  { table, keys, name }: { table: string; keys: string; name: string },
  page: EntryPage,
): Promise<void> {
  const { carrierId, report } = verification;
  const oldestKeyDay = (await listKeyDays(verification, keys))[0]?.start;
  if (oldestKeyDay === undefined) return;
  const strays = await readPage(verification, async (tx) => {
    return readRows(tx)<{ sequence: bigint }>`
      SELECT r.sequence FROM (
        SELECT * FROM ${sql.table(table)} r WHERE r.carrier_id = ${carrierId} AND r.sequence >= ${page.first} AND r.sequence < ${page.past}
        ORDER BY r.sequence OFFSET 0) r
      LEFT JOIN LATERAL (
        SELECT k.sequence FROM ${sql.table(keys)} k
        WHERE k.carrier_id = ${carrierId} AND k.record_id = r.record_id AND k.record_date = r.record_date AND k.revision = r.revision
          AND k.sequence = r.sequence AND k.ingest_time = r.ingest_time LIMIT 1) k ON true
      WHERE r.entry_kind <> ${EntryKind.ERASURE} AND r.record_date >= ${oldestKeyDay}::date AND k.sequence IS NULL
      ORDER BY r.sequence LIMIT ${EXAMPLES}`;
  });
  for (const { sequence } of strays) report("ROW_WITHOUT_KEY", `${name}: sequence ${sequence}`);
}

/** Each key has its entry, unless below the floor, and no copy in quarantine. */
export async function verifyKeys(verification: Verification): Promise<void> {
  for (const entries of RECORD_KINDS) {
    for (const days of await listKeyDays(verification, entries.keys)) {
      let after: KeyPosition | undefined = { recordId: "", recordDate: "0001-01-01", revision: 0 };
      while (after) after = await verifyKeyPage(verification, entries, days, after);
    }
  }
}

interface KeyPosition {
  recordId: string;
  recordDate: string;
  revision: number;
}

async function verifyKeyPage(
  verification: Verification,
  entries: RecordKind,
  days: Days,
  after: KeyPosition,
): Promise<KeyPosition | undefined> {
  const { carrierId, report } = verification;
  const rows = await readPage(verification, (tx) => readKeyPage(tx, carrierId, entries, days, after));
  for (const row of rows) {
    const identity = `${entries.keys}: ${row.recordDate}/${row.recordId}#${row.revision}`;
    if (row.lost) report("KEY_WITHOUT_ROW", `${identity}, sequence ${row.sequence}`);
    if (row.aside) report("APPLIED_AND_QUARANTINED", identity);
  }
  const last = rows.at(-1);
  return last && last.position >= PAGE ? last : undefined;
}

// What is wrong in a page, and its last row.
function readKeyPage(
  tx: Tx,
  carrierId: string,
  { upload, feed, keys, records }: RecordKind,
  days: Days,
  after: KeyPosition,
) {
  return readRows(tx)<KeyPosition & { sequence: bigint; position: bigint; lost: boolean; aside: boolean }>`
    WITH page AS MATERIALIZED (
      SELECT record_id, record_date, revision, sequence, ingest_time FROM ${sql.table(keys)}
      WHERE carrier_id = ${carrierId} AND record_date >= ${sql.lit(days.start)}::date AND record_date < ${sql.lit(days.end)}::date
        AND (record_id, record_date, revision) > (${after.recordId}, ${after.recordDate}::date, ${after.revision}::int4)
      ORDER BY record_id, record_date, revision LIMIT ${PAGE}
    ), checked AS (
      SELECT p.*, row_number() OVER (ORDER BY p.record_id, p.record_date, p.revision) AS position, count(*) OVER () AS total,
        q.record_id IS NOT NULL AS aside, r.sequence IS NULL AND p.sequence >= h.earliest_sequence AS lost
      FROM page p
      JOIN feed_head h ON h.carrier_id = ${carrierId} AND h.feed = ${feed}
      LEFT JOIN LATERAL (
        SELECT r.sequence FROM ${sql.table(records)} r
        WHERE r.carrier_id = ${carrierId} AND r.sequence = p.sequence AND r.ingest_time = p.ingest_time
          AND r.record_id = p.record_id AND r.record_date = p.record_date AND r.revision = p.revision LIMIT 1) r ON true
      LEFT JOIN LATERAL (
        SELECT q.record_id FROM quarantine q WHERE q.carrier_id = ${carrierId} AND q.kind = ${upload}
          AND q.record_id = p.record_id AND q.record_date = p.record_date AND q.revision = p.revision LIMIT 1) q ON true
    )
    SELECT record_id, record_date, revision, sequence, position, lost, aside FROM checked
    WHERE lost OR aside OR position = total ORDER BY position`;
}

/** The days of each partition of keys, oldest first. */
export function listKeyDays(verification: Verification, keys: string): Promise<Days[]> {
  return readPage(verification, (tx) => listPartitions(tx, [keys]));
}

/** The first day whose keys are certainly kept: by partitions and by retention. */
export async function findOldestKeyDay(verification: Verification, keys: string): Promise<string | undefined> {
  const week = (await listKeyDays(verification, keys))[0]?.start;
  const keysFrom = await readSystemPage(
    verification,
    (tx) =>
      readValue(tx)<string | undefined>`
        SELECT keys_from FROM retention_state WHERE carrier_id = ${verification.carrierId}`,
  );
  return week !== undefined && keysFrom !== undefined && keysFrom > week ? keysFrom : week;
}

import { sql } from "kysely";
import { microsFromMs } from "../src/domain/time/instant.ts";
import {
  carrierTransaction,
  type Database,
  LIST_PAGE,
  ownerTransaction,
  type TransactionOptions,
} from "../src/store/database/database.ts";
import type { Tx } from "../src/store/database/run.ts";
import { scanCdrs } from "../src/store/records/cdr-lists.ts";
import { readCdrPage } from "../src/store/records/cdrs.ts";
import { addCarrier } from "../test/support/carriers.ts";
import { PlanRecorder, type StatementCost } from "../test/support/plans.ts";
import { openBenchWorld } from "./world.ts";

/** What a page costs that a new carrier reads among the records of others. */
export interface FollowFigures {
  /**
   * Rows that the second page of 1,000 or the last one reads, over the first; the worst of all
   * states.
   */
  growth: number;
  /** The same in pages of the database. */
  pagesGrowth: number;
  /** Rows that the worst page of the feed reads. */
  mostRows: number;
  /** Of a list of 100, by the same measure. */
  listGrowth: number;
  listMostRows: number;
}

const OTHERS = 6;
const PAGE = 1_000;
const LIST_PAGE_SIZE = 100;
const HOUR_MS = 3_600_000;
const NOW_MS = Date.now();

/**
 * Follows a carrier that came after statistics were gathered, all in the partitions of one week:
 * with statistics of before, once as Tandem leaves them and once with those on carriers, and with
 * none at all. What is measured is what the statements read.
 * @param others how many records other carriers have, each with its quality and network part.
 * @param own how many the new carriers have.
 */
export async function measureFollow(others: number, own: number): Promise<FollowFigures> {
  using recorder = new PlanRecorder();
  await using world = await openBenchWorld({ retentionIntervalMs: 0 });
  const { db } = world.app.services;
  await run(
    db,
    `DO $$ DECLARE t regclass; BEGIN
    FOR t IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace LOOP
      EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = false)', t);
    END LOOP; END $$`,
  );
  // Without statistics first: they cannot be forgotten again.
  for (let index = 0; index < OTHERS; index++) await addRecords(db, `other-${index}`, Math.ceil(others / OTHERS));
  await addRecords(db, "new-0", own);
  const costs = [await measure(db, recorder, "new-0", own)];
  await run(db, "ANALYZE");
  await addRecords(db, "new-1", own);
  costs.push(await measure(db, recorder, "new-1", own));
  await run(
    db,
    `DO $$ DECLARE t regclass; BEGIN
    FOR t IN SELECT attrelid FROM pg_attribute WHERE attname = 'carrier_id' AND attstattarget = 0
      AND attrelid IN (SELECT oid FROM pg_class WHERE relkind IN ('r', 'p')) LOOP
      EXECUTE format('ALTER TABLE %s ALTER COLUMN carrier_id SET STATISTICS -1', t);
    END LOOP; END $$`,
  );
  await run(db, "ANALYZE");
  await addRecords(db, "new-2", own);
  costs.push(await measure(db, recorder, "new-2", own));
  const most = (of: (cost: PageCosts) => number) => Math.max(...costs.map(of));
  return {
    growth: most(({ feed }) => Math.max(feed.second.rows, feed.end.rows) / feed.start.rows),
    pagesGrowth: most(({ feed }) => Math.max(feed.second.pages, feed.end.pages) / feed.start.pages),
    mostRows: most(({ feed }) => Math.max(...Object.values(feed).map(({ rows }) => rows))),
    listGrowth: most(({ list }) => list.end.rows / list.start.rows),
    listMostRows: most(({ list }) => Math.max(list.start.rows, list.end.rows)),
  };
}

interface Cost {
  readonly rows: number;
  readonly pages: number;
}
interface PageCosts {
  readonly feed: { readonly start: Cost; readonly second: Cost; readonly end: Cost };
  readonly list: { readonly start: Cost; readonly end: Cost };
}

async function measure(db: Database, recorder: PlanRecorder, carrierId: string, own: number): Promise<PageCosts> {
  const cost = async (
    sender: string,
    read: Parameters<typeof carrierTransaction>[2],
    options: TransactionOptions = {},
  ) => {
    const heard = await recorder.during(() => carrierTransaction(db, carrierId, read, options));
    const found = heard.find(({ by }) => by[0] === sender);
    if (!found) throw new Error(`${sender} was not heard`);
    return found;
  };
  const feed = async (sequence: number) => {
    // A reader knows when what it was sent last was ingested.
    const ingestTime = sequence === 0 ? 0n : microsFromMs(ingestMsOf(sequence, own));
    const after = { sequence: BigInt(sequence), ingestTime };
    const page = { carrierId, after, until: undefined, limit: PAGE };
    // All of its entries come in one row.
    const read = async (tx: Tx) => {
      const { entries } = await readCdrPage(tx, page, { conditions: undefined, withNetwork: true });
      if (entries.length !== PAGE) throw new Error(`${entries.length} entries were read, not ${PAGE}`);
    };
    return expectRows(1, await cost("feed-page.ts/readFeedPage", read));
  };
  const period = { start: microsFromMs(NOW_MS - 20 * 24 * HOUR_MS), end: microsFromMs(NOW_MS) };
  const list = async (sequence: number) => {
    const page = { after: placeAt(sequence, own), limit: LIST_PAGE_SIZE };
    const read = await cost(
      "cdr-lists.ts/listKept",
      (tx) => scanCdrs(tx, carrierId, { period }, page, true),
      LIST_PAGE,
    );
    return expectRows(LIST_PAGE_SIZE, read);
  };
  return {
    feed: { start: await feed(0), second: await feed(PAGE), end: await feed(own - PAGE) },
    list: { start: await list(0), end: await list(own - LIST_PAGE_SIZE) },
  };
}

function expectRows(count: number, cost: StatementCost): Cost {
  if (cost.returned !== count) throw new Error(`${cost.returned} rows were returned, not ${count}`);
  return cost;
}

const FIRST_MS = NOW_MS - 10 * HOUR_MS;

function placeAt(sequence: number, own: number) {
  if (sequence === 0) return undefined;
  return {
    inviteTime: microsFromMs(FIRST_MS + Math.floor((sequence * 9 * HOUR_MS) / own)),
    sequence: BigInt(sequence),
  };
}

function ingestMsOf(sequence: number, own: number): number {
  return NOW_MS - Math.floor(((own - sequence) * HOUR_MS) / own);
}

async function addRecords(db: Database, carrierId: string, count: number): Promise<void> {
  await addCarrier(db, carrierId, { networkIdentifiersAllowed: true });
  const calls = sql`(SELECT ${carrierId}::text AS carrier_id, i::int8 AS sequence, 'r-' || i AS id, 
      ${new Date(NOW_MS).toISOString()}::timestamptz
        - floor((${count}::int4 - i)::float8 * ${HOUR_MS} / ${count}::float8) * interval '1 millisecond' AS at,
      ${new Date(FIRST_MS).toISOString()}::timestamptz + floor(i::float8 * ${9 * HOUR_MS} / ${count}::float8) * interval '1 millisecond' AS invite
    FROM generate_series(1, ${count}::int4) AS i) c`;
  const payload = sql`decode(repeat('00', 200), 'hex')`;
  const statements = [
    sql`INSERT INTO cdr_key (carrier_id, record_id, record_date, revision, content_hash, party_hash, sequence, ingest_time)
      SELECT carrier_id, id, (invite AT TIME ZONE 'UTC')::date, 1, sequence, sequence, sequence, at FROM ${calls}`,
    sql`INSERT INTO cdr_record (carrier_id, sequence, ingest_time, record_id, record_date, revision, entry_kind, partial, call_id, invite_time,
        direction, phone_number, customer_id, trunk_id, answered, quality_verdict, payload)
      SELECT carrier_id, sequence, at, id, (invite AT TIME ZONE 'UTC')::date, 1, 1, false, id, invite, 1, '+441632960001', 'customer-1',
        'trunk-1', true, 1, ${payload} FROM ${calls}`,
    sql`INSERT INTO cdr_quality (carrier_id, sequence, ingest_time, classified_streams, poor_streams, reasons, payload)
      SELECT carrier_id, sequence, at, 2, 0, '{}', ${payload} FROM ${calls}`,
    sql`INSERT INTO cdr_network (carrier_id, sequence, ingest_time, payload) SELECT carrier_id, sequence, at, ${payload} FROM ${calls}`,
    sql`UPDATE feed_head SET next_sequence = ${count + 1}::int8, last_ingest_time = clock_timestamp()
      WHERE carrier_id = ${carrierId} AND feed = 2`,
  ];
  for (const statement of statements)
    await ownerTransaction(db, (tx) => statement.execute(tx), { statementTimeoutMs: 300_000 });
}

async function run(db: Database, statement: string): Promise<void> {
  await db.pool.query(statement);
}

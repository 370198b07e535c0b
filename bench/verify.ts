import { sql } from "kysely";
import { type Database, ownerTransaction } from "../src/store/database/database.ts";
import { ensurePartitions } from "../src/store/database/partitions.ts";
import type { Tx } from "../src/store/database/run.ts";
import { verifyAll } from "../src/store/verify/verify.ts";
import { addCarrier } from "../test/support/carriers.ts";
import { openBenchWorld } from "./world.ts";

/** How long `tandem verify` takes, and of how many rows. */
export interface VerifyFigures {
  rows: number;
  /** While nobody has ever gathered statistics. */
  unanalyzedSeconds: number;
  /** After ANALYZE of every table. */
  analyzedSeconds: number;
}

const CARRIERS = 4;
const DAYS = 28;
/** Of each call: two records, their two keys, and a result. */
const ROWS_OF_A_CALL = 5;
const LOAD_MS = 600_000;

/**
 * Verifies so many rows, each call of which has both records and a result, without statistics and
 * then with them. The one without comes first, so that the other finds everything in memory.
 */
export async function measureVerify(rows: number): Promise<VerifyFigures> {
  await using world = await openBenchWorld({ retentionIntervalMs: 0 });
  const { db } = world.app.services;
  await ensurePartitions(db, DAYS / 7 + 1);
  await leaveUnanalyzed(db);
  const perDay = Math.max(1, Math.round(rows / (ROWS_OF_A_CALL * CARRIERS * DAYS)));
  for (let index = 0; index < CARRIERS; index++) {
    const carrierId = `bench-${index}`;
    await addCarrier(db, carrierId);
    for (let day = 0; day < DAYS; day++) await load(db, carrierId, day, perDay);
    await ownerTransaction(db, (tx) => setHeads(tx, carrierId, DAYS * perDay));
  }
  const unanalyzedSeconds = await verify(db);
  await db.pool.query("ANALYZE");
  return { rows: ROWS_OF_A_CALL * CARRIERS * DAYS * perDay, unanalyzedSeconds, analyzedSeconds: await verify(db) };
}

async function verify(db: Database): Promise<number> {
  const startedAt = performance.now();
  const findings = await verifyAll(db, new AbortController().signal);
  if (findings.length > 0) throw new Error(`what was loaded does not add up: ${JSON.stringify(findings.slice(0, 3))}`);
  return (performance.now() - startedAt) / 1_000;
}

async function leaveUnanalyzed(db: Database): Promise<void> {
  const { rows } = await db.pool.query<{ statement: string }>(
    `SELECT format('ALTER TABLE %s SET (autovacuum_enabled = false)', oid::regclass) AS statement
     FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace`,
  );
  for (const { statement } of rows) await db.pool.query(statement);
}

// A day of one carrier's calls, in the order of their ids.
async function load(db: Database, carrierId: string, day: number, perDay: number): Promise<void> {
  const from = new Date(Date.now() - (DAYS - day) * 86_400_000).toISOString();
  const calls = sql`(SELECT ${carrierId}::text AS carrier_id, ${day * perDay + 1}::int8 + i AS sequence,
      'call-' || (${day * perDay + 1}::int8 + i) AS id, ${from}::timestamptz + i * interval '1 day' / ${perDay}::int4 AS at
    FROM generate_series(0, ${perDay - 1}::int4) AS i) c`;
  const recordDay = sql`(at AT TIME ZONE 'UTC')::date`;
  const statements = [
    ...["cdr_key", "duration_key"].map(
      (keys) =>
        sql`INSERT INTO ${sql.table(keys)} (carrier_id, record_id, record_date, revision, content_hash, party_hash, sequence, ingest_time)
          SELECT carrier_id, id, ${recordDay}, 1, sequence, sequence, sequence, at FROM ${calls}`,
    ),
    sql`INSERT INTO cdr_record (carrier_id, sequence, ingest_time, record_id, record_date, revision, entry_kind, partial, call_id, invite_time,
        direction, phone_number, customer_id, trunk_id, answered, quality_verdict, payload)
      SELECT carrier_id, sequence, at, id, ${recordDay}, 1, 1, false, id, at, 1, '+441632960001', 'customer-1', 'trunk-1', true, 0, ''
      FROM ${calls}`,
    sql`INSERT INTO duration_record (carrier_id, sequence, ingest_time, record_id, record_date, revision, entry_kind, start_time, direction,
        phone_number, customer_id, trunk_id, connected_duration_ms, payload)
      SELECT carrier_id, sequence, at, id, ${recordDay}, 1, 1, at, 1, '+441632960001', 'customer-1', 'trunk-1', 60000, '' FROM ${calls}`,
    sql`INSERT INTO call_result (carrier_id, side, record_id, record_date, revision, carrier_record_ids, carrier_record_dates, carrier_revisions,
        start_time, call_date, status, causes, matched_by, pending_reason, is_open, is_merged, direction, phone_number, customer_id,
        result_hash, arrival_time, update_time, discrepancy_revision)
      SELECT carrier_id, 1, id, ${recordDay}, 1, ARRAY[id], ARRAY[${recordDay}], '{1}', at, ${recordDay}, 1, 0, 1, 0, false, false, 1,
        '+441632960001', 'customer-1', sequence, at, at, 0 FROM ${calls}`,
  ];
  for (const statement of statements)
    await ownerTransaction(db, (tx) => statement.execute(tx), { statementTimeoutMs: LOAD_MS });
}

async function setHeads(tx: Tx, carrierId: string, count: number): Promise<void> {
  await sql`
    UPDATE feed_head SET next_sequence = ${count + 1}::int8, last_ingest_time = clock_timestamp()
    WHERE carrier_id = ${carrierId} AND feed IN (2, 4)`.execute(tx);
  await sql`
    INSERT INTO reconcile_position (carrier_id, cdr_sequence, duration_sequence, cdr_epoch, duration_epoch, agreement_revision, rule_version,
      reconciled_through, update_time)
    SELECT carrier_id, ${count}::int8, ${count}::int8, epoch, epoch, 1, 1, clock_timestamp(), clock_timestamp()
    FROM feed_head WHERE carrier_id = ${carrierId} AND feed = 2`.execute(tx);
  // The calls were written beside the sums.
  await sql`DELETE FROM summary_fill WHERE carrier_id = ${carrierId}`.execute(tx);
}

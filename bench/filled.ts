import { sql } from "kysely";
import { type Database, ownerTransaction } from "../src/store/database/database.ts";
import { ensurePartitions } from "../src/store/database/partitions.ts";
import { median } from "./statistics.ts";
import { addCarriers, CARRIERS, runUploads, type UploadRun } from "./upload.ts";
import { type BenchWorld, openBenchWorld } from "./world.ts";

/** Uploads into a store that is full over uploads into an empty one. */
export interface FilledFigures {
  /** Rows that were stored: a record and its key for each duration. */
  storedRows: number;
  /** With ids in order, and with random ones. */
  inOrder: FilledRatio;
  random: FilledRatio;
  /** The indexes that the random ids read most from disk or cache, blocks for each record. */
  blocksRead: Readonly<Record<string, number>>;
}

interface FilledRatio {
  rate: number;
  /** Of PostgreSQL, for a record. */
  postgresCpu: number;
}

const DAYS = 28;
const ROWS_OF_A_RECORD = 2;
const LOAD_MS = 600_000;
const BATCH_RECORDS = 1_000;

/**
 * Fills one store with so many rows of four carriers over 28 days, leaves another empty, and
 * uploads to both in turn. The stored ids are random, so that new random ids fall between them.
 */
export async function measureFilled(rows: number, rounds: number, recordsEach: number): Promise<FilledFigures> {
  await using empty = await openBenchWorld({ retentionIntervalMs: 0 });
  await using full = await openBenchWorld({ retentionIntervalMs: 0 });
  for (const world of [empty, full]) await addCarriers(world);
  const perDay = Math.max(1, Math.round(rows / (ROWS_OF_A_RECORD * CARRIERS.length * DAYS)));
  await fill(full.app.services.db, perDay);
  const runs = { empty, full };
  for (const world of [empty, full]) await runUploads(world, "warm", recordsEach, BATCH_RECORDS);
  const measure = async (kind: "durations" | "durations with random ids"): Promise<FilledRatio> => {
    const pairs: Record<keyof typeof runs, UploadRun>[] = [];
    for (let round = 0; round < rounds; round++) {
      const name = `${kind.length}-${round}`;
      const run = (world: BenchWorld) => runUploads(world, name, recordsEach, BATCH_RECORDS, kind);
      pairs.push({ empty: await run(empty), full: await run(full) });
    }
    return {
      rate: median(pairs.map((pair) => pair.full.uploadPerSecond / pair.empty.uploadPerSecond)),
      postgresCpu: median(
        pairs.map((pair) => pair.full.uploadCpuMicros.postgres / pair.empty.uploadCpuMicros.postgres),
      ),
    };
  };
  const inOrder = await measure("durations");
  const before = await readBlocks(full.app.services.db);
  const random = await measure("durations with random ids");
  const after = await readBlocks(full.app.services.db);
  const records = rounds * recordsEach * CARRIERS.length;
  const blocksRead = Object.fromEntries(
    [...after].map(([name, blocks]) => [name, (blocks - (before.get(name) ?? 0)) / records]),
  );
  return { storedRows: ROWS_OF_A_RECORD * CARRIERS.length * DAYS * perDay, inOrder, random, blocksRead };
}

// What an upload would have left, day by day.
async function fill(db: Database, perDay: number): Promise<void> {
  await ensurePartitions(db, DAYS / 7 + 1);
  for (const carrierId of CARRIERS) {
    for (let day = 0; day < DAYS; day++) await fillDay(db, carrierId, day, perDay);
    await ownerTransaction(db, (tx) =>
      sql`UPDATE feed_head SET next_sequence = ${DAYS * perDay + 1}::int8, last_ingest_time = clock_timestamp()
        WHERE carrier_id = ${carrierId} AND feed = 4`.execute(tx),
    );
  }
  for (const table of ["duration_record", "duration_key"]) await db.pool.query(`VACUUM (ANALYZE) ${table}`);
}

async function fillDay(db: Database, carrierId: string, day: number, perDay: number): Promise<void> {
  const from = new Date(Date.now() - (DAYS - day) * 86_400_000).toISOString();
  const records = sql`(SELECT ${carrierId}::text AS carrier_id, ${day * perDay + 1}::int8 + i AS sequence,
      md5(${carrierId}::text || (${day * perDay + 1}::int8 + i)) AS id, ${from}::timestamptz + i * interval '1 day' / ${perDay}::int4 AS at
    FROM generate_series(0, ${perDay - 1}::int4) AS i) c`;
  const date = sql`(at AT TIME ZONE 'UTC')::date`;
  const statements = [
    sql`INSERT INTO duration_key (carrier_id, record_id, record_date, revision, content_hash, party_hash, sequence, ingest_time)
      SELECT carrier_id, id, ${date}, 1, sequence, sequence, sequence, at FROM ${records}`,
    sql`INSERT INTO duration_record (carrier_id, sequence, ingest_time, record_id, record_date, revision, entry_kind, start_time, direction,
        phone_number, customer_id, trunk_id, connected_duration_ms, payload)
      SELECT carrier_id, sequence, at, id, ${date}, 1, 1, at, 1, '+441632960001', 'customer-1', 'trunk-1', 60000,
        decode(repeat(id, 5), 'hex') FROM ${records}`,
  ];
  for (const statement of statements)
    await ownerTransaction(db, (tx) => statement.execute(tx), { statementTimeoutMs: LOAD_MS });
}

async function readBlocks({ pool }: Database): Promise<Map<string, number>> {
  const { rows } = await pool.query<{ name: string; blocks: string }>(
    `SELECT regexp_replace(indexrelname, '_[0-9]{8}', '') AS name, sum(idx_blks_read) AS blocks
     FROM pg_statio_user_indexes WHERE relname LIKE 'duration%' GROUP BY 1`,
  );
  return new Map(rows.map(({ name, blocks }) => [name, Number(blocks)]));
}

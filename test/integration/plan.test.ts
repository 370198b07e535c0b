import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { BOTH_UPLOADS, dayOf, NOON_MS, someRecords, type TestedUpload } from "../support/upload-kinds.ts";
import { newCarrier, query } from "../support/upload-store.ts";
import { UploadStream } from "../support/upload-stream.ts";

// The planner trusts statistics that may be of another day: by them a table that is full may be
// empty, and to scan it costs nothing. What is counted here is what was read, however it was read:
// a plan that scans the table, or all of a carrier's index entries, reads more with every record
// that is stored.

const BATCHES = 4;
const BATCH_RECORDS = 1_000;
const RECORDS = BATCHES * BATCH_RECORDS;

describe.each([
  { statistics: "nobody has gathered statistics", gather: async () => {} },
  { statistics: "the statistics are of an empty table", gather: analyze },
  { statistics: "the statistics are of pages whose rows were not committed yet", gather: analyzeUncommitted },
])("while $statistics", ({ gather }) => {
  let exchange: Exchange;
  beforeAll(async () => {
    exchange = await startExchange({ partitions: "weekly" });
  });
  afterAll(() => exchange?.[Symbol.asyncDispose]());

  test.each(BOTH_UPLOADS)(
    "$method looks identities up and reads nothing else, however much is stored",
    async ({ upload }) => {
      const carrierId = await newCarrier(exchange);
      await keepStatistics(exchange, upload);
      await gather(exchange, upload);
      const before = await countReads(exchange, upload);

      expect(await append(exchange, upload, carrierId, "new")).toEqual({ accepted: RECORDS, duplicate: 0 });
      const appended = await countReads(exchange, upload);
      expect(appended.inserted - before.inserted).toBe(RECORDS);
      expect(appended.indexScans).toBeGreaterThan(before.indexScans);
      expect(appended.read - before.read).toBe(0);

      expect(await append(exchange, upload, carrierId, "again")).toEqual({ accepted: 0, duplicate: RECORDS });
      const repeated = await countReads(exchange, upload);
      expect(repeated.inserted).toBe(appended.inserted);
      expect(repeated.read - appended.read).toBe(RECORDS);
    },
  );
});

// The same records each time, every batch after the one before is committed: each look-up finds the
// table longer.
async function append(exchange: Exchange, upload: TestedUpload, carrierId: string, uploadId: string) {
  await using stream = await UploadStream.open(exchange, upload, carrierId, { uploadId });
  await stream.next("opened");
  const verdicts = { accepted: 0, duplicate: 0 };
  for (let first = 0; first < RECORDS; first += BATCH_RECORDS) {
    stream.batch(first, someRecords(first, first + BATCH_RECORDS));
    for (const { counts } of await stream.committed(first + BATCH_RECORDS)) {
      verdicts.accepted += Number(counts?.accepted ?? 0n);
      verdicts.duplicate += Number(counts?.duplicate ?? 0n);
    }
  }
  return verdicts;
}

async function keepStatistics(exchange: Exchange, { keyTable }: TestedUpload): Promise<void> {
  const [row] = await query<{ statements: string }>(
    exchange,
    `SELECT string_agg(format('ALTER TABLE %s SET (autovacuum_enabled = false)', inhrelid::regclass), ';') AS statements
     FROM pg_inherits WHERE inhparent = $1::regclass`,
    [keyTable],
  );
  await query(exchange, row?.statements ?? "");
}

async function analyze(exchange: Exchange, { keyTable }: TestedUpload): Promise<void> {
  await query(exchange, `ANALYZE ${keyTable}`);
}

// So it looks too where rows were deleted and nobody has vacuumed yet: no rows, on some pages, so
// that more pages would have none either.
async function analyzeUncommitted(exchange: Exchange, upload: TestedUpload): Promise<void> {
  const writer = new pg.Client({ connectionString: exchange.databaseUrl });
  await writer.connect();
  try {
    await writer.query("BEGIN");
    await writer.query(
      `INSERT INTO ${upload.keyTable} (carrier_id, record_id, record_date, revision, content_hash, party_hash, sequence, ingest_time)
       SELECT 'nobody', 'r', $1::date + days, 1, 0, 0, 0, now() FROM generate_series(-1, 1) AS days`,
      [dayOf(NOON_MS)],
    );
    await analyze(exchange, upload);
    await writer.query("ROLLBACK");
  } finally {
    await writer.end();
  }
}

// A session keeps what it counted to itself for a while, or until it ends. So all of the pool's are
// held at once and made to tell, and any other is awaited.
async function countReads(exchange: Exchange, { keyTable }: TestedUpload) {
  const { pool } = exchange.services.db;
  const clients = await Promise.all(Array.from({ length: pool.options.max }, () => pool.connect()));
  try {
    const told = await Promise.all(
      clients.map(async (client) => {
        const { rows } = await client.query<{ pid: number }>(
          "SELECT pg_backend_pid() AS pid, pg_stat_force_next_flush()",
        );
        return rows[0]?.pid;
      }),
    );
    const [first] = clients;
    await eventually(async () => {
      const others = await first?.query(
        `SELECT pid FROM pg_stat_activity
         WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> ALL($1::int[])`,
        [told],
      );
      expect(others?.rows).toEqual([]);
    });
    const counted = await first?.query<Record<"inserted" | "index_scans" | "read", bigint>>(
      `SELECT sum(n_tup_ins) AS inserted, sum(idx_scan) AS index_scans, sum(seq_tup_read + idx_tup_fetch) AS read
       FROM pg_stat_user_tables JOIN pg_inherits ON inhrelid = relid WHERE inhparent = $1::regclass`,
      [keyTable],
    );
    const { inserted = 0n, index_scans = 0n, read = 0n } = counted?.rows[0] ?? {};
    return { inserted: Number(inserted), indexScans: Number(index_scans), read: Number(read) };
  } finally {
    for (const client of clients) client.release();
  }
}

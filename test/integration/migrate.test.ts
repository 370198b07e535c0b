import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Kysely } from "kysely";
import pg from "pg";
import { describe, expect, test } from "vitest";
import { readSchemaText } from "../../scripts/schema-text.ts";
import { addDays, microsFromMs, utcDay } from "../../src/domain/time/instant.ts";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { AuditOutcome } from "../../src/gen/tandem/platform/v1/audit_event_pb.js";
import { runMakePartitions } from "../../src/jobs/make-partitions.ts";
import { appendAuditEvent } from "../../src/store/audit/audit-log.ts";
import { Tally } from "../../src/store/carriers/carrier-tally.ts";
import { type Database, openDatabase, systemTransaction } from "../../src/store/database/database.ts";
import { readInstallation } from "../../src/store/database/installation.ts";
import { proveIsolation } from "../../src/store/database/isolation.ts";
import { migrate } from "../../src/store/database/migrate.ts";
import {
  countPartitionWeeksAhead,
  ensurePartitions,
  PARTITION_WEEKS_AHEAD,
} from "../../src/store/database/partitions.ts";
import * as limits from "../../src/store/migrations/0010-limits.ts";
import * as seals from "../../src/store/migrations/0011-seals.ts";
import { verifyAll } from "../../src/store/verify/verify.ts";
import { verifyAuditChain, verifyAuditChains } from "../../src/store/verify/verify-audit.ts";
import { addCarrier } from "../support/carriers.ts";
import { createMigratedDatabase, createTestDatabase } from "../support/database.ts";
import { startExchange } from "../support/exchange.ts";
import { EVENTUALLY_MS } from "../support/limits.ts";
import { describeOutcome, newRequestId, provisionItem, takeNumbers } from "../support/numbers.ts";
import { reasonOf } from "../support/refusal.ts";

const PARTITIONED = ["cdr_key", "cdr_network", "cdr_quality", "cdr_record", "duration_key", "duration_record"];
const MIGRATIONS = (await readdir(join(import.meta.dirname, "../../src/store/migrations")))
  .map((file) => file.replace(".ts", ""))
  .toSorted();
const today = utcDay(microsFromMs(Date.now()));

/** A database of its own, empty or with the newest schema. */
async function open(options: { isMigrated?: boolean } = {}) {
  await using opening = new AsyncDisposableStack();
  const { url } = opening.use(await createTestDatabase());
  const db = opening.use(openDatabase({ url }));
  if (options.isMigrated ?? true) await migrate(db);
  const opened = opening.move();
  return { url, db, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

describe("migrations", () => {
  test("run by several pools at once on one empty database all succeed, and give one schema", async () => {
    await using one = await open();
    const expected = await readSchemaText(one.db.pool);
    await using empty = await open({ isMigrated: false });
    await using pools = new AsyncDisposableStack();
    const dbs = Array.from({ length: 4 }, () => pools.use(openDatabase({ url: empty.url })));
    const applied = await Promise.all(dbs.map((db) => migrate(db)));
    expect(applied.flat()).toEqual(MIGRATIONS);
    expect(await readSchemaText(empty.db.pool)).toBe(expected);
    expect(await listPartitions(empty.db)).toEqual(await listPartitions(one.db));
    const installations = await Promise.all(dbs.map(async (db) => (await readInstallation(db)).installationId));
    expect(new Set(installations).size).toBe(1);
    await proveIsolation(empty.db);
  });

  test("run by two processes at once do too, and a later one applies nothing", async () => {
    await using empty = await open({ isMigrated: false });
    const dataDir = await mkdtemp(join(tmpdir(), "tandem-migrate-"));
    const run = async () => {
      const env = { ...process.env, TANDEM_DATA_DIR: dataDir, TANDEM_DATABASE_URL: empty.url };
      const options = { cwd: join(import.meta.dirname, "../.."), env };
      const command = ["src/cli.ts", "migrate"];
      return (await promisify(execFile)(process.execPath, command, options)).stdout.trim();
    };
    try {
      const outputs = (await Promise.all([run(), run()])).sort();
      expect(outputs).toEqual([`Applied ${MIGRATIONS.join(", ")}.`, "The database has the newest schema."]);
      expect(await run()).toBe("The database has the newest schema.");
    } finally {
      await rm(dataDir, { recursive: true, force: true });
    }
  });

  test("run again apply nothing and change nothing", async () => {
    await using one = await open();
    const before = [await readSchemaText(one.db.pool), await listPartitions(one.db), await readInstallation(one.db)];
    expect(await migrate(one.db)).toEqual([]);
    expect([await readSchemaText(one.db.pool), await listPartitions(one.db), await readInstallation(one.db)]).toEqual(
      before,
    );
  });
});

describe("partitions", () => {
  test("are there for every table from the past that is accepted to four weeks ahead, without a gap", async () => {
    await using one = await open();
    expect(await countPartitionWeeksAhead(one.db, today)).toBe(PARTITION_WEEKS_AHEAD);
    const partitions = await listPartitions(one.db);
    expect(Object.keys(partitions)).toEqual(PARTITIONED);
    for (const [table, bounds] of Object.entries(partitions)) {
      const isKey = table.endsWith("_key");
      expect(bounds[0]?.from.localeCompare(addDays(today, isKey ? -400 : -1)), table).toBeLessThanOrEqual(0);
      expect(bounds.at(-1)?.to.localeCompare(addDays(today, 7 * PARTITION_WEEKS_AHEAD)), table).toBeGreaterThan(0);
      for (const [index, { from, to }] of bounds.entries()) {
        expect(new Date(`${from}T00:00:00Z`).getUTCDay(), `${table} begins on Mondays`).toBe(1);
        expect(to).toBe(addDays(from, 7));
        if (index > 0) expect(from).toBe(bounds[index - 1]?.to);
      }
    }
  });

  test("that are missing are counted as missing, and made again with their indexes", async () => {
    await using one = await open();
    const indexes = () => countIndexes(one.db);
    const whole = await indexes();
    await dropFrom(one.db, "duration_key", 3);
    expect(await countPartitionWeeksAhead(one.db, today)).toBe(2);
    await dropFrom(one.db, "cdr_record", 0);
    expect(await countPartitionWeeksAhead(one.db, today)).toBe(0);
    const made = await Promise.all([ensurePartitions(one.db), ensurePartitions(one.db)]);
    expect(Math.max(...made.map(({ created }) => created))).toBe(2 + 5);
    expect(await countPartitionWeeksAhead(one.db, today)).toBe(PARTITION_WEEKS_AHEAD);
    expect(await indexes()).toEqual(whole);
    expect(await ensurePartitions(one.db)).toEqual({ created: 0 });
  });

  test("are made while writers and readers hold the table, and neither waits for the other", async () => {
    await using one = await open();
    await dropFrom(one.db, "cdr_record", 3);
    const writer = new pg.Client({ connectionString: one.url });
    await writer.connect();
    try {
      await writer.query("BEGIN");
      await writer.query("LOCK TABLE cdr_record IN ROW EXCLUSIVE MODE");
      await writer.query("SELECT count(*) FROM cdr_record");
      expect(await ensurePartitions(one.db)).toEqual({ created: 2 });
      await writer.query("COMMIT");
    } finally {
      await writer.end();
    }
    expect(await countPartitionWeeksAhead(one.db, today)).toBe(PARTITION_WEEKS_AHEAD);
  });

  test("are made anew by the job while a server runs, which tells when they run short all the same", async () => {
    await using one = await open();
    await dropFrom(one.db, "cdr_record", 1);
    const stop = new AbortController();
    const errors: unknown[] = [];
    const short: number[] = [];
    // A table of that name, that is no partition, is in the way.
    const blocked = `cdr_record_${partitionDay(2)}`;
    await one.db.pool.query(`CREATE TABLE ${blocked} (a int)`);
    const onShort = (weeks: number) => void short.push(weeks);
    const onError = (error: unknown) => void errors.push(error);
    const running = runMakePartitions({ db: one.db, intervalMs: 20, onShort, onError }, stop.signal);
    await expect.poll(() => short).toContain(1);
    await one.db.pool.query(`DROP TABLE ${blocked}`);
    await expect.poll(() => countPartitionWeeksAhead(one.db, today)).toBe(PARTITION_WEEKS_AHEAD);
    const alarms = short.length;
    await dropFrom(one.db, "cdr_quality", PARTITION_WEEKS_AHEAD);
    await expect.poll(() => countPartitionWeeksAhead(one.db, today)).toBe(PARTITION_WEEKS_AHEAD);
    stop.abort();
    await running;
    expect(short.length - alarms).toBeLessThanOrEqual(1);
    expect(errors).toEqual([]);
  });
});

interface Bounds {
  readonly from: string;
  readonly to: string;
}

async function listPartitions(db: Database): Promise<Record<string, Bounds[]>> {
  const { rows } = await db.pool.query<{ table: string; bound: string }>(`
    SELECT p.relname AS table, pg_get_expr(c.relpartbound, c.oid) AS bound FROM pg_inherits i
    JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent WHERE p.relkind = 'p' ORDER BY p.relname, bound`);
  const partitions: Record<string, Bounds[]> = {};
  for (const { table, bound } of rows) {
    const [from = "", to = ""] = bound.match(/\d{4}-\d\d-\d\d/g) ?? [];
    partitions[table] ??= [];
    partitions[table].push({ from, to });
  }
  return partitions;
}

/** How many indexes the partitions of each table have. */
async function countIndexes(db: Database): Promise<unknown[]> {
  const { rows } = await db.pool.query(`
    SELECT p.relname, count(*)::int FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent WHERE p.relkind = 'I'
    GROUP BY p.relname ORDER BY p.relname`);
  return rows;
}

/** Drops a table's partitions from so many weeks after this one on. */
async function dropFrom(db: Database, table: string, week: number): Promise<void> {
  for (let ahead = week; ahead <= PARTITION_WEEKS_AHEAD; ahead++)
    await db.pool.query(`DROP TABLE ${table}_${partitionDay(ahead)}`);
}

function partitionDay(weeksAhead: number): string {
  const weekday = (new Date(`${today}T00:00:00Z`).getUTCDay() + 6) % 7;
  return addDays(today, 7 * weeksAhead - weekday).replaceAll("-", "");
}

test("the heads of audit chains of before are taken along: the chains are whole, and go on", async () => {
  await using database = await createMigratedDatabase();
  await using db = openDatabase({ url: database.url });
  await addCarrier(db, "acme");
  await addCarrier(db, "idle");
  const act = { carrierId: "acme", actor: "t", method: "t", resource: "r", outcome: AuditOutcome.DONE };
  const append = () => systemTransaction(db, (tx) => appendAuditEvent(tx, act));
  for (let count = 0; count < 3; count++) await append();
  // As 0008 had it.
  await db.pool.query(`
    ALTER TABLE audit_chain ADD COLUMN last_sequence bigint NOT NULL DEFAULT 0, ADD COLUMN last_hash bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
      ADD COLUMN last_event_time timestamptz NOT NULL DEFAULT '1970-01-01T00:00:00Z', DROP COLUMN turns;
    UPDATE audit_chain c SET last_sequence = h.sequence, last_hash = h.entry_hash, last_event_time = h.event_time
      FROM audit_head h WHERE h.carrier_id = c.carrier_id AND h.sequence = 3;
    DROP TABLE audit_head, seal_key`);
  await db.kysely.transaction().execute((tx) => seals.up(tx as unknown as Kysely<unknown>));
  const signal = AbortSignal.timeout(EVENTUALLY_MS);
  expect(await verifyAuditChain(db, { carrierId: "acme" }, signal)).toMatchObject({
    verifiedCount: 3n,
    firstBreak: undefined,
  });
  expect(await append()).toMatchObject({ sequence: 4n });
  expect(await verifyAuditChains(db, signal)).toEqual([]);
});

test("what carriers have a most of is counted when the tallies come to a database in use", async () => {
  await using exchange = await startExchange({ maxNumbers: 3, maxOpenUploads: 2 });
  const { db } = exchange.services;
  for (const carrierId of ["busy", "idle"]) await exchange.addCarrier(carrierId);
  const numbers = await exchange.carrierClient(NumberService, "busy");
  const provision = async (...wanted: string[]) => {
    const items = wanted.map((number) => provisionItem(number));
    return (await numbers.provisionNumbers({ requestId: newRequestId(), items })).outcomes.map(describeOutcome);
  };
  const [held = "", released = "", more = "", tooMany = ""] = takeNumbers(4);
  await provision(held, released);
  await numbers.releaseNumbers({ requestId: newRequestId(), phoneNumbers: [released] });
  const uploads = await exchange.carrierClient(DurationService, "busy");
  const open = (uploadId: string) => reasonOf(uploads.appendDurations({ uploadId, firstOffset: 0n }));
  for (const uploadId of ["open", "finished"]) await open(uploadId);
  const finish = { finalOffset: 0n, totals: {} };
  await uploads.appendDurations({ uploadId: "finished", firstOffset: 0n, finish });
  const cdrs = await exchange.carrierClient(CdrService, "busy");
  const { cursor } = await cdrs.resolveCdrCursor({ ingestTime: { seconds: 1n } });
  for (const consumer of ["one", "two"]) await cdrs.commitCdrCursor({ consumer, cursor });
  // As 0009 had it.
  await db.pool.query("DROP TABLE carrier_tally, number_range, number_approval; DROP INDEX upload_open");
  await db.kysely.transaction().execute((tx) => limits.up(tx as unknown as Kysely<unknown>));

  const { rows } = await db.pool.query("SELECT carrier_id, what, held FROM carrier_tally ORDER BY carrier_id, what");
  expect(rows).toEqual([
    { carrier_id: "busy", what: Tally.NUMBERS, held: 1n },
    { carrier_id: "busy", what: Tally.OPEN_DURATION_UPLOADS, held: 1n },
    { carrier_id: "busy", what: Tally.CONSUMERS, held: 2n },
  ]);
  expect(await verifyAll(db, AbortSignal.timeout(EVENTUALLY_MS))).toEqual([]);
  expect(await provision(released, more, tooMany)).toEqual(["PROVISIONED", "PROVISIONED", "LIMIT_REACHED"]);
  expect([await open("second"), await open("third")]).toEqual(["OK", "LIMIT_REACHED"]);
});

import { setTimeout as wait } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { sql } from "kysely";
import { createTandemTransport } from "../src/client/transport.ts";
import type { Stated } from "../src/domain/enum-values.ts";
import { microsFromMs } from "../src/domain/time/instant.ts";
import { CdrService } from "../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { LegalBasis, ProcessingPurpose } from "../src/gen/tandem/platform/v1/retention_policy_pb.js";
import { RecordPart } from "../src/gen/tandem/type/v1/agreement_pb.js";
import { CallDetailRecordSchema } from "../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { CallDurationSchema } from "../src/gen/tandem/type/v1/call_duration_pb.js";
import { applyRetention } from "../src/jobs/retention.ts";
import { type Database, ownerTransaction, systemTransaction } from "../src/store/database/database.ts";
import { ensurePartitions } from "../src/store/database/partitions.ts";
import { writePolicy } from "../src/store/privacy/retention-policies.ts";
import { verifyAll } from "../src/store/verify/verify.ts";
import { prepareCdr } from "../src/upload/records/cdr-preparation.ts";
import { prepareDuration } from "../src/upload/records/duration-preparation.ts";
import { addCarrier, assignNumbers } from "../test/support/carriers.ts";
import { benchCdr, benchDuration, benchNumbers } from "./records.ts";
import { quantile } from "./statistics.ts";
import { type BenchWorld, openBenchWorld } from "./world.ts";

/** What retention does to those who read and write meanwhile, and what it gives back. */
export interface RetentionFigures {
  seconds: number;
  deletedRecords: number;
  /** Of the weekly tables that nobody writes to any more, with indexes. */
  bytesBefore: number;
  bytesAfter: number;
  droppedPartitions: number;
  /** Records past their carrier's retention that are still stored. */
  leftRecords: number;
  writeP99Ms: number;
  writeBaselineP99Ms: number;
  readP99Ms: number;
  readBaselineP99Ms: number;
}

const DAYS = 60;
const SHORT = { carrierId: "bench-short", days: 32 };
const LONG = { carrierId: "bench-long", days: 46 };
const DAY_MS = 86_400_000;

/**
 * So many records, half of them call detail records with quality and half durations, of two
 * carriers over 60 days, one of which keeps them for 32 days and one for 46; then one run of
 * retention, while both carriers' clients upload and list.
 * @param baselineMs how long clients are measured before it.
 */
export async function measureRetention(records: number, baselineMs: number): Promise<RetentionFigures> {
  await using world = await openBenchWorld({ retentionIntervalMs: 0 });
  const { db } = world.app.services;
  const now = Date.now();
  await ensurePartitions(db, 10);
  for (const { carrierId, days } of [SHORT, LONG]) {
    await addCarrier(db, carrierId);
    await assignNumbers(db, carrierId, benchNumbers(), "customer-1");
    for (const part of [RecordPart.CALL, RecordPart.DURATION] as const) await setDays(db, carrierId, part, days);
  }
  await load(db, now, Math.floor(records / (4 * DAYS)));
  await db.pool.query("VACUUM ANALYZE");
  const bytesBefore = await tableBytes(db);
  const storedBefore = await countRecords(db);
  const clients = await openClients(world);
  const warm = new AbortController();
  await Promise.all([clients.run(warm.signal), wait(baselineMs / 4).then(() => warm.abort())]);
  const baseline = await measure(clients, () => wait(baselineMs));
  const started = performance.now();
  let seconds = 0;
  let dropped = 0;
  const during = await measure(clients, async () => {
    const onError = (error: unknown) => console.error("retention:", error);
    const options = { db, intervalMs: 0, now: microsFromMs(now), onError };
    dropped = (await applyRetention(options, "bench", new AbortController().signal)).dropped.length;
    seconds = (performance.now() - started) / 1_000;
    // As long as the baseline at least.
    await wait(Math.max(0, baselineMs - seconds * 1_000));
  });
  await db.pool.query("VACUUM");
  const figures = {
    seconds,
    deletedRecords: storedBefore - (await countRecords(db, now)),
    bytesBefore,
    bytesAfter: await tableBytes(db),
    droppedPartitions: dropped,
    leftRecords: await countLeft(db, now),
    writeP99Ms: quantile(during.writes, 0.99),
    writeBaselineP99Ms: quantile(baseline.writes, 0.99),
    readP99Ms: quantile(during.reads, 0.99),
    readBaselineP99Ms: quantile(baseline.reads, 0.99),
  };
  const findings = await verifyAll(db, new AbortController().signal);
  if (findings.length > 0) throw new Error(`after retention: ${JSON.stringify(findings.slice(0, 3))}`);
  return figures;
}

function setDays(db: Database, carrierId: string, part: Stated<RecordPart>, retentionDays: number): Promise<unknown> {
  const policy = {
    countryCode: "DK",
    carrierId,
    part,
    purpose: ProcessingPurpose.USAGE_AND_BILLING,
    legalBasis: LegalBasis.CONTRACT,
  } as const;
  return systemTransaction(db, (tx) =>
    writePolicy(tx, { ...policy, retentionDays, source: "benchmark", privacyStatementVersion: "1" }, 0n, "bench"),
  );
}

// As they come: the carriers' records of an hour beside each other. Payloads are all the same; keys
// and columns are not.
async function load(db: Database, nowMs: number, perDay: number): Promise<void> {
  const context = {
    now: microsFromMs(nowMs),
    hashSecret: Buffer.alloc(32),
    horizons: { firstDays: 1e6, laterDays: 1e6 },
  };
  const cdr = prepareCdr(create(CallDetailRecordSchema, benchCdr("loaded", 1, nowMs)), context);
  const duration = prepareDuration(create(CallDurationSchema, benchDuration("loaded", 1, nowMs)), context);
  const quality = cdr.quality as { payload: Uint8Array };
  let sequence = 1n;
  for (let day = DAYS; day >= 1; day--) {
    for (const { carrierId } of [SHORT, LONG]) {
      const from = new Date(nowMs - day * DAY_MS).toISOString();
      const row = sql`SELECT ${carrierId}::text AS carrier_id, ${sequence}::int8 + i AS sequence,
        ${from}::timestamptz + i * interval '1 day' / ${perDay}::int4 AS at FROM generate_series(0, ${perDay - 1}::int4) AS i`;
      const recordDay = sql`(at AT TIME ZONE 'UTC')::date`;
      const run = (text: ReturnType<typeof sql>) =>
        ownerTransaction(db, (tx) => text.execute(tx), { statementTimeoutMs: 60_000 });
      for (const keys of ["cdr_key", "duration_key"])
        await run(
          sql`INSERT INTO ${sql.table(keys)} SELECT carrier_id, 'loaded-' || sequence, ${recordDay}, 1, sequence, sequence, sequence, at FROM (${row}) r`,
        );
      await run(sql`
        INSERT INTO cdr_record (carrier_id, sequence, ingest_time, record_id, record_date, revision, entry_kind, partial, call_id, invite_time, direction,
          phone_number, customer_id, trunk_id, calling_number, called_number, answered, quality_verdict, payload)
        SELECT carrier_id, sequence, at, 'loaded-' || sequence, ${recordDay}, 1, 1, false, 'call-' || sequence, at, 1, '+441632960001', 'customer-1',
          'trunk-1', '+441632960001', '+12025550123', true, 1, ${Buffer.from(cdr.payload)}::bytea FROM (${row}) r`);
      await run(sql`
        INSERT INTO cdr_quality (carrier_id, sequence, ingest_time, classified_streams, poor_streams, reasons, payload)
        SELECT carrier_id, sequence, at, 2, 0, '{}', ${Buffer.from(quality.payload)}::bytea FROM (${row}) r`);
      await run(sql`
        INSERT INTO duration_record (carrier_id, sequence, ingest_time, record_id, record_date, revision, entry_kind, start_time, direction, phone_number,
          customer_id, trunk_id, connected_duration_ms, payload)
        SELECT carrier_id, sequence, at, 'loaded-' || sequence, ${recordDay}, 1, 1, at, 1, '+441632960001', 'customer-1', 'trunk-1', 60000,
          ${Buffer.from(duration.payload)}::bytea FROM (${row}) r`);
    }
    sequence += BigInt(perDay);
  }
  await ownerTransaction(db, (tx) =>
    sql`UPDATE feed_head SET next_sequence = ${sequence}::int8, last_ingest_time = ${new Date(nowMs).toISOString()}::timestamptz
      WHERE feed IN (2, 4) AND carrier_id IN (${SHORT.carrierId}, ${LONG.carrierId})`.execute(tx),
  );
}

interface Clients {
  /** Uploads and lists until the signal aborts. */
  run(signal: AbortSignal): Promise<{ reads: number[]; writes: number[] }>;
}

async function openClients(world: BenchWorld): Promise<Clients> {
  const open = async ({ carrierId }: { carrierId: string }) => {
    const transport = createTandemTransport({ baseUrl: world.app.url, token: await world.carrierToken(carrierId) });
    return { cdrs: createClient(CdrService, transport), durations: createClient(DurationService, transport) };
  };
  const carriers = [await open(SHORT), await open(LONG)];
  let upload = 0;
  return {
    async run(signal) {
      const reads: number[] = [];
      const writes: number[] = [];
      const write = async (client: (typeof carriers)[number]) => {
        const uploadId = `bench-${upload++}`;
        const records = Array.from({ length: 100 }, (_, index) => benchDuration(uploadId, index, Date.now()));
        await client.durations.appendDurations({ uploadId, firstOffset: 0n, records });
      };
      const read = async (client: (typeof carriers)[number], turn: number) => {
        const endMs = Date.now() - (turn % 30) * DAY_MS;
        await client.cdrs.listCdrs({ startTime: instant(endMs - DAY_MS), endTime: instant(endMs), pageSize: 100 });
      };
      await Promise.all(
        carriers.flatMap((client) => [
          repeat(signal, 50, writes, () => write(client)),
          repeat(signal, 25, reads, (turn) => read(client, turn)),
        ]),
      );
      return { reads, writes };
    },
  };
}

async function repeat(
  signal: AbortSignal,
  everyMs: number,
  took: number[],
  call: (turn: number) => Promise<unknown>,
): Promise<void> {
  for (let turn = 0; !signal.aborted; turn++) {
    const started = performance.now();
    await call(turn);
    const ms = performance.now() - started;
    took.push(ms);
    await wait(Math.max(0, everyMs - ms));
  }
}

async function measure(clients: Clients, during: () => Promise<unknown>) {
  const stop = new AbortController();
  const [took] = await Promise.all([clients.run(stop.signal), during().finally(() => stop.abort())]);
  return took;
}

function instant(ms: number) {
  return { seconds: BigInt(Math.floor(ms / 1_000)), nanos: 0 };
}

async function tableBytes(db: Database): Promise<number> {
  const { rows } = await db.pool.query(`
    SELECT COALESCE(sum(pg_total_relation_size(oid)), 0) AS bytes FROM pg_class
    WHERE relkind = 'r' AND relname ~ '^(cdr|duration)_(record|quality|network)_\\d{8}$'
      AND to_date(right(relname, 8), 'YYYYMMDD') < current_date - 14`);
  return Number(rows[0].bytes);
}

async function countRecords(db: Database, before?: number): Promise<number> {
  const until = before === undefined ? "infinity" : new Date(before).toISOString();
  const { rows } = await db.pool.query(
    "SELECT (SELECT count(*) FROM cdr_record WHERE ingest_time < $1) + (SELECT count(*) FROM duration_record WHERE ingest_time < $1) AS count",
    [until],
  );
  return Number(rows[0].count);
}

async function countLeft(db: Database, nowMs: number): Promise<number> {
  let left = 0;
  for (const { carrierId, days } of [SHORT, LONG]) {
    for (const table of ["cdr_record", "cdr_quality", "duration_record"]) {
      const { rows } = await db.pool.query(`SELECT count(*) FROM ${table} WHERE carrier_id = $1 AND ingest_time < $2`, [
        carrierId,
        new Date(nowMs - days * DAY_MS).toISOString(),
      ]);
      left += Number(rows[0].count);
    }
  }
  return left;
}

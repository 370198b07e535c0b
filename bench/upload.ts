import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Client } from "pg";
import { from as copyFrom, to as copyTo } from "pg-copy-streams";
import { addCarrier, assignNumbers } from "../test/support/carriers.ts";
import { ownCpuMicros, treeCpuMicros } from "./cpu-time.ts";
import { startHelper } from "./helper-process.ts";
import { benchNumbers } from "./records.ts";
import type { UploadClientArgument, UploadClientResult } from "./upload-client.ts";
import { type BenchWorld, openBenchWorld } from "./world.ts";

/** One run of uploads: a rate, and the CPU time that each part took for a record. */
export interface UploadRun {
  uploadPerSecond: number;
  uploadCpuMicros: { server: number; postgres: number; client: number };
}

/** What one round measured beside COPY. */
export interface UploadRound extends UploadRun {
  copyPerSecond: number;
  copyCpuMicros: { client: number; postgres: number };
}

const UPLOADS = 4;
export const CARRIERS = Array.from({ length: UPLOADS }, (_, index) => `bench-${index}`);
const WARM_UP_RECORDS = 30_000;
const BATCH_RECORDS = 1_000;

/**
 * Durable uploads over raw COPY, in pairs: four uploads at once, of four carriers, over real
 * sockets, from another process; then COPY of the very rows that they left in duration_record, into
 * the same table (emptied, with its partitions and indexes), from memory, over one connection, in
 * one durable transaction.
 */
export async function measureUploads(
  rounds: number,
  recordsEach: number,
  batchSize = BATCH_RECORDS,
): Promise<UploadRound[]> {
  await using world = await openBenchWorld();
  await addCarriers(world);
  await runUploads(world, "warm", Math.min(WARM_UP_RECORDS, recordsEach), batchSize);
  const measured: UploadRound[] = [];
  for (let round = 0; round < rounds; round++) {
    await emptyTables(world);
    const upload = await runUploads(world, `round${round}`, recordsEach, batchSize);
    measured.push({ ...upload, ...(await runCopy(world, UPLOADS * recordsEach)) });
  }
  return measured;
}

/**
 * IngestCdrs of records with two measured streams: four ingests at once, of four carriers, from
 * another process. A round each.
 */
export async function measureIngests(rounds: number, recordsEach: number): Promise<UploadRun[]> {
  await using world = await openBenchWorld();
  await addCarriers(world);
  await runUploads(world, "warm", Math.min(WARM_UP_RECORDS, recordsEach), BATCH_RECORDS, "cdrs");
  const measured: UploadRun[] = [];
  for (let round = 0; round < rounds; round++)
    measured.push(await runUploads(world, `round${round}`, recordsEach, BATCH_RECORDS, "cdrs"));
  return measured;
}

export async function addCarriers({ app }: BenchWorld): Promise<void> {
  for (const carrier of CARRIERS) {
    await addCarrier(app.services.db, carrier);
    await assignNumbers(app.services.db, carrier, benchNumbers(), "customer-1");
  }
}

export async function runUploads(
  world: BenchWorld,
  runName: string,
  recordsEach: number,
  batchSize: number,
  kind: "durations" | "durations with random ids" | "cdrs" = "durations",
): Promise<UploadRun> {
  const isCdrs = kind === "cdrs";
  const tokenOf = (carrier: string) => (isCdrs ? world.platformToken() : world.carrierToken(carrier));
  const tokens = await Promise.all(CARRIERS.map(tokenOf));
  const argument: UploadClientArgument = {
    ...{ url: world.app.url, tokens, recordsEach, batchSize, runName },
    hasRandomIds: kind === "durations with random ids",
    ...(isCdrs ? { carrierIds: CARRIERS } : {}),
  };
  const client = startHelper<UploadClientResult>("upload-client.ts", argument);
  await client.ready;
  const serverBefore = ownCpuMicros();
  const postgresBefore = treeCpuMicros(world.postgresPid);
  client.go();
  const { seconds, accepted, cpuMicros } = await client.result;
  const server = ownCpuMicros() - serverBefore;
  const postgres = treeCpuMicros(world.postgresPid) - postgresBefore;
  const records = recordsEach * UPLOADS;
  if (accepted !== records) throw new Error(`${accepted} of ${records} records were accepted`);
  return {
    uploadPerSecond: records / seconds,
    uploadCpuMicros: { server: server / records, postgres: postgres / records, client: cpuMicros / records },
  };
}

async function runCopy(world: BenchWorld, expected: number) {
  await using client = await world.connectForCopy();
  const rows = await takeRows(client);
  await client.query("TRUNCATE duration_record");
  const clientBefore = ownCpuMicros();
  const postgresBefore = treeCpuMicros(world.postgresPid);
  const started = performance.now();
  await pipeline(Readable.from(rows), client.query(copyFrom("COPY duration_record FROM STDIN")));
  const seconds = (performance.now() - started) / 1000;
  const copyCpuMicros = {
    client: (ownCpuMicros() - clientBefore) / expected,
    postgres: (treeCpuMicros(world.postgresPid) - postgresBefore) / expected,
  };
  const stored = await client.query("SELECT count(*) AS n FROM duration_record");
  if (Number(stored.rows[0].n) !== expected) throw new Error(`COPY brought ${stored.rows[0].n} of ${expected} rows`);
  return { copyPerSecond: expected / seconds, copyCpuMicros };
}

async function takeRows(client: Client): Promise<Buffer[]> {
  const chunks: Buffer[] = [];
  await pipeline(client.query(copyTo("COPY (SELECT * FROM duration_record) TO STDOUT")), async (source) => {
    for await (const chunk of source) chunks.push(chunk as Buffer);
  });
  // In pieces of the size that a COPY program sends, not one write a row.
  const all = Buffer.concat(chunks);
  const pieces: Buffer[] = [];
  for (let start = 0; start < all.length; start += COPY_BYTES) pieces.push(all.subarray(start, start + COPY_BYTES));
  return pieces;
}

const COPY_BYTES = 65_536;

export async function emptyTables(world: BenchWorld): Promise<void> {
  const { pool } = world.app.services.db;
  await pool.query("TRUNCATE duration_record, duration_key, upload, upload_batch, upload_reject");
}

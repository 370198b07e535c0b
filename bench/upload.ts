import { fork } from "node:child_process";
import { once } from "node:events";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { from as copyFrom, to as copyTo } from "pg-copy-streams";
import { addCarrier, assignNumbers } from "../test/support/carriers.ts";
import { benchNumbers } from "./records.ts";
import { type BenchWorld, openBenchWorld } from "./world.ts";

/** What one round measured, records a second. */
export interface UploadRound {
  upload: number;
  copy: number;
}

const UPLOADS = 4;
const CARRIERS = Array.from({ length: UPLOADS }, (_, index) => `bench-${index}`);

/**
 * Durable uploads over raw COPY, in pairs: four uploads at once, of four carriers, over real sockets, from another process; then COPY of the very rows that they
 * left in duration_record, into the same (emptied) table with the same indexes, from memory, over one connection.
 */
export async function measureUploads(rounds: number, recordsEach: number, batchSize = 1_000): Promise<UploadRound[]> {
  await using world = await openBenchWorld();
  for (const carrier of CARRIERS) {
    await addCarrier(world.app.services.db, carrier);
    await assignNumbers(world.app.services.db, carrier, benchNumbers(), "customer-1");
  }
  await runUploads(world, "warm", 20_000, batchSize);
  const measured: UploadRound[] = [];
  for (let round = 0; round < rounds; round++) {
    await emptyTables(world);
    const upload = await runUploads(world, `round${round}`, recordsEach, batchSize);
    measured.push({ upload, copy: await runCopy(world, UPLOADS * recordsEach) });
  }
  return measured;
}

async function runUploads(world: BenchWorld, name: string, recordsEach: number, batchSize: number): Promise<number> {
  const tokens = await Promise.all(CARRIERS.map((carrier) => world.carrierToken(carrier)));
  const args = [world.app.url, tokens.join(","), String(recordsEach), String(batchSize), name];
  const client = fork(fileURLToPath(new URL("./upload-client.ts", import.meta.url)), args, { silent: true });
  client.stderr?.pipe(process.stderr);
  const output = client.stdout?.toArray();
  await once(client, "message");
  client.send("go");
  await once(client, "exit");
  const { seconds, records, accepted } = JSON.parse(Buffer.concat((await output) ?? []).toString());
  if (accepted !== records) throw new Error(`${accepted} of ${records} records were accepted`);
  return records / seconds;
}

async function runCopy(world: BenchWorld, expected: number): Promise<number> {
  const client = await world.app.services.db.pool.connect();
  try {
    const chunks: Buffer[] = [];
    await pipeline(client.query(copyTo("COPY (SELECT * FROM duration_record) TO STDOUT")), async (source) => {
      for await (const chunk of source) chunks.push(chunk as Buffer);
    });
    await client.query("TRUNCATE duration_record");
    await client.query("CHECKPOINT");
    const started = performance.now();
    await pipeline(Readable.from(chunks), client.query(copyFrom("COPY duration_record FROM STDIN")));
    const seconds = (performance.now() - started) / 1000;
    const { rows } = await client.query("SELECT count(*) AS n FROM duration_record");
    if (Number(rows[0].n) !== expected) throw new Error(`COPY brought ${rows[0].n} of ${expected} rows`);
    return expected / seconds;
  } finally {
    client.release();
  }
}

async function emptyTables(world: BenchWorld): Promise<void> {
  const { pool } = world.app.services.db;
  await pool.query("TRUNCATE duration_record, duration_key, upload, upload_batch, upload_reject");
  await pool.query("CHECKPOINT");
}


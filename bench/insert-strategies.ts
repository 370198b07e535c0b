// How durations get into duration_record: the ways that were compared, over plain COPY. `node
// bench/insert-strategies.ts`; it is no part of `npm run bench`.
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { PoolClient } from "pg";
import { from as copyFrom } from "pg-copy-streams";
import {
  byteaArray,
  dateArray,
  int2Array,
  int4Array,
  int8Array,
  textArray,
  timestamptzArray,
} from "../src/store/database/binary-array.ts";
import { ownCpuMicros, treeCpuMicros } from "./cpu-time.ts";
import { median } from "./statistics.ts";
import { type BenchWorld, openBenchWorld } from "./world.ts";

interface Row {
  sequence: bigint;
  recordId: string;
  recordDate: string;
  startTime: bigint;
  phoneNumber: string;
  connectedMs: bigint;
  payload: Buffer;
}

const ROWS = 4_000;
const BATCHES = 10;
const ROUNDS = 3;
const CARRIER = "bench-0";
const CUSTOMER = "customer-1";
const PAYLOAD_BYTES = 178;
const COLUMNS =
  "carrier_id, sequence, ingest_time, record_id, record_date, revision, entry_kind, start_time, direction, phone_number, customer_id, connected_duration_ms, payload";
const TYPES =
  "record_id text, record_date date, revision int4, entry_kind int2, start_time timestamptz, direction int2, phone_number text, customer_id text, connected_duration_ms int8, payload bytea";
const ingestTime = new Date().toISOString();

type Strategy = (client: PoolClient, rows: readonly Row[]) => Promise<unknown>;

const STRATEGIES: Record<string, Strategy> = {
  "plain COPY (the ceiling; not allowed under row-level security)": (client, rows) =>
    copyInto(client, "duration_record", rows),
  "COPY into a temporary table, then INSERT": async (client, rows) => {
    await client.query("CREATE TEMPORARY TABLE IF NOT EXISTS staging (LIKE duration_record) ON COMMIT DELETE ROWS");
    await copyInto(client, "staging", rows);
    await client.query(`INSERT INTO duration_record (${COLUMNS}) SELECT ${COLUMNS} FROM staging`);
  },
  "multi-row VALUES, 1,000 a statement": async (client, rows) => {
    for (let start = 0; start < rows.length; start += 1_000)
      await insertValues(client, rows.slice(start, start + 1_000));
  },
  "one jsonb, jsonb_to_recordset": (client, rows) =>
    client.query(
      `INSERT INTO duration_record (${COLUMNS}) SELECT $1, $2::int8 + r.position, $3::timestamptz, record_id, record_date, revision, entry_kind,
         start_time, direction, phone_number, customer_id, connected_duration_ms, payload
       FROM jsonb_to_recordset($4::jsonb) AS r(position int8, ${TYPES})`,
      [CARRIER, firstOf(rows), ingestTime, JSON.stringify(rows.map(jsonOf))],
    ),
  "arrays as text, unnest in FROM": (client, rows) => client.query(UNNEST_FROM, [...head(rows), ...textColumns(rows)]),
  "arrays as binary, unnest in FROM": (client, rows) =>
    client.query(UNNEST_FROM, [...head(rows), ...binaryColumns(rows)]),
  "arrays as binary, unnest in the select list (chosen)": (client, rows) =>
    client.query(UNNEST_SELECT, [...head(rows), ...binaryColumns(rows), String(rows.length)]),
};

const UNNEST_TYPES = ["text", "date", "int4", "int2", "timestamptz", "int2", "text", "text", "int8", "bytea"];
const UNNEST_FROM = `INSERT INTO duration_record (${COLUMNS}) SELECT $1, $2::int8 + r.position - 1, $3::timestamptz, r.a, r.b, r.c, r.d, r.e, r.f, r.g, r.h, r.i, r.j
  FROM unnest(${UNNEST_TYPES.map((type, index) => `$${index + 4}::${type}[]`).join(", ")}) WITH ORDINALITY AS r(a, b, c, d, e, f, g, h, i, j, position)`;
const UNNEST_SELECT = `INSERT INTO duration_record (${COLUMNS}) SELECT $1, generate_series($2::int8, $2::int8 + $14::int8 - 1), $3::timestamptz,
  ${UNNEST_TYPES.map((type, index) => `unnest($${index + 4}::${type}[])`).join(", ")}`;

await main();

async function main(): Promise<void> {
  await using world = await openBenchWorld({ databasePool: 2 });
  const measured = new Map<string, Measured[]>(Object.keys(STRATEGIES).map((name) => [name, []]));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, strategy] of Object.entries(STRATEGIES)) {
      const result = await measure(world, strategy);
      if (round > 0) measured.get(name)?.push(result);
    }
  }
  const ceiling = median((measured.values().next().value ?? []).map((each) => each.rowsPerSecond));
  for (const [name, results] of measured) {
    const of = (part: keyof Measured) => median(results.map((each) => each[part]));
    const cpu = `${of("clientMicros").toFixed(1)} + ${of("postgresMicros").toFixed(1)} µs`;
    process.stdout.write(`${name.padEnd(66)} ${(of("rowsPerSecond") / ceiling).toFixed(2)}  CPU ${cpu}\n`);
  }
}

interface Measured {
  rowsPerSecond: number;
  clientMicros: number;
  postgresMicros: number;
}

async function measure(world: BenchWorld, strategy: Strategy): Promise<Measured> {
  const client = await world.app.services.db.pool.connect();
  try {
    await client.query("TRUNCATE duration_record");
    const batches = Array.from({ length: BATCHES }, (_, batch) => makeRows(batch * ROWS));
    const clientBefore = ownCpuMicros();
    const postgresBefore = treeCpuMicros(world.postgresPid);
    const started = performance.now();
    for (const rows of batches) {
      await client.query("BEGIN");
      await strategy(client, rows);
      await client.query("COMMIT");
    }
    const seconds = (performance.now() - started) / 1_000;
    const total = ROWS * BATCHES;
    return {
      rowsPerSecond: total / seconds,
      clientMicros: (ownCpuMicros() - clientBefore) / total,
      postgresMicros: (treeCpuMicros(world.postgresPid) - postgresBefore) / total,
    };
  } finally {
    client.release();
  }
}

function makeRows(first: number): Row[] {
  const nowMicros = BigInt(Date.now()) * 1_000n;
  return Array.from({ length: ROWS }, (_, index) => ({
    sequence: BigInt(first + index + 1),
    recordId: `round-0-${first + index}`,
    recordDate: ingestTime.slice(0, 10),
    startTime: nowMicros - BigInt(index) * 1_000n,
    phoneNumber: `+441632960${String(index % 1_000).padStart(3, "0")}`,
    connectedMs: BigInt(1_000 + index),
    payload: Buffer.alloc(PAYLOAD_BYTES, 65 + (index % 26)),
  }));
}

function firstOf(rows: readonly Row[]): string {
  return String(rows[0]?.sequence ?? 1n);
}

function head(rows: readonly Row[]): string[] {
  return [CARRIER, firstOf(rows), ingestTime];
}

function isoOf(micros: bigint): string {
  return new Date(Number(micros / 1_000n)).toISOString();
}

function hexOf(payload: Buffer): string {
  return `\\x${payload.toString("hex")}`;
}

function valuesOf(row: Row): string[] {
  const { recordId, recordDate, startTime, phoneNumber, connectedMs, payload } = row;
  return [
    recordId,
    recordDate,
    "1",
    "1",
    isoOf(startTime),
    "1",
    phoneNumber,
    CUSTOMER,
    String(connectedMs),
    hexOf(payload),
  ];
}

function jsonOf(row: Row, position: number) {
  const [record_id, record_date, , , start_time, , phone_number, customer_id, , payload] = valuesOf(row);
  return {
    position,
    record_id,
    record_date,
    revision: 1,
    entry_kind: 1,
    start_time,
    direction: 1,
    phone_number,
    customer_id,
    connected_duration_ms: Number(row.connectedMs),
    payload,
  };
}

function textColumns(rows: readonly Row[]): string[][] {
  const values = rows.map(valuesOf);
  return UNNEST_TYPES.map((_, column) => values.map((each) => each[column] ?? ""));
}

function binaryColumns(rows: readonly Row[]): Buffer[] {
  const ones = int2Array(rows.map(() => 1));
  return [
    textArray(rows.map((row) => row.recordId)),
    dateArray(rows.map((row) => row.recordDate)),
    int4Array(rows.map(() => 1)),
    ones,
    timestamptzArray(rows.map((row) => row.startTime)),
    ones,
    textArray(rows.map((row) => row.phoneNumber)),
    textArray(rows.map(() => CUSTOMER)),
    int8Array(rows.map((row) => row.connectedMs)),
    byteaArray(rows.map((row) => row.payload)),
  ];
}

async function insertValues(client: PoolClient, rows: readonly Row[]): Promise<void> {
  const parameters: string[] = [];
  const tuples = rows.map((row) => {
    const values = [CARRIER, String(row.sequence), ingestTime, ...valuesOf(row)];
    const places = values.map((value) => `$${parameters.push(value)}`);
    return `(${places.join(", ")})`;
  });
  await client.query(`INSERT INTO duration_record (${COLUMNS}) VALUES ${tuples.join(", ")}`, parameters);
}

async function copyInto(client: PoolClient, table: string, rows: readonly Row[]): Promise<void> {
  const lines = rows.map((row) =>
    [CARRIER, String(row.sequence), ingestTime, ...valuesOf(row).slice(0, 9), `\\${hexOf(row.payload)}`].join("\t"),
  );
  await pipeline(
    Readable.from([Buffer.from(`${lines.join("\n")}\n`)]),
    client.query(copyFrom(`COPY ${table} (${COLUMNS}) FROM STDIN`)),
  );
}

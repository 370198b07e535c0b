import { createReadStream, createWriteStream } from "node:fs";
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { expect, test } from "vitest";
import { type Database, openDatabase } from "../../src/store/database/database.ts";
import { startEmbeddedPostgres } from "../../src/store/postgres/embedded-postgres.ts";
import { addCarrier, assignNumbers } from "../support/carriers.ts";
import { runCli, spawnCli } from "../support/cli.ts";
import { pace } from "../support/pace.ts";
import { findFreePort, ServerProcess } from "../support/server-process.ts";

const ROWS = Number(process.env["TANDEM_TEST_UPLOAD_ROWS"] ?? 60_000);
/** Where the first process is killed. */
const KILLED_AT = 0.4;
/** A million records need ten times as much. */
const HEAP_MB = 96;
const CARRIER = "alpha";
const CALLER = "+441632960001";
const ZONE = "Europe/Copenhagen";

test(`a file of ${ROWS} rows whose upload is killed at 40 % and run again ends with the right totals (TANDEM_TEST_UPLOAD_ROWS)`, async () => {
  await using folder = await makeFolder();
  const dataDir = join(folder.path, "data");
  await using server = new ServerProcess(await findFreePort(), { TANDEM_LOG_LEVEL: "error", TANDEM_DATA_DIR: dataDir });
  await server.start();
  await withStore(dataDir, async (db) => {
    await addCarrier(db, CARRIER, { graceMs: 0n, timeZone: "UTC" });
    await assignNumbers(db, CARRIER, [CALLER], "customer-1");
  });
  const file = join(folder.path, "Master.csv");
  const talkS = await writeMaster(file);
  const connection = { TANDEM_URL: `http://127.0.0.1:${server.port}`, TANDEM_DATA_DIR: dataDir };
  const settings = { ...connection, NODE_OPTIONS: `--max-old-space-size=${HEAP_MB}` };
  const command = ["durations", "upload", file, "--carrier", CARRIER, "--direction", "outbound", "--time-zone", ZONE];

  const uploads = async () => {
    const { stdout } = await runCli(["durations", "uploads", "--carrier", CARRIER, "--json"], settings);
    return (JSON.parse(stdout).uploads ?? []) as { state: string; committedOffset?: string }[];
  };
  const offset = async () => Number((await uploads())[0]?.committedOffset ?? 0);
  let peak = Promise.resolve(0);
  const killed = await spawnCli(command, settings, (child) => {
    peak = memoryOf(child.pid ?? 0, (ended) => child.once("exit", ended));
    const kill = async () => {
      await expect.poll(offset, { timeout: 1_800_000, interval: 20 }).toBeGreaterThanOrEqual(ROWS * KILLED_AT);
      child.kill("SIGKILL");
    };
    void kill();
  });
  expect(killed.code).not.toBe(0);
  const before = await offset();
  expect(before).toBeLessThan(ROWS);
  console.log(`killed with ${before} of ${ROWS} stored; ${await peak} MB at most`);

  let again = Promise.resolve(0);
  const finished = await spawnCli(command, settings, (child) => {
    again = memoryOf(child.pid ?? 0, (ended) => child.once("exit", ended));
  });
  console.log(`${finished.stdout.trim()} (${await again} MB at most)`);
  expect(finished).toMatchObject({
    code: 0,
    stdout: expect.stringContaining(`records: ${ROWS.toLocaleString("en")} accepted.`),
  });
  expect(finished.stderr).toContain("records that are stored");
  expect(await uploads()).toMatchObject([{ state: "UPLOAD_STATE_SEALED", committedOffset: String(ROWS) }]);
  // The server has compared the control totals of records and milliseconds with what it stored.
  const { stdout } = await runCli([...command, "--json"], settings);
  expect(JSON.parse(stdout).receipt).toMatchObject({
    totals: { recordCount: String(ROWS), connectedDurationMs: String(talkS * 1_000) },
  });
}, 3_600_000);

/** Calls of the last two weeks, as FreeSWITCH writes them; returns the seconds that they talked. */
async function writeMaster(file: string): Promise<number> {
  const firstMs = Date.now() - 14 * 86_400_000;
  const spreadMs = (13 * 86_400_000) / ROWS;
  let talkS = 0;
  const local = new Intl.DateTimeFormat("sv-SE", { timeZone: ZONE, dateStyle: "short", timeStyle: "medium" });
  function* rows() {
    for (let number = 0; number < ROWS; number++) {
      const endMs = firstMs + Math.floor(number * spreadMs);
      const billsec = 1 + (number % 300);
      talkS += billsec;
      const [start, answer, end] = [endMs - (billsec + 3) * 1_000, endMs - billsec * 1_000, endMs].map((ms) =>
        local.format(ms),
      );
      const called = `+4416329601${String(number % 100).padStart(2, "0")}`;
      const uuid = `5b2f4c1e-0000-4000-8000-${String(number).padStart(12, "0")}`;
      yield `"","${CALLER}","${called}","pstn","${start}","${answer}","${end}","${billsec + 3}","${billsec}","NORMAL_CLEARING","${uuid}","","","PCMA","PCMA"\n`;
    }
  }
  await pipeline(Readable.from(rows()), createWriteStream(file));
  const lines = createInterface({ input: createReadStream(file) });
  let count = 0;
  for await (const _ of lines) count += 1;
  expect(count).toBe(ROWS);
  return talkS;
}

/** The most memory that a process has had, in MB, as the kernel counts it. */
async function memoryOf(pid: number, onExit: (ended: () => void) => void): Promise<number> {
  const state = { hasEnded: false };
  onExit(() => {
    state.hasEnded = true;
  });
  let most = 0;
  while (!state.hasEnded) {
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
    most = Math.max(most, Math.round(Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1_024));
    await pace(200);
  }
  return most;
}

async function makeFolder() {
  const path = await mkdtemp(join(tmpdir(), "tandem-upload-"));
  // PostgreSQL's own account walks through it.
  await chmod(path, 0o755);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 5 }) };
}

async function withStore(dataDir: string, run: (db: Database) => Promise<void>): Promise<void> {
  await using server = await startEmbeddedPostgres({ dataDir: join(dataDir, "postgres") });
  await using db = openDatabase({ url: server.url });
  await run(db);
}

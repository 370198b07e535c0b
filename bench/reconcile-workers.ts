import { setTimeout as sleep } from "node:timers/promises";
import { ensurePartitions } from "../src/store/database/partitions.ts";
import { treeCpuMicros } from "./cpu-time.ts";
import { startHelper } from "./helper-process.ts";
import { appendHour, onboard } from "./reconcile-calls.ts";
import type { ReconcileServerArgument } from "./reconcile-server.ts";
import { median } from "./statistics.ts";
import { type BenchWorld, openBenchWorld } from "./world.ts";

/** What one or two processes take to reconcile one carrier. */
interface WorkersRun {
  readonly seconds: number;
  /** Processes and PostgreSQL, for a call. */
  readonly cpuMicros: number;
  /** Share of time that a process waits for a lock of another transaction. */
  readonly waits: number;
  /** Share of two cores' time. */
  readonly busy: number;
}

export interface WorkersFigures {
  readonly cpuOverOne: number;
  readonly rateOverOne: number;
  readonly waits: number;
  readonly busy: number;
}

const HOUR_MS = 3_600_000;
/** Two workers are ten days apart and more. */
const DAYS = 40;
const SAMPLE_MS = 20;
const WARM_UP_CALLS = 10_000;
const CORES = 2;

/**
 * Two processes reconcile one carrier's forty days from nothing, and one another carrier's with as
 * many calls, in turn.
 */
export async function measureWorkers(rounds: number, callsADay: number): Promise<WorkersFigures> {
  await using world = await openBenchWorld();
  await ensurePartitions(world.app.services.db, Math.ceil(DAYS / 7) + 1);
  const runs: { one: WorkersRun; two: WorkersRun }[] = [];
  for (let round = 0; round < rounds; round++) {
    const one = await reconcileBy(world, 1, `one-${round}`, callsADay);
    runs.push({ one, two: await reconcileBy(world, 2, `two-${round}`, callsADay) });
  }
  return {
    cpuOverOne: median(runs.map(({ one, two }) => two.cpuMicros / one.cpuMicros)),
    rateOverOne: median(runs.map(({ one, two }) => one.seconds / two.seconds)),
    waits: median(runs.map(({ two }) => two.waits)),
    busy: median(runs.map(({ two }) => two.busy)),
  };
}

async function reconcileBy(
  world: BenchWorld,
  count: number,
  carrierId: string,
  callsADay: number,
): Promise<WorkersRun> {
  await onboard(world, carrierId);
  const today = Math.floor(Date.now() / (24 * HOUR_MS)) * 24 * HOUR_MS;
  for (let day = 1; day <= DAYS; day++)
    await appendHour(world, carrierId, { name: day, startMs: today - day * 24 * HOUR_MS, calls: callsADay });
  await world.app.services.db.pool.query("VACUUM ANALYZE");
  const databaseUrl = String(world.app.services.db.pool.options.connectionString);
  const settings = { databaseUrl, dataDir: world.dataDir, issueTokens: true };
  const warmUps = Array.from({ length: count }, (_, index) => `warm-${index}-${carrierId}`);
  for (const warmUp of warmUps) {
    await onboard(world, warmUp);
    await appendHour(world, warmUp, { name: "warm", startMs: today - 24 * HOUR_MS, calls: WARM_UP_CALLS });
  }
  const servers = warmUps.map((warmUp) => {
    const argument: ReconcileServerArgument = { settings, warmUp };
    return startHelper<object, { pid: number }>("reconcile-server.ts", argument, ["--max-semi-space-size=64"]);
  });
  const pids = (await Promise.all(servers.map(({ ready }) => ready))).map(({ pid }) => pid);
  const cpu = () => [world.postgresPid, ...pids].reduce((sum, pid) => sum + treeCpuMicros(pid), 0);
  const [before, started] = [cpu(), performance.now()];
  for (const server of servers) server.go();
  const waits = await waitUntilDone(world, carrierId, count);
  const [micros, seconds] = [cpu() - before, (performance.now() - started) / 1_000];
  for (const server of servers) server.go();
  await Promise.all(servers.map(({ result }) => result));
  return { seconds, waits, cpuMicros: micros / (DAYS * callsADay), busy: micros / 1_000_000 / seconds / CORES };
}

async function waitUntilDone({ app }: BenchWorld, carrierId: string, workers: number): Promise<number> {
  const { pool } = app.services.db;
  let [samples, waiting] = [0, 0];
  for (;;) {
    const { rows } = await pool.query<{ waiting: number; done: boolean }>(`
      SELECT (SELECT count(*)::int FROM pg_stat_activity WHERE wait_event_type = 'Lock') AS waiting,
        EXISTS (SELECT 1 FROM reconcile_position WHERE carrier_id = '${carrierId}' AND cdr_sequence > 0) AS done`);
    samples++;
    waiting += rows[0]?.waiting ?? 0;
    if (rows[0]?.done) return waiting / (samples * workers);
    await sleep(SAMPLE_MS);
  }
}

import { reconcileFully } from "../test/support/reconcile.ts";
import { ownCpuMicros, treeCpuMicros } from "./cpu-time.ts";
import { appendHour, type BenchHour, onboard } from "./reconcile-calls.ts";
import { median } from "./statistics.ts";
import { type BenchWorld, openBenchWorld } from "./world.ts";

/** What reconciling costs. */
export interface ReconcileFigures {
  callsPerSecond: number;
  /** Of a new hour after the whole history, over that of a new hour after none. */
  growth: number;
  /** For a call. */
  serverCpuMicros: number;
  postgresCpuMicros: number;
  /** PostgreSQL's, for a call of one statement that joins the same records and inserts the same. */
  joinCpuMicros: number;
}

const HOUR_MS = 3_600_000;
const CALLS_AN_HOUR = 10_000;
const NEW_HOURS = 5;
/** Records are kept by the week in which they came, from last week on. */
const FIRST_HOUR_AGO = 7 * 24;

/**
 * Reconciles so many calls a side from nothing, by one worker; and new hours of 10,000 calls each,
 * with nothing and with all of that already reconciled.
 */
export async function measureReconcile(historyHours: number): Promise<ReconcileFigures> {
  await using world = await openBenchWorld();
  const alone = await newHours(world, "bench-alone");
  const carrierId = await onboard(world, "bench-history");
  for (let hour = 0; hour < historyHours; hour++) await appendHour(world, carrierId, hourAt(hour));
  await world.app.services.db.pool.query("VACUUM ANALYZE");
  const server = ownCpuMicros();
  const postgres = treeCpuMicros(world.postgresPid);
  const calls = historyHours * CALLS_AN_HOUR;
  const seconds = await timed(() => reconcileFully(world.app.services.db, carrierId));
  const figures = {
    callsPerSecond: calls / seconds,
    serverCpuMicros: (ownCpuMicros() - server) / calls,
    postgresCpuMicros: (treeCpuMicros(world.postgresPid) - postgres) / calls,
  };
  const joinCpuMicros = (await joinCpu(world, carrierId)) / calls;
  await world.app.services.db.pool.query("VACUUM ANALYZE");
  const after = await timeHours(world, carrierId, historyHours);
  return { ...figures, joinCpuMicros, growth: median(after) / median(alone) };
}

// The first warms up and is not counted.
async function newHours(world: BenchWorld, carrierId: string): Promise<number[]> {
  return timeHours(world, await onboard(world, carrierId), 0);
}

async function timeHours(world: BenchWorld, carrierId: string, firstHour: number): Promise<number[]> {
  const seconds: number[] = [];
  for (let hour = 0; hour <= NEW_HOURS; hour++) {
    await appendHour(world, carrierId, hourAt(firstHour + hour));
    seconds.push(await timed(() => reconcileFully(world.app.services.db, carrierId)));
  }
  return seconds.slice(1);
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await run();
  return (performance.now() - started) / 1_000;
}

function hourAt(hour: number): BenchHour {
  const thisHour = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;
  return { name: hour, startMs: thisHour - (FIRST_HOUR_AGO - hour) * HOUR_MS, calls: CALLS_AN_HOUR };
}

/**
 * What SQL takes at least: the records of each call are joined by the name that the simulator gave
 * them, and the results inserted as reconciling found them, into a copy of the table with its
 * indexes. Nothing is compared.
 */
async function joinCpu({ app, postgresPid }: BenchWorld, carrierId: string): Promise<number> {
  const { pool } = app.services.db;
  await pool.query("CREATE TABLE call_result_copy (LIKE call_result INCLUDING ALL)");
  await pool.query("ANALYZE call_result");
  const before = treeCpuMicros(postgresPid);
  await pool.query(`
    INSERT INTO call_result_copy
    SELECT r.* FROM (SELECT * FROM cdr_record WHERE carrier_id = '${carrierId}') p
    FULL JOIN (SELECT * FROM duration_record WHERE carrier_id = '${carrierId}') d ON substr(d.record_id, 3) = substr(p.record_id, 3)
    JOIN call_result r ON r.record_id = COALESCE(p.record_id, d.record_id) AND r.carrier_id = '${carrierId}'`);
  const cpu = treeCpuMicros(postgresPid) - before;
  await pool.query("DROP TABLE call_result_copy");
  return cpu;
}

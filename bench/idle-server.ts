import { setTimeout as sleep } from "node:timers/promises";
import { addCarrier } from "../test/support/carriers.ts";
import { ownCpuMicros, treeCpuMicros } from "./cpu-time.ts";
import { type BenchWorld, openBenchWorld } from "./world.ts";

const CARRIERS = 200;
const SETTLE_MS = 20_000;
const LOOK_MS = 500;

/** What a server costs that nobody uses, milliseconds of CPU a minute. */
export interface IdleServerFigures {
  serverCpuMs: number;
  postgresCpuMs: number;
}

/**
 * Measures a server of 200 carriers while nobody calls it, with all jobs but retention. That goes
 * through all carriers some times a day, for minutes, first a minute after the start.
 */
export async function measureIdleServer(seconds: number): Promise<IdleServerFigures> {
  await using world = await openBenchWorld({ reconcileIntervalMs: 1_000, retentionIntervalMs: 0 });
  for (let index = 0; index < CARRIERS; index++) await addCarrier(world.app.services.db, `bench-${index}`);
  await untilReconciled(world);
  await sleep(SETTLE_MS);
  const [server, postgres] = [ownCpuMicros(), treeCpuMicros(world.postgresPid)];
  await sleep(seconds * 1_000);
  const aMinute = (micros: number) => (micros / 1_000) * (60 / seconds);
  return {
    serverCpuMs: aMinute(ownCpuMicros() - server),
    postgresCpuMs: aMinute(treeCpuMicros(world.postgresPid) - postgres),
  };
}

// The first turn of each carrier is work.
async function untilReconciled({ app }: BenchWorld): Promise<void> {
  const left =
    "SELECT count(*)::int4 AS count FROM carrier c WHERE NOT EXISTS (SELECT FROM reconcile_position p WHERE p.carrier_id = c.carrier_id)";
  for (;;) {
    const { rows } = await app.services.db.pool.query<{ count: number }>(left);
    if (rows[0]?.count === 0) return;
    await sleep(LOOK_MS);
  }
}

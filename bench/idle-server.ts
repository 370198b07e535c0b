import { setTimeout as sleep } from "node:timers/promises";
import { addCarrier } from "../test/support/carriers.ts";
import { ownCpuMicros, treeCpuMicros } from "./cpu-time.ts";
import { openBenchWorld } from "./world.ts";

const CARRIERS = 200;
const SETTLE_MS = 20_000;

/** What a server costs that nobody uses, milliseconds of CPU a minute. */
export interface IdleServerFigures {
  serverCpuMs: number;
  postgresCpuMs: number;
}

/** Measures a server of 200 carriers, with all its jobs, while nobody calls it. */
export async function measureIdleServer(seconds: number): Promise<IdleServerFigures> {
  await using world = await openBenchWorld({ reconcileIntervalMs: 1_000 });
  for (let index = 0; index < CARRIERS; index++) await addCarrier(world.app.services.db, `bench-${index}`);
  await sleep(SETTLE_MS);
  const [server, postgres] = [ownCpuMicros(), treeCpuMicros(world.postgresPid)];
  await sleep(seconds * 1_000);
  const aMinute = (micros: number) => (micros / 1_000) * (60 / seconds);
  return {
    serverCpuMs: aMinute(ownCpuMicros() - server),
    postgresCpuMs: aMinute(treeCpuMicros(world.postgresPid) - postgres),
  };
}

import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type CallDetailRecord, CallDetailRecordSchema } from "../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { type CallDuration, CallDurationSchema } from "../src/gen/tandem/type/v1/call_duration_pb.js";
import { createRandom, type Random } from "../src/simulator/random.ts";
import { addCarrier, assignNumbers } from "../test/support/carriers.ts";
import { appendCdrs, appendDurations, reconcileFully } from "../test/support/reconcile.ts";
import { ownCpuMicros, treeCpuMicros } from "./cpu-time.ts";
import { benchNumbers } from "./records.ts";
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
}

const HOUR_MS = 3_600_000;
const CALLS_AN_HOUR = 10_000;
const NEW_HOURS = 5;
/** Records are kept by the week in which they came, from last week on. */
const FIRST_HOUR_AGO = 7 * 24;

/**
 * Reconciles so many calls a side from nothing, by one worker; and new hours of 10,000 calls each,
 * with nothing and with all of that already reconciled. Of 1,000 calls 10 are missing at a side and
 * 10 are cut short, and half have a dialog.
 */
export async function measureReconcile(historyHours: number): Promise<ReconcileFigures> {
  await using world = await openBenchWorld();
  const alone = await newHours(world, "bench-alone");
  const carrierId = await onboard(world, "bench-history");
  for (let hour = 0; hour < historyHours; hour++) await appendHour(world, carrierId, hour);
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
  await world.app.services.db.pool.query("VACUUM ANALYZE");
  const after = await timeHours(world, carrierId, historyHours);
  return { ...figures, growth: median(after) / median(alone) };
}

// The first warms up and is not counted.
async function newHours(world: BenchWorld, carrierId: string): Promise<number[]> {
  return timeHours(world, await onboard(world, carrierId), 0);
}

async function timeHours(world: BenchWorld, carrierId: string, firstHour: number): Promise<number[]> {
  const seconds: number[] = [];
  for (let hour = 0; hour <= NEW_HOURS; hour++) {
    await appendHour(world, carrierId, firstHour + hour);
    seconds.push(await timed(() => reconcileFully(world.app.services.db, carrierId)));
  }
  return seconds.slice(1);
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await run();
  return (performance.now() - started) / 1_000;
}

async function onboard(world: BenchWorld, carrierId: string): Promise<string> {
  await addCarrier(world.app.services.db, carrierId);
  await assignNumbers(world.app.services.db, carrierId, benchNumbers(), "customer-1");
  return carrierId;
}

async function appendHour(world: BenchWorld, carrierId: string, hour: number): Promise<void> {
  const random = createRandom(`reconcile/${hour}`);
  const startMs = Math.floor(Date.now() / HOUR_MS) * HOUR_MS - (FIRST_HOUR_AGO - hour) * HOUR_MS;
  const calls = Array.from({ length: CALLS_AN_HOUR }, (_, index) => benchCall(random, `${hour}-${index}`, startMs));
  const { db } = world.app.services;
  const arrivalMs = startMs + 2 * HOUR_MS;
  await appendCdrs(
    db,
    carrierId,
    calls.flatMap(({ cdr }) => cdr ?? []),
    arrivalMs,
  );
  await appendDurations(
    db,
    carrierId,
    calls.flatMap(({ duration }) => duration ?? []),
    arrivalMs,
  );
}

function benchCall(random: Random, id: string, hourMs: number): { cdr?: CallDetailRecord; duration?: CallDuration } {
  const inviteMs = hourMs + random.int(0, HOUR_MS - 1);
  const recordDate = new Date(inviteMs).toISOString().slice(0, 10);
  const answerMs = inviteMs + random.int(2_000, 20_000);
  const connectedMs = random.int(5_000, 600_000);
  const calling = { kind: 1, value: random.pick(benchNumbersOnce) };
  const called = { kind: 1, value: `+1202555${String(random.int(0, 9_999)).padStart(4, "0")}` };
  const correlation = random.chance(0.5) ? { interconnectDialog: { callId: `${id}@sbc.example` } } : {};
  const times = { inviteTime: timestampFromMs(inviteMs), answerTime: timestampFromMs(answerMs) };
  const fault = random.int(0, 999);
  const cdr = create(CallDetailRecordSchema, {
    recordId: `p-${id}`,
    recordDate,
    callId: `call-${id}`,
    correlation,
    parties: { calling, called },
    direction: 1,
    times: { ...times, endTime: timestampFromMs(answerMs + connectedMs) },
    outcome: { finalSipCode: 200 },
    route: { trunkId: `trunk-${id.length % 4}` },
  });
  const heardMs = fault < 10 ? Math.floor(connectedMs / 2) : connectedMs;
  const duration = create(CallDurationSchema, {
    recordId: `c-${id}`,
    recordDate,
    correlation,
    direction: 1,
    calling,
    called,
    ...times,
    endTime: timestampFromMs(answerMs + heardMs),
    connectedDurationMs: BigInt(heardMs),
    answered: true,
    trunkId: `trunk-${id.length % 4}`,
  });
  if (fault >= 990) return fault % 2 === 0 ? { cdr } : { duration };
  return { cdr, duration };
}

const benchNumbersOnce = benchNumbers();

import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type CallDetailRecord, CallDetailRecordSchema } from "../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { type CallDuration, CallDurationSchema } from "../src/gen/tandem/type/v1/call_duration_pb.js";
import { createRandom, type Random } from "../src/simulator/random.ts";
import { addCarrier, assignNumbers } from "../test/support/carriers.ts";
import { appendCdrs, appendDurations } from "../test/support/reconcile.ts";
import { benchNumbers } from "./records.ts";
import type { BenchWorld } from "./world.ts";

const HOUR_MS = 3_600_000;

/** A carrier that holds the benchmark's numbers. */
export async function onboard(world: BenchWorld, carrierId: string): Promise<string> {
  await addCarrier(world.app.services.db, carrierId);
  await assignNumbers(world.app.services.db, carrierId, benchNumbers(), "customer-1");
  return carrierId;
}

/** An hour of calls. */
export interface BenchHour {
  /** No two hours of a carrier have the same. */
  readonly name: string | number;
  readonly startMs: number;
  readonly calls: number;
}

/**
 * Appends both sides' records of an hour, which come an hour after it. Of 1,000 calls 10 are
 * missing at a side and 10 are cut short, and half have a dialog.
 */
export async function appendHour(
  world: BenchWorld,
  carrierId: string,
  { name, startMs, calls: count }: BenchHour,
): Promise<void> {
  const random = createRandom(`reconcile/${name}`);
  const calls = Array.from({ length: count }, (_, index) => benchCall(random, `${name}-${index}`, startMs));
  const { db } = world.app.services;
  const arrivalMs = startMs + 2 * HOUR_MS;
  const cdrs = calls.flatMap(({ cdr }) => cdr ?? []);
  const durations = calls.flatMap(({ duration }) => duration ?? []);
  await appendCdrs(db, carrierId, cdrs, arrivalMs);
  await appendDurations(db, carrierId, durations, arrivalMs);
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

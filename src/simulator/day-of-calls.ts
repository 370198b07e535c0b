import { clone, create } from "@bufbuild/protobuf";
import { hourIn } from "../domain/time/time-zone.ts";
import { type CallDetailRecord, CallDetailRecordSchema } from "../gen/tandem/type/v1/call_detail_record_pb.js";
import { RecordKind } from "../gen/tandem/type/v1/call_pb.js";
import { ENDS, simulateEnd } from "./call-ends.ts";
import { type CallShape, callersOf, drawEnds, simulateShape } from "./call-parties.ts";
import { completeRecord, endMsOf } from "./cdr.ts";
import { createRandom, type Random } from "./random.ts";
import { DIURNAL } from "./reconciliation/calendar.ts";
import { clockOf, endingAt, stillGoingOn } from "./reconciliation/platform-record.ts";
import type { SimulatedCarrier } from "./world.ts";

const DAY_MS = 86_400_000;
const MAX_CONNECTED_MS = 4 * 3_600_000;

export interface DayOptions {
  readonly seed: string;
  /** The UTC day, `YYYY-MM-DD`. All calls begin and end in it. */
  readonly day: string;
  /** How many records; re-routes and redials count too, further revisions do not. */
  readonly callCount: number;
}

/**
 * A carrier's calls of one day in the order in which the platform writes them: some partial first
 * and complete later, some corrected or voided. The same for the same seed.
 */
export function simulateDay(carrier: SimulatedCarrier, options: DayOptions): CallDetailRecord[] {
  const random = createRandom(`${options.seed}/calls/${carrier.carrierId}/${options.day}`);
  const calls = completeRecords(carrier, options, random);
  const written = calls.flatMap((record) => revisionsOf(record, random.fork(record.recordId)));
  return written.sort((a, b) => a.writtenMs - b.writtenMs).map(({ record }) => record);
}

/** The highest complete revision of each record; without those that were taken back. */
export function finalRecords(records: readonly CallDetailRecord[]): CallDetailRecord[] {
  const tips = new Map<string, CallDetailRecord>();
  for (const record of records) {
    const key = `${record.recordDate}/${record.recordId}`;
    if ((record.revision ?? 1) >= (tips.get(key)?.revision ?? 0)) tips.set(key, record);
  }
  return [...tips.values()].filter(({ kind }) => kind !== RecordKind.VOID);
}

function completeRecords(carrier: SimulatedCarrier, options: DayOptions, random: Random): CallDetailRecord[] {
  const callers = callersOf(carrier, random);
  const dayStartMs = Date.parse(`${options.day}T00:00:00Z`);
  const records: CallDetailRecord[] = [];
  while (records.length < options.callCount) {
    const { number, contact } = drawEnds(callers, random);
    const shape = simulateShape(random, number, contact);
    let inviteMs = inviteTime(dayStartMs, carrier.timeZone, random);
    for (let attempts = 0; attempts < 4 && records.length < options.callCount; attempts += 1) {
      const attempt = { carrier, options, shape, inviteMs, dayEndMs: dayStartMs + DAY_MS };
      const last = placeCall(attempt, records, random);
      const redials = last !== undefined && last.times?.answerTime === undefined && random.chance(0.5);
      if (!redials) break;
      inviteMs = endMsOf(last) + random.int(3_000, 50_000);
      if (inviteMs > dayStartMs + DAY_MS - 300_000) break;
    }
  }
  return records;
}

interface Placing {
  readonly carrier: SimulatedCarrier;
  readonly options: DayOptions;
  readonly shape: CallShape;
  readonly inviteMs: number;
  readonly dayEndMs: number;
}

/** One call: an attempt, or two when the first trunk refuses it. Returns the last record. */
function placeCall(placing: Placing, records: CallDetailRecord[], random: Random): CallDetailRecord | undefined {
  const { carrier, options, dayEndMs } = placing;
  const callId = `call-${random.hex(20)}`;
  const rerouted = records.length + 1 < options.callCount && random.chance(0.015);
  let inviteMs = placing.inviteMs;
  for (const legIndex of rerouted ? ([0, 1] as const) : ([0] as const)) {
    const isRefused = rerouted && legIndex === 0;
    const latestEndMs = Math.max(dayEndMs - inviteMs - 200_000, 1_000);
    const record = completeRecord(
      {
        ...placing.shape,
        recordId: `${carrier.carrierId}-${options.day.replaceAll("-", "")}-${String(records.length + 1).padStart(6, "0")}`,
        callId,
        legIndex,
        trunkId: rerouted ? carrier.trunkIds[legIndex] : random.pick(carrier.trunkIds),
        sipDomain: carrier.sipDomain,
        region: carrier.legalCountry.toLowerCase(),
        inviteMs,
        end: isRefused ? ENDS.noCircuit : simulateEnd(random),
        connectedMs: Math.round(Math.min(Math.max(random.logNormal(95_000, 1.1), 700), MAX_CONNECTED_MS, latestEndMs)),
      },
      random,
    );
    records.push(record);
    inviteMs = endMsOf(record) + random.int(20, 400);
  }
  return records.at(-1);
}

/** Uniform over the day, thinned by the local hour. */
function inviteTime(dayStartMs: number, timeZone: string, random: Random): number {
  const busiest = Math.max(...DIURNAL);
  for (let draws = 0; draws < 1_000; draws += 1) {
    const ms = dayStartMs + random.int(0, DAY_MS - 600_000);
    if (random.chance((DIURNAL[hourIn(timeZone, ms)] ?? 0) / busiest)) return ms;
  }
  throw new Error(`no hour of ${timeZone} takes calls`);
}

interface Written {
  readonly writtenMs: number;
  readonly record: CallDetailRecord;
}

/** Most calls are one record; some are told in part first, some are corrected, a few were none. */
function revisionsOf(complete: CallDetailRecord, random: Random): Written[] {
  const endMs = endMsOf(complete);
  const answered = complete.times?.answerTime !== undefined;
  const versions: Written[] = [];
  if (answered && random.chance(0.03))
    versions.push({ writtenMs: endMs - 500, record: { ...stillGoingOn(complete), streamQualities: [] } });
  versions.push({ writtenMs: endMs, record: complete });
  if (answered && random.chance(0.01))
    versions.push({ writtenMs: endMs + 90_000, record: correctionOf(complete, random) });
  if (random.chance(0.003)) versions.push({ writtenMs: endMs + 240_000, record: voidOf(complete) });
  return versions.map(({ writtenMs, record }, index) => {
    const revised = clone(CallDetailRecordSchema, record);
    revised.revision = index + 1;
    return { writtenMs, record: revised };
  });
}

/** The platform found that the call had ended a little earlier than it had written. */
function correctionOf(complete: CallDetailRecord, random: Random): CallDetailRecord {
  const { endMs, connectedMs } = clockOf(complete);
  return endingAt(complete, endMs - Math.min(random.int(1, 900), connectedMs));
}

function voidOf({ recordId, recordDate }: CallDetailRecord): CallDetailRecord {
  return create(CallDetailRecordSchema, { recordId, recordDate, kind: RecordKind.VOID });
}

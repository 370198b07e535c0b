import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { given } from "../domain/given.ts";
import type { CallDetailRecord } from "../gen/tandem/type/v1/call_detail_record_pb.js";
import { type CallDuration, CallDurationSchema } from "../gen/tandem/type/v1/call_duration_pb.js";
import { Direction, RecordKind } from "../gen/tandem/type/v1/call_pb.js";
import { PartyKind } from "../gen/tandem/type/v1/party_pb.js";
import { type RecordIssue, Verdict } from "../gen/tandem/type/v1/upload_pb.js";
import { dayOf } from "./cdr.ts";
import { finalRecords } from "./day-of-calls.ts";
import { type DurationFault, FAULTS, type FaultTools } from "./duration-faults.ts";
import { createRandom, type Random } from "./random.ts";
import type { SimulatedCarrier } from "./world.ts";

/** One record of the carrier's upload, and what must become of it. */
export interface PlannedDuration {
  readonly record: CallDuration;
  /** What was planted; absent for an honest record. */
  readonly fault?: DurationFault;
  readonly verdict: Verdict;
  /** The issue that must be named with the verdict, when one must. */
  readonly issue?: RecordIssue;
}

export interface DurationOptions {
  readonly seed: string;
  /** Now, for records of the future and of long ago. */
  readonly nowMs: number;
  /** How often to plant each fault, at most once a record. Default: once in 500, at least once. */
  readonly faults?: Partial<Record<DurationFault, number>>;
}

/**
 * The durations that a carrier's switch recorded of the same calls: those that its customers placed
 * and that were answered, without emergency calls; by its own clock and under its own ids; with
 * planted faults. How a record is made decides what must become of it: nothing is shared with the
 * code that judges.
 */
export function durationsFor(carrier: SimulatedCarrier, cdrs: readonly CallDetailRecord[], options: DurationOptions) {
  const random = createRandom(`${options.seed}/durations/${carrier.carrierId}`);
  const clockSkewMs = random.int(-400, 400);
  const honest = finalRecords(cdrs)
    .filter(isReported)
    .map((cdr, index) => durationOf(carrier, cdr, { index, clockSkewMs, random }));
  const tools: FaultTools = { carrier, nowMs: options.nowMs, random };
  return plantFaults(honest, options.faults ?? defaultFaults(honest.length), tools);
}

function isReported({ direction, times, parties }: CallDetailRecord): boolean {
  const isAnswered = times?.answerTime !== undefined && times.endTime !== undefined;
  return direction === Direction.OUTBOUND && isAnswered && parties?.called?.kind !== PartyKind.EMERGENCY;
}

interface Switch {
  readonly index: number;
  readonly clockSkewMs: number;
  readonly random: Random;
}

function durationOf(
  carrier: SimulatedCarrier,
  cdr: CallDetailRecord,
  { index, clockSkewMs, random }: Switch,
): CallDuration {
  const { times } = cdr;
  const { calling, asserted, called, redirecting } = cdr.parties ?? {};
  if (!times?.inviteTime || !times.answerTime || !times.endTime)
    throw new Error("a call that is reported was answered");
  const byOwnClock = (ms: number) => Math.round(ms) + clockSkewMs + random.int(0, 120);
  const inviteMs = byOwnClock(timestampMs(times.inviteTime));
  const answerMs = Math.max(byOwnClock(timestampMs(times.answerTime)), inviteMs);
  const endMs = Math.max(byOwnClock(timestampMs(times.endTime)), answerMs);
  return create(CallDurationSchema, {
    recordId: `${carrier.trunkIds[0]}.${String(index + 1).padStart(7, "0")}`,
    recordDate: dayOf(inviteMs),
    revision: 1,
    kind: RecordKind.REPORT,
    ...(cdr.correlation === undefined || random.chance(0.1) ? {} : { correlation: trunkSide(cdr.correlation) }),
    direction: Direction.OUTBOUND,
    ...given({ calling, asserted, called, redirecting }),
    inviteTime: timestampFromMs(inviteMs),
    answerTime: timestampFromMs(answerMs),
    endTime: timestampFromMs(endMs),
    utcOffsetMinutes: 0,
    timeResolutionMs: 1,
    connectedDurationMs: BigInt(endMs - answerMs),
    billedDurationS: billedSeconds(endMs - answerMs, carrier.rounding),
    roundingRule: carrier.rounding,
    answered: true,
    finalSipCode: 200,
    ...given({ q850Cause: cdr.outcome?.q850Cause, trunkId: cdr.route?.trunkId }),
  });
}

/** What of the signalling the carrier sees on its side of the trunk. */
function trunkSide({ interconnectDialog, sessionId, icid }: NonNullable<CallDetailRecord["correlation"]>) {
  return given({ interconnectDialog, sessionId, icid });
}

function billedSeconds(connectedMs: number, { incrementS, minimumS }: SimulatedCarrier["rounding"]): bigint {
  const increments = Math.ceil(Math.max(connectedMs / 1000, minimumS) / incrementS);
  return BigInt(increments * incrementS);
}

function defaultFaults(recordCount: number): Record<DurationFault, number> {
  const each = Math.max(1, Math.round(recordCount / 500));
  return Object.fromEntries(Object.keys(FAULTS).map((fault) => [fault, each])) as Record<DurationFault, number>;
}

interface Placed extends PlannedDuration {
  /** Where in the upload, in units of honest records. */
  readonly place: number;
}

/** Each fault is made of an honest record of its own, so that no two get in each other's way. */
function plantFaults(
  honest: readonly CallDuration[],
  faults: Partial<Record<DurationFault, number>>,
  tools: FaultTools,
) {
  const placed = honest.map((record, place): Placed => ({ place, record, verdict: Verdict.ACCEPTED }));
  const victims = shuffled(honest.keys(), tools.random);
  const faultCounts = new Map<DurationFault, number>();
  for (const fault of faultsToPlant(faults)) {
    const index = victims.pop();
    const victim = index === undefined ? undefined : placed[index];
    if (index === undefined || victim === undefined) break;
    const { before, planted, verdict, issue } = FAULTS[fault](clone(CallDurationSchema, victim.record), tools);
    if (before !== undefined) placed[index] = { ...victim, record: before };
    const place = index + 0.5 + tools.random.next() * (honest.length - index);
    placed.push({ place, record: planted, fault, verdict, ...given({ issue }) });
    faultCounts.set(fault, (faultCounts.get(fault) ?? 0) + 1);
  }
  const planned = placed.sort((a, b) => a.place - b.place).map(({ place: _place, ...rest }) => rest);
  return { planned, faultCounts };
}

function faultsToPlant(faults: Partial<Record<DurationFault, number>>): DurationFault[] {
  const kinds = Object.keys(FAULTS) as DurationFault[];
  return kinds.flatMap((fault) => Array.from({ length: faults[fault] ?? 0 }, () => fault));
}

function shuffled(items: Iterable<number>, random: Random): number[] {
  const list = [...items];
  for (let index = list.length - 1; index > 0; index -= 1) {
    const other = random.int(0, index);
    [list[index], list[other]] = [list[other] as number, list[index] as number];
  }
  return list;
}

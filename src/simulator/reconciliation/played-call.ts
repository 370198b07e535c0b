import type { CallDetailRecord } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import type { CallDuration } from "../../gen/tandem/type/v1/call_duration_pb.js";
import type { Random } from "../random.ts";
import { carrierRecord, type SwitchHand, type SwitchView, switchHand, switchView } from "./carrier-record.ts";
import type { PlannedCall } from "./planned-call.ts";
import type { CallClock } from "./platform-record.ts";
import { type CallTruth, type TruthCause, type TruthStatus, truthOfPair } from "./truth.ts";

export interface Arriving<T> {
  readonly record: T;
  /** Milliseconds since 1970. */
  readonly arrivalMs: number;
}

/** What each side sends of a call, and what must come out. */
export interface PlayedCall {
  readonly cdrs: readonly Arriving<CallDetailRecord>[];
  readonly durations: readonly Arriving<CallDuration>[];
  readonly truths: readonly Truth[];
}

/** A truth before other calls are looked at. */
export type Truth = Omit<CallTruth, "isAmbiguous" | "planted">;

/** A call that was made, for a fault to spoil. */
export interface MadeCall {
  readonly plan: PlannedCall;
  readonly cdr: CallDetailRecord;
  readonly clock: CallClock;
  readonly graceMs: number;
  readonly toleranceMs: number;
  /** Its own, so that no call shifts another's draws. */
  readonly random: Random;
}

/** How the carrier's switch saw and wrote a call. Default: as it was, as switches do. */
export interface PairOptions {
  readonly view?: SwitchView;
  readonly hand?: SwitchHand;
  /** Planted beyond the trunk's own. */
  readonly causes?: TruthCause[];
}

/** A call that both sides report. */
export function playPair(
  call: MadeCall,
  { view = switchView(call.clock, call.random), causes = [], hand = switchHand(call, call.random) }: PairOptions = {},
): PlayedCall & { duration: CallDuration } {
  const duration = carrierRecord({ plan: call.plan, cdr: call.cdr, view }, call.random, hand);
  const cdrs = [sentByPlatform(call, call.cdr)];
  const durations = [sentByCarrier(call, duration, view.endMs)];
  return { duration, cdrs, durations, truths: [truthOf(call, duration, causes)] };
}

export function truthOf(call: MadeCall, duration: CallDuration, causes: TruthCause[] = []): Truth {
  const { offsetMs, roundingS } = call.plan.condition;
  const deltaMs = Number(duration.connectedDurationMs ?? 0n) - call.clock.connectedMs;
  const isRounded = roundingS !== undefined;
  const pair = { platformRecordId: call.cdr.recordId, carrierRecordIds: [duration.recordId] };
  return { ...pair, ...truthOfPair({ deltaMs, toleranceMs: call.toleranceMs, offsetMs, isRounded, causes }) };
}

/** The same call, of which something else must come out. */
export function withTruth(played: PlayedCall, truth: Partial<Truth>): PlayedCall {
  return { ...played, truths: played.truths.map((each) => ({ ...each, ...truth })) };
}

/** What a call or record comes to that is not compared with another. */
export function truthAs(
  status: TruthStatus,
  { cdr, durations = [], copyOf }: { cdr?: Named; durations?: readonly Named[]; copyOf?: Named },
): Truth {
  return {
    ...(cdr && { platformRecordId: cdr.recordId }),
    carrierRecordIds: durations.map(({ recordId }) => recordId),
    status,
    causes: [],
    ...(copyOf && { copyOf: copyOf.recordId }),
  };
}

interface Named {
  readonly recordId: string;
}

export function sentAfter<T>({ clock }: MadeCall, record: T, afterMs: number): Arriving<T> {
  return { record, arrivalMs: clock.endMs + afterMs };
}

/** The platform writes a record when the call ends. */
export function sentByPlatform(call: MadeCall, record: CallDetailRecord, endMs = call.clock.endMs) {
  return { record, arrivalMs: endMs + call.random.int(500, 5_000) };
}

/** The carrier's mediation sends what the last hour brought. */
export function sentByCarrier(call: MadeCall, record: CallDuration, endMs = call.clock.endMs): Arriving<CallDuration> {
  return { record, arrivalMs: endMs + call.random.int(5 * 60_000, 65 * 60_000) };
}

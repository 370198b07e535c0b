import { create } from "@bufbuild/protobuf";
import { HOUR_MS, MINUTE_MS } from "../../domain/time/instant.ts";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import type { CallDuration } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { RecordKind } from "../../gen/tandem/type/v1/call_pb.js";
import { dayOf } from "../cdr.ts";
import type { PlaceRule } from "./calendar.ts";
import { carrierRecord, switchView, voidDuration, writtenTwice } from "./carrier-record.ts";
import { playTransferred, playTranslated } from "./dialog-faults.ts";
import {
  playAnsweredAtCarrierOnly,
  playAnsweredAtPlatformOnly,
  playLengthMismatch,
  playRingTime,
} from "./length-faults.ts";
import { playCompleteSplit, playSplitWithGap, playStuckAtCarrier, playStuckAtPlatform } from "./long-call-faults.ts";
import type { CallKind } from "./parties.ts";
import type { CallWish } from "./planned-call.ts";
import { type CallClock, endingAt, movedBy, stillGoingOn } from "./platform-record.ts";
import {
  type Arriving,
  type MadeCall,
  type PlayedCall,
  playPair,
  sentAfter,
  sentByCarrier,
  sentByPlatform,
  truthAs,
  withTruth,
} from "./played-call.ts";
import type { TruthStatus } from "./truth.ts";

/** Until or from when a fault can be planted so that it shows. */
export interface TimeBounds {
  /** A call before this that one side lacks is missing by now. */
  readonly missedBeforeMs: number;
  /** A record of a call before this can have come after its grace. */
  readonly lateBeforeMs: number;
  /** A call from then on is inside its grace. */
  readonly freshFromMs: number;
  /** A call before this has ended by now, even with a switch's longest timer. */
  readonly stuckBeforeMs: number;
}

interface FaultSpec {
  readonly wish: (bounds: TimeBounds) => CallWish;
  /** In which calls the fault shows. Default: all. */
  readonly suits?: (clock: CallClock) => boolean;
  readonly play: (call: MadeCall) => PlayedCall;
}

const placed =
  (condition: PlaceRule["condition"], until?: keyof TimeBounds, rest?: Omit<CallWish, "place">) =>
  (bounds: TimeBounds): CallWish => ({
    place: { condition, ...(until && { untilMs: bounds[until] }) },
    ...rest,
  });
const plain = placed("plain");
const missed = placed("plain", "missedBeforeMs");
const late = placed("unrounded", "lateBeforeMs");
const stuck = placed("unrounded", "stuckBeforeMs");
// A part that is missing is waited for as long as a call is.
const long = placed("plain", "missedBeforeMs", {
  connectedMs: (random) => random.int(20 * MINUTE_MS, 100 * MINUTE_MS),
});
const transfer = placed("plain", undefined, { connectedMs: (random) => random.int(MINUTE_MS, 20 * MINUTE_MS) });
const conference = placed("plain", undefined, { connectedMs: (random) => 3 * HOUR_MS + random.int(-900, 900) });
const unanswered = placed("plain", undefined, { unanswered: true });
const ofKind = (kind: CallKind) => placed("plain", undefined, { kind });

const play = (call: MadeCall) => playPair(call);
const atPlatformOnly = (status: TruthStatus) => (call: MadeCall) => playPlatformOnly(call, status);
const atCarrierOnly = (status: TruthStatus) => (call: MadeCall) => playCarrierOnly(call, status);

/** What can be planted in a call, and what must come out. */
export const FAULTS = {
  none: { wish: placed("any"), play },
  clockOff: { wish: plain, play },
  roundedUp: { wish: plain, play },
  repeated: { wish: plain, play },
  storm: { wish: plain, play: playStorm },
  droppedAtCarrier: { wish: missed, play: atPlatformOnly("MISSING_AT_CARRIER") },
  carrierOnly: { wish: missed, play: atCarrierOnly("MISSING_AT_PLATFORM") },
  doubledAtCarrier: { wish: plain, play: playDoubled },
  failoverTwin: { wish: plain, play: playFailoverTwin },
  ringTimeIncluded: {
    wish: placed("unrounded"),
    suits: ({ ringingMs, answerMs }: CallClock) =>
      answerMs !== undefined && isBetween(answerMs - ringingMs, 3_500, 40_000),
    play: playRingTime,
  },
  lengthMismatch: { wish: plain, play: playLengthMismatch },
  answeredAtPlatformOnly: { wish: plain, play: playAnsweredAtPlatformOnly },
  answeredAtCarrierOnly: { wish: unanswered, play: playAnsweredAtCarrierOnly },
  stuckAtCarrier: { wish: stuck, play: playStuckAtCarrier },
  stuckAtPlatform: { wish: stuck, play: playStuckAtPlatform },
  longConference: { wish: conference, play },
  splitInParts: { wish: long, play: playCompleteSplit },
  splitPartMissing: { wish: long, play: playSplitWithGap },
  transferred: { wish: transfer, play: playTransferred },
  translated: { wish: plain, play: playTranslated },
  lateAtCarrier: { wish: late, play: playLateAtCarrier },
  lateAtPlatform: { wish: late, play: playLateAtPlatform },
  voidedAtBoth: { wish: missed, play: playVoidedAtBoth },
  voidedAlone: { wish: missed, play: playVoidedAlone },
  voidedAtOneSide: { wish: missed, play: playVoidedAtOneSide },
  corrected: { wish: missed, play: playCorrected },
  withheldCaller: { wish: ofKind("withheld"), play },
  forwarded: { wish: ofKind("forwarded"), play },
  inboundReported: { wish: ofKind("inbound"), play },
  restrictedCaller: { wish: ofKind("inboundRestricted"), play },
  unansweredReported: { wish: unanswered, play: playUnanswered },
  unansweredUnreported: { wish: unanswered, play: atPlatformOnly("NOT_REPORTED") },
  inboundUnreported: { wish: ofKind("inbound"), play: atPlatformOnly("NOT_REPORTED") },
  inboundAtCarrierOnly: { wish: ofKind("inbound"), play: atCarrierOnly("NOT_REPORTED") },
  emergency: { wish: ofKind("emergency"), play: atPlatformOnly("NOT_REPORTED") },
  stillPartial: { wish: missed, play: playPartial },
  insideGrace: {
    wish: ({ freshFromMs }: TimeBounds) => ({ place: { condition: "plain", fromMs: freshFromMs } }),
    play: playInsideGrace,
  },
} satisfies Record<string, FaultSpec>;

export type PlantedFault = keyof typeof FAULTS;

export function faultSpec(fault: PlantedFault): FaultSpec {
  return FAULTS[fault];
}

function playPlatformOnly(call: MadeCall, status: TruthStatus): PlayedCall {
  return { cdrs: [sentByPlatform(call, call.cdr)], durations: [], truths: [truthAs(status, call)] };
}

function playCarrierOnly(call: MadeCall, status: TruthStatus): PlayedCall {
  const { duration, durations } = playPair(call);
  return { cdrs: [], durations, truths: [truthAs(status, { durations: [duration] })] };
}

function playInsideGrace(call: MadeCall): PlayedCall {
  return call.random.chance(0.5) ? playPlatformOnly(call, "PENDING") : playCarrierOnly(call, "PENDING");
}

/** Too many records of one pair. None is paired by guessing, so each stands alone. */
function playStorm(call: MadeCall): PlayedCall {
  const pair = playPair(call);
  return { ...pair, truths: [truthAs("AMBIGUOUS", call), truthAs("AMBIGUOUS", { durations: [pair.duration] })] };
}

function playDoubled(call: MadeCall): PlayedCall {
  const { duration, cdrs, durations, truths } = playPair(call);
  const copy = writtenTwice(duration, call.random);
  const truth = truthAs("DUPLICATE_AT_CARRIER", { durations: [copy], copyOf: duration });
  return { cdrs, durations: [...durations, sentByCarrier(call, copy)], truths: [...truths, truth] };
}

/** The platform failed over: two nodes wrote the call, each under its own id. */
function playFailoverTwin(call: MadeCall): PlayedCall {
  const { cdrs, durations, truths } = playPair(call);
  const twin = movedBy(call.cdr, call.random.int(0, 1_400));
  twin.recordId = `rec-${call.random.hex(14)}`;
  twin.recordDate = dayOf(Number(twin.times?.inviteTime?.seconds ?? 0n) * 1_000);
  const truth = truthAs("DUPLICATE_AT_PLATFORM", { cdr: twin, copyOf: call.cdr });
  return { cdrs: [...cdrs, sentByPlatform(call, twin)], durations, truths: [...truths, truth] };
}

function playLateAtCarrier(call: MadeCall): PlayedCall {
  const pair = playPair(call, { causes: ["LATE"] });
  const arrivalMs = (pair.cdrs[0]?.arrivalMs ?? 0) + call.graceMs + lateBy(call);
  return { ...pair, durations: [{ record: pair.duration, arrivalMs }] };
}

function playLateAtPlatform(call: MadeCall): PlayedCall {
  const pair = playPair(call, { causes: ["LATE"] });
  const arrivalMs = (pair.durations[0]?.arrivalMs ?? 0) + call.graceMs + lateBy(call);
  return { ...pair, cdrs: [{ record: call.cdr, arrivalMs }] };
}

function playVoidedAtBoth(call: MadeCall): PlayedCall {
  const { duration, cdrs, durations } = playPair(call);
  return {
    cdrs: [...cdrs, voidedCdr(call)],
    durations: [...durations, voidedDuration(call, duration)],
    truths: [truthAs("VOIDED", { cdr: call.cdr, durations: [duration] })],
  };
}

function playVoidedAlone(call: MadeCall): PlayedCall {
  const { duration, cdrs, durations } = playPair(call);
  if (call.random.chance(0.5))
    return { cdrs: [...cdrs, voidedCdr(call)], durations: [], truths: [truthAs("VOIDED", call)] };
  const truths = [truthAs("VOIDED", { durations: [duration] })];
  return { cdrs: [], durations: [...durations, voidedDuration(call, duration)], truths };
}

/** One side took the call back. To the other it is missing there. */
function playVoidedAtOneSide(call: MadeCall): PlayedCall {
  const { duration, cdrs, durations } = playPair(call);
  const [platform, carrier] = [{ cdr: call.cdr }, { durations: [duration] }];
  if (call.random.chance(0.5)) {
    const truths = [truthAs("VOIDED", platform), truthAs("MISSING_AT_PLATFORM", carrier)];
    return { cdrs: [...cdrs, voidedCdr(call)], durations, truths };
  }
  const truths = [truthAs("MISSING_AT_CARRIER", platform), truthAs("VOIDED", carrier)];
  return { cdrs, durations: [...durations, voidedDuration(call, duration)], truths };
}

function voidedCdr(call: MadeCall): Arriving<CallDetailRecord> {
  const { recordId, recordDate, revision = 1 } = call.cdr;
  const taken = { recordId, recordDate, revision: revision + 1, kind: RecordKind.VOID };
  return sentAfter(call, create(CallDetailRecordSchema, taken), 2 * HOUR_MS);
}

function voidedDuration(call: MadeCall, duration: CallDuration): Arriving<CallDuration> {
  return sentAfter(call, voidDuration(duration), 3 * HOUR_MS);
}

/** One side is wrong by half a minute at first, and corrects it. */
function playCorrected(call: MadeCall): PlayedCall {
  const { duration, cdrs, durations, truths } = playPair(call);
  if (call.random.chance(0.5)) {
    const wrong = sentAfter(call, endingAt(call.cdr, call.clock.endMs + 30_000), 31_000);
    call.cdr.revision = 2;
    return { cdrs: [wrong, sentAfter(call, call.cdr, 2 * HOUR_MS)], durations, truths };
  }
  const view = switchView(call.clock, call.random);
  const wrong = carrierRecord(
    { ...call, view: { ...view, endMs: view.endMs + 30_000, connectedMs: (view.connectedMs ?? 0) + 30_000 } },
    call.random,
  );
  wrong.recordId = duration.recordId;
  wrong.recordDate = duration.recordDate;
  duration.revision = 2;
  return { cdrs, durations: [sentByCarrier(call, wrong), sentAfter(call, duration, 3 * HOUR_MS)], truths };
}

function playUnanswered(call: MadeCall): PlayedCall {
  return withTruth(playPair(call), { status: "MATCHED_UNANSWERED", causes: [] });
}

/** The platform never wrote how the call ended. */
function playPartial(call: MadeCall): PlayedCall {
  const { duration, durations } = playPair(call);
  const isReported = call.random.chance(0.7);
  const truth = truthAs("PENDING", { cdr: call.cdr, durations: isReported ? [duration] : [] });
  const cdrs = [sentByPlatform(call, stillGoingOn(call.cdr), call.clock.answerMs)];
  return { cdrs, durations: isReported ? durations : [], truths: [truth] };
}

// Over an hour: still late when records are sent hour by hour.
function lateBy({ random }: MadeCall): number {
  return random.int(70 * MINUTE_MS, 24 * HOUR_MS);
}

function isBetween(value: number, min: number, max: number): boolean {
  return value >= min && value <= max;
}

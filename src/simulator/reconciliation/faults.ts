import { create } from "@bufbuild/protobuf";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { RecordKind } from "../../gen/tandem/type/v1/call_pb.js";
import { dayOf } from "../cdr.ts";
import { carrierRecord, switchView, voidDuration, writtenTwice } from "./carrier-record.ts";
import { playTransferred, playTranslated } from "./dialog-faults.ts";
import {
  playAnsweredAtCarrierOnly,
  playAnsweredAtPlatformOnly,
  playLengthMismatch,
  playRingTime,
} from "./length-faults.ts";
import { playCompleteSplit, playSplitWithGap, playStuckAtCarrier, playStuckAtPlatform } from "./long-call-faults.ts";
import type { CallWish } from "./planned-call.ts";
import { type CallClock, endingAt, movedBy, stillGoingOn } from "./platform-record.ts";
import { type MadeCall, type PlayedCall, playPair, sentByCarrier, sentByPlatform } from "./played-call.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

/** The instants that decide where a fault can be planted so that it is seen as what it is. */
export interface TimeBounds {
  /** A call before this that one side lacks is missed by now. */
  readonly missedBeforeMs: number;
  /** A record of a call before this can have come after its grace by now. */
  readonly lateBeforeMs: number;
  /** A call from then on is inside its grace. */
  readonly freshFromMs: number;
  /** A call before this has ended by now, even with a switch's longest timer. */
  readonly stuckBeforeMs: number;
}

interface FaultSpec {
  readonly wish: (bounds: TimeBounds) => CallWish;
  /** Which calls the fault can be seen in. By default all. */
  readonly suits?: (clock: CallClock) => boolean;
  readonly play: (call: MadeCall) => PlayedCall;
}

const plain = (): CallWish => ({ place: { condition: "plain" } });
const missed = ({ missedBeforeMs }: TimeBounds): CallWish => ({
  place: { condition: "plain", untilMs: missedBeforeMs },
});
const late = ({ lateBeforeMs }: TimeBounds): CallWish => ({
  place: { condition: "unrounded", untilMs: lateBeforeMs },
});
const stuck = ({ stuckBeforeMs }: TimeBounds): CallWish => ({
  place: { condition: "unrounded", untilMs: stuckBeforeMs },
});
// A part that is missing is waited for as long as a call is.
const long = (bounds: TimeBounds): CallWish => ({
  ...missed(bounds),
  connectedMs: (random) => random.int(20 * MINUTE_MS, 100 * MINUTE_MS),
});

const transfer = (): CallWish => ({ ...plain(), connectedMs: (random) => random.int(MINUTE_MS, 20 * MINUTE_MS) });

/** What can be planted in a call, and what must come out. */
export const FAULTS = {
  none: { wish: () => ({ place: { condition: "any" } }), play: (call: MadeCall) => playPair(call) },
  clockOff: { wish: plain, play: (call: MadeCall) => playPair(call) },
  roundedUp: { wish: plain, play: (call: MadeCall) => playPair(call) },
  repeated: { wish: plain, play: (call: MadeCall) => playPair(call) },
  storm: { wish: plain, play: playStorm },
  droppedAtCarrier: { wish: missed, play: (call: MadeCall) => playPlatformOnly(call, "MISSING_AT_CARRIER") },
  carrierOnly: { wish: missed, play: (call: MadeCall) => playCarrierOnly(call, "MISSING_AT_PLATFORM") },
  doubledAtCarrier: { wish: plain, play: playDoubled },
  failoverTwin: { wish: plain, play: playFailoverTwin },
  ringTimeIncluded: {
    wish: () => ({ place: { condition: "unrounded" } }),
    suits: ({ ringingMs, answerMs }: CallClock) =>
      answerMs !== undefined && isBetween(answerMs - ringingMs, 3_500, 40_000),
    play: playRingTime,
  },
  lengthMismatch: { wish: plain, play: playLengthMismatch },
  answeredAtPlatformOnly: { wish: plain, play: playAnsweredAtPlatformOnly },
  answeredAtCarrierOnly: { wish: () => ({ ...plain(), unanswered: true }), play: playAnsweredAtCarrierOnly },
  stuckAtCarrier: { wish: stuck, play: playStuckAtCarrier },
  stuckAtPlatform: { wish: stuck, play: playStuckAtPlatform },
  longConference: {
    wish: () => ({ ...plain(), connectedMs: (random) => 3 * HOUR_MS + random.int(-900, 900) }),
    play: (call: MadeCall) => playPair(call),
  },
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
  withheldCaller: { wish: () => ({ ...plain(), kind: "withheld" }), play: (call: MadeCall) => playPair(call) },
  forwarded: { wish: () => ({ ...plain(), kind: "forwarded" }), play: (call: MadeCall) => playPair(call) },
  inboundReported: { wish: () => ({ ...plain(), kind: "inbound" }), play: (call: MadeCall) => playPair(call) },
  restrictedCaller: {
    wish: () => ({ ...plain(), kind: "inboundRestricted" }),
    play: (call: MadeCall) => playPair(call),
  },
  unansweredReported: { wish: () => ({ ...plain(), unanswered: true }), play: playUnanswered },
  unansweredUnreported: {
    wish: () => ({ ...plain(), unanswered: true }),
    play: (call: MadeCall) => playPlatformOnly(call, "NOT_REPORTED"),
  },
  inboundUnreported: {
    wish: () => ({ ...plain(), kind: "inbound" }),
    play: (call: MadeCall) => playPlatformOnly(call, "NOT_REPORTED"),
  },
  inboundAtCarrierOnly: {
    wish: () => ({ ...plain(), kind: "inbound" }),
    play: (call: MadeCall) => playCarrierOnly(call, "NOT_REPORTED"),
  },
  emergency: {
    wish: () => ({ ...plain(), kind: "emergency" }),
    play: (call: MadeCall) => playPlatformOnly(call, "NOT_REPORTED"),
  },
  stillPartial: { wish: missed, play: playPartial },
  insideGrace: {
    wish: ({ freshFromMs }: TimeBounds) => ({ place: { condition: "plain", fromMs: freshFromMs } }),
    play: playInsideGrace,
  },
} satisfies Record<string, FaultSpec>;

/** What was planted in a call. */
export type PlantedFault = keyof typeof FAULTS;

/** The spec of a fault, in its general form. */
export function faultSpec(fault: PlantedFault): FaultSpec {
  return FAULTS[fault];
}

function playPlatformOnly(call: MadeCall, status: "MISSING_AT_CARRIER" | "NOT_REPORTED" | "PENDING"): PlayedCall {
  const truth = { platformRecordId: call.cdr.recordId, carrierRecordIds: [], status, causes: [] };
  return { cdrs: [sentByPlatform(call, call.cdr)], durations: [], truths: [truth] };
}

function playCarrierOnly(call: MadeCall, status: "MISSING_AT_PLATFORM" | "NOT_REPORTED" | "PENDING"): PlayedCall {
  const { duration, durations } = playPair(call);
  return { cdrs: [], durations, truths: [{ carrierRecordIds: [duration.recordId], status, causes: [] }] };
}

function playInsideGrace(call: MadeCall): PlayedCall {
  return call.random.chance(0.5) ? playPlatformOnly(call, "PENDING") : playCarrierOnly(call, "PENDING");
}

/** Too many records of one pair: none is paired by guessing, so each record stands for itself. */
function playStorm(call: MadeCall): PlayedCall {
  const { duration, cdrs, durations } = playPair(call);
  const alone = { status: "AMBIGUOUS", causes: [] } as const;
  return {
    cdrs,
    durations,
    truths: [
      { platformRecordId: call.cdr.recordId, carrierRecordIds: [], ...alone },
      { carrierRecordIds: [duration.recordId], ...alone },
    ],
  };
}

function playDoubled(call: MadeCall): PlayedCall {
  const { duration, cdrs, durations, truths } = playPair(call);
  const copy = writtenTwice(duration, call.random);
  const truth = {
    carrierRecordIds: [copy.recordId],
    status: "DUPLICATE_AT_CARRIER",
    causes: [],
    copyOf: duration.recordId,
  } as const;
  return { cdrs, durations: [...durations, sentByCarrier(call, copy)], truths: [...truths, truth] };
}

/** The platform's call processing failed over: both nodes wrote the call, each under its own id. */
function playFailoverTwin(call: MadeCall): PlayedCall {
  const { cdrs, durations, truths } = playPair(call);
  const twin = movedBy(call.cdr, call.random.int(0, 1_400));
  twin.recordId = `rec-${call.random.hex(14)}`;
  twin.recordDate = dayOf(Number(twin.times?.inviteTime?.seconds ?? 0n) * 1_000);
  const truth = {
    platformRecordId: twin.recordId,
    carrierRecordIds: [],
    status: "DUPLICATE_AT_PLATFORM",
    causes: [],
    copyOf: call.cdr.recordId,
  } as const;
  return { cdrs: [...cdrs, sentByPlatform(call, twin)], durations, truths: [...truths, truth] };
}

function playLateAtCarrier(call: MadeCall): PlayedCall {
  const { duration, cdrs, truths } = playPair(call, { causes: ["LATE"] });
  const arrivalMs = (cdrs[0]?.arrivalMs ?? 0) + call.graceMs + lateBy(call);
  return { cdrs, durations: [{ record: duration, arrivalMs }], truths };
}

function playLateAtPlatform(call: MadeCall): PlayedCall {
  const { durations, truths } = playPair(call, { causes: ["LATE"] });
  const arrivalMs = (durations[0]?.arrivalMs ?? 0) + call.graceMs + lateBy(call);
  return { cdrs: [{ record: call.cdr, arrivalMs }], durations, truths };
}

function playVoidedAtBoth(call: MadeCall): PlayedCall {
  const { duration, cdrs, durations } = playPair(call);
  return {
    cdrs: [...cdrs, { record: voidCdr(call.cdr), arrivalMs: call.clock.endMs + 2 * HOUR_MS }],
    durations: [...durations, { record: voidDuration(duration), arrivalMs: call.clock.endMs + 3 * HOUR_MS }],
    truths: [
      {
        platformRecordId: call.cdr.recordId,
        carrierRecordIds: [duration.recordId],
        status: "VOIDED",
        causes: [],
      },
    ],
  };
}

function playVoidedAlone(call: MadeCall): PlayedCall {
  const { duration, cdrs, durations } = playPair(call);
  if (call.random.chance(0.5)) {
    const taken = { record: voidCdr(call.cdr), arrivalMs: call.clock.endMs + 2 * HOUR_MS };
    const truth = { platformRecordId: call.cdr.recordId, carrierRecordIds: [], status: "VOIDED", causes: [] } as const;
    return { cdrs: [...cdrs, taken], durations: [], truths: [truth] };
  }
  const taken = { record: voidDuration(duration), arrivalMs: call.clock.endMs + 3 * HOUR_MS };
  const truth = { carrierRecordIds: [duration.recordId], status: "VOIDED", causes: [] } as const;
  return { cdrs: [], durations: [...durations, taken], truths: [truth] };
}

/** What one side took back the other still reports: to that one it is missing. */
function playVoidedAtOneSide(call: MadeCall): PlayedCall {
  const { duration, cdrs, durations } = playPair(call);
  const platform = { platformRecordId: call.cdr.recordId, carrierRecordIds: [], causes: [] } as const;
  const carrier = { carrierRecordIds: [duration.recordId], causes: [] } as const;
  if (call.random.chance(0.5)) {
    return {
      cdrs: [...cdrs, { record: voidCdr(call.cdr), arrivalMs: call.clock.endMs + 2 * HOUR_MS }],
      durations,
      truths: [
        { ...platform, status: "VOIDED" },
        { ...carrier, status: "MISSING_AT_PLATFORM" },
      ],
    };
  }
  return {
    cdrs,
    durations: [...durations, { record: voidDuration(duration), arrivalMs: call.clock.endMs + 3 * HOUR_MS }],
    truths: [
      { ...platform, status: "MISSING_AT_CARRIER" },
      { ...carrier, status: "VOIDED" },
    ],
  };
}

/** One side is wrong by half a minute at first, and puts it right. */
function playCorrected(call: MadeCall): PlayedCall {
  const { duration, cdrs, durations, truths } = playPair(call);
  if (call.random.chance(0.5)) {
    const wrong = { record: endingAt(call.cdr, call.clock.endMs + 30_000), arrivalMs: call.clock.endMs + 31_000 };
    call.cdr.revision = 2;
    return {
      cdrs: [wrong, { record: call.cdr, arrivalMs: call.clock.endMs + 2 * HOUR_MS }],
      durations,
      truths,
    };
  }
  const view = switchView(call.clock, call.random);
  const wrong = carrierRecord(
    { ...call, view: { ...view, endMs: view.endMs + 30_000, connectedMs: (view.connectedMs ?? 0) + 30_000 } },
    call.random,
  );
  wrong.recordId = duration.recordId;
  wrong.recordDate = duration.recordDate;
  duration.revision = 2;
  const mended = { record: duration, arrivalMs: call.clock.endMs + 3 * HOUR_MS };
  return { cdrs, durations: [sentByCarrier(call, wrong), mended], truths };
}

function playUnanswered(call: MadeCall): PlayedCall {
  const played = playPair(call);
  return {
    ...played,
    truths: played.truths.map((truth) => ({ ...truth, status: "MATCHED_UNANSWERED", causes: [] })),
  };
}

/** The platform never wrote how the call ended. */
function playPartial(call: MadeCall): PlayedCall {
  const { duration, durations } = playPair(call);
  const isReported = call.random.chance(0.7);
  const truth = {
    platformRecordId: call.cdr.recordId,
    carrierRecordIds: isReported ? [duration.recordId] : [],
    status: "PENDING",
    causes: [],
  } as const;
  const cdrs = [sentByPlatform(call, stillGoingOn(call.cdr), call.clock.answerMs)];
  return { cdrs, durations: isReported ? durations : [], truths: [truth] };
}

function voidCdr({ recordId, recordDate, revision }: CallDetailRecord): CallDetailRecord {
  return create(CallDetailRecordSchema, {
    recordId,
    recordDate,
    revision: (revision ?? 1) + 1,
    kind: RecordKind.VOID,
  });
}

// Over an hour, so that it is late still when records are handed in hour by hour.
function lateBy({ random }: MadeCall): number {
  return random.int(70 * MINUTE_MS, 24 * HOUR_MS);
}

function isBetween(value: number, min: number, max: number): boolean {
  return value >= min && value <= max;
}

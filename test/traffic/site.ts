import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { CallDetailRecord } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import type { Contact } from "../../src/simulator/call-parties.ts";
import { pstnNumber } from "../../src/simulator/fictitious-numbers.ts";
import type { Random } from "../../src/simulator/random.ts";
import { hourlyDraw, type TrunkCondition } from "../../src/simulator/reconciliation/calendar.ts";
import type { TimeBounds } from "../../src/simulator/reconciliation/faults.ts";
import type { CallEnds, CallKind } from "../../src/simulator/reconciliation/parties.ts";
import type { PlannedCall, Signalling } from "../../src/simulator/reconciliation/planned-call.ts";
import { type CallClock, clockOf, platformRecord } from "../../src/simulator/reconciliation/platform-record.ts";
import { type MadeCall, type PlayedCall, playPair } from "../../src/simulator/reconciliation/played-call.ts";
import { type AssignedNumber, assignedNumbers, type SimulatedCarrier } from "../../src/simulator/world.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** A call that really happened, as the one who plays it knows it. */
export interface RealCall {
  /** What it is, and what is wrong with it: a name for the score's lines. */
  readonly planted: string;
  readonly ends: CallEnds;
  /** By the platform's clock, milliseconds since 1970. */
  readonly inviteMs: number;
  /** From the invite to the answer, or to the end if nobody answered. Default: as calls are. */
  readonly setupMs?: number;
  /** From the answer to the end. Absent: nobody answered. */
  readonly connectedMs?: number;
  /** Default: one of the carrier's. */
  readonly trunkId?: string;
  /** What the trunk does to the carrier's record. Default: nothing. */
  readonly condition?: TrunkCondition;
  /** Default: ids of its own at the world's share, else none. */
  readonly signalling?: Signalling;
}

/** A call that was made, and what each side sends of it. */
export interface TrafficCall {
  readonly made: MadeCall;
  readonly played: PlayedCall;
}

export interface SiteOptions {
  readonly carrier: SimulatedCarrier;
  readonly correlatedShare: number;
  readonly startMs: number;
  readonly endMs: number;
  readonly nowMs: number;
  readonly graceMs: number;
  readonly toleranceMs: number;
  /** Default: 0.05. */
  readonly faultShare?: number;
  /** Default: 1. */
  readonly pace?: number;
}

/** Where a shape of traffic lets calls happen. */
export class TrafficSite {
  readonly calls: TrafficCall[] = [];
  readonly carrier: SimulatedCarrier;
  readonly startMs: number;
  readonly endMs: number;
  /** Where a fault can be planted so that it is seen as what it is. */
  readonly bounds: TimeBounds;
  /** Share of the calls in a row that have a fault of their own, 0..1. */
  readonly faultShare: number;
  /** What pauses between calls are multiplied by: with less calls crowd more. */
  readonly pace: number;
  /** The shapes' own. */
  readonly random: Random;
  readonly #options: SiteOptions;
  readonly #numbers: readonly AssignedNumber[];
  readonly #drawMs: (random: Random) => number;

  constructor(options: SiteOptions, random: Random) {
    const { carrier, startMs, endMs, nowMs, graceMs, faultShare = 0.05, pace = 1 } = options;
    this.#options = options;
    this.carrier = carrier;
    this.startMs = startMs;
    this.endMs = endMs;
    this.faultShare = faultShare;
    this.pace = pace;
    this.random = random.fork("shapes");
    this.#numbers = assignedNumbers(carrier);
    this.#drawMs = hourlyDraw(carrier.timeZone, startMs, Math.round((endMs - startMs) / DAY_MS));
    this.bounds = {
      missedBeforeMs: nowMs - graceMs - 5 * HOUR_MS,
      lateBeforeMs: nowMs - graceMs - 29 * HOUR_MS,
      freshFromMs: nowMs - graceMs + HOUR_MS,
      stuckBeforeMs: nowMs - 15 * HOUR_MS,
    };
  }

  /** Plays until so many more calls happened, or a few more. */
  fill(callCount: number, play: () => void): void {
    const endCount = this.calls.length + callCount;
    while (this.calls.length < endCount) play();
  }

  /** An instant, as often as calls are by the local hour. */
  drawMs(): number {
    return this.#drawMs(this.random);
  }

  /** An instant between two, as often as calls are by the local hour. */
  drawMsIn({ fromMs = this.startMs, untilMs = this.endMs }: { fromMs?: number; untilMs?: number }): number {
    for (let draws = 0; draws < 10_000; draws += 1) {
      const ms = this.drawMs();
      if (ms >= fromMs && ms < untilMs) return ms;
    }
    throw new Error("no call happens then");
  }

  drawNumber(): AssignedNumber {
    return this.random.pick(this.#numbers);
  }

  drawContact(): Contact {
    return pstnNumber(this.random, this.carrier.legalCountry);
  }

  /** Who calls whom. Default: drawn, outbound. */
  ends(given: Partial<CallEnds> = {}): CallEnds {
    return {
      kind: "outbound" as CallKind,
      number: this.drawNumber(),
      contact: this.drawContact(),
      originalCaller: this.drawContact(),
      ...given,
    };
  }

  /** How long somebody talks, milliseconds. */
  drawTalkMs(): number {
    return Math.round(Math.min(Math.max(this.random.logNormal(95_000, 1.1), 700), HOUR_MS));
  }

  /** Whether both sides have ids of a call, at the world's share. */
  drawSignalling(): Signalling {
    return this.random.chance(this.#options.correlatedShare) ? { ids: "own" } : { ids: "none" };
  }

  /**
   * A real call happened.
   * @param play says what each side wrote and what must come out. Default: both tell it alike, but
   *   for the switch's noise.
   * @param suits in which calls, whose ringing is drawn, that can be seen.
   */
  happened(
    call: RealCall,
    play: (made: MadeCall) => PlayedCall = playPair,
    suits: (clock: CallClock) => boolean = () => true,
  ): TrafficCall {
    const made = this.#make(call, suits);
    const happened = { made, played: play(made) };
    this.calls.push(happened);
    return happened;
  }

  #make(call: RealCall, suits: (clock: CallClock) => boolean): MadeCall {
    const { graceMs, toleranceMs, carrier } = this.#options;
    const plan = this.#plan(call);
    const random = this.random.fork(`call/${this.calls.length}`);
    const recordId = `rec-${random.hex(14)}`;
    for (let draws = 0; draws < 1_000; draws += 1) {
      const cdr = platformRecord({ plan, carrier, recordId }, random);
      if (call.setupMs !== undefined) setUpIn(cdr, call.setupMs);
      const clock = clockOf(cdr);
      if (suits(clock)) return { plan, cdr, clock, graceMs, toleranceMs, random };
    }
    throw new Error(`no call suits ${call.planted}`);
  }

  #plan(call: RealCall): PlannedCall {
    return {
      fault: call.planted,
      ends: call.ends,
      trunkId: call.trunkId ?? this.random.pick(this.carrier.trunkIds),
      condition: call.condition ?? { offsetMs: 0 },
      inviteMs: Math.round(call.inviteMs),
      answered: call.connectedMs !== undefined,
      connectedMs: Math.round(call.connectedMs ?? 0),
      signalling: call.signalling ?? this.drawSignalling(),
    };
  }
}

/** Sets the time from the invite to the answer, or to the end without one; the rest moves along. */
function setUpIn(cdr: CallDetailRecord, setupMs: number): void {
  const { inviteMs, answerMs, connectedMs } = clockOf(cdr);
  const { times, lengths } = cdr;
  if (!times || !lengths) throw new Error(`${cdr.recordId} has no times`);
  const ringMs = Math.round(setupMs * 0.8);
  const ringingMs = inviteMs + Math.round(setupMs) - ringMs;
  times.ringingTime = timestampFromMs(ringingMs);
  if (answerMs !== undefined) times.answerTime = timestampFromMs(ringingMs + ringMs);
  times.endTime = timestampFromMs(ringingMs + ringMs + connectedMs);
  lengths.setupDurationMs = BigInt(ringingMs - inviteMs);
  lengths.ringDurationMs = BigInt(ringMs);
  lengths.totalDurationMs = BigInt(ringingMs + ringMs + connectedMs - inviteMs);
}

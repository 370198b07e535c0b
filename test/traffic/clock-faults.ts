import { playLengthMismatch } from "../../src/simulator/reconciliation/length-faults.ts";
import { type MadeCall, type PlayedCall, playPair } from "../../src/simulator/reconciliation/played-call.ts";
import type { TruthCause } from "../../src/simulator/reconciliation/truth.ts";
import { type LostAt, losing } from "./lost-records.ts";
import type { TrafficSite } from "./site.ts";

const QUARTER_HOUR_MS = 900_000;
/** What any two clocks differ by: it is not told. */
const LEAST_SKEW_MS = 2_000;

/** A trunk whose clock is not the platform's. */
export interface OffTrunk {
  readonly planted: string;
  readonly trunkId: string;
  /** How far it is ahead of the platform's clock, milliseconds; undefined: it carries no call. */
  readonly offsetAt: (ms: number) => number | undefined;
}

/**
 * A call on such a trunk. One in eight was not answered. Of the others, the carrier lacks one in
 * thirty, the platform lacks as many, and as many have another length at the carrier. While the
 * trunk carries no call, nothing happens.
 */
export function happenedOn(site: TrafficSite, { planted, trunkId, offsetAt }: OffTrunk, inviteMs: number): void {
  const { random } = site;
  const lostAt = random.weighted<LostAt>({ nowhere: 94, atCarrier: 3, atPlatform: 3 });
  const [isAnswered, isOther] = [random.chance(0.875), random.chance(0.03)];
  const [ends, talkMs, offsetMs] = [site.ends(), site.drawTalkMs(), offsetAt(inviteMs)];
  if (offsetMs === undefined) return;
  // What nobody has missed yet is none of this.
  const lost = isAnswered && inviteMs < site.bounds.missedBeforeMs ? lostAt : "nowhere";
  const call = { planted, ends, inviteMs, trunkId, condition: { offsetMs } };
  if (isAnswered) site.happened({ ...call, connectedMs: talkMs }, (made) => losing(playOff(made, isOther), lost));
  else site.happened(call, playUnansweredOff);
}

/** Plays calls trunk by trunk, each of so many, in turn, until there are as many as asked for. */
export function playTrunks(
  callCount: number,
  callsOfTrunk: readonly number[],
  play: (index: number, count: number) => void,
): void {
  let left = callCount;
  for (let index = 0; left > 0; index += 1) {
    const count = callsOfTrunk[index % callsOfTrunk.length] ?? left;
    play(index, count);
    left -= count;
  }
}

/** The causes that an offset of a clock has, each with its part of it. */
function causesOfOffset(offsetMs: number): TruthCause[] {
  const zoneMs = Math.round(offsetMs / QUARTER_HOUR_MS) * QUARTER_HOUR_MS;
  return [
    ...(zoneMs === 0 ? [] : ["ZONE_SHIFT" as const]),
    ...(Math.abs(offsetMs - zoneMs) < LEAST_SKEW_MS ? [] : ["CLOCK_SKEW" as const]),
  ];
}

function playOff(made: MadeCall, isOther: boolean): PlayedCall {
  const played = isOther ? playLengthMismatch(made) : playPair(made);
  const causes = causesOfOffset(made.plan.condition.offsetMs);
  if (isOther) causes.push("UNKNOWN");
  return { ...played, truths: played.truths.map((truth) => ({ ...truth, causes })) };
}

function playUnansweredOff(made: MadeCall): PlayedCall {
  const played = playPair(made);
  const [status, causes] = ["MATCHED_UNANSWERED" as const, causesOfOffset(made.plan.condition.offsetMs)];
  return { ...played, truths: played.truths.map((truth) => ({ ...truth, status, causes })) };
}

import { bigintOf } from "../../domain/known-numbers.ts";
import {
  byStart,
  type CallUnit,
  type CarrierUnit,
  carrierUnit,
  connectedAtCarrier,
  connectedAtPlatform,
  lengthOf,
  type PlatformUnit,
  platformUnit,
  startDelta,
} from "../../domain/matching/call-unit.ts";
import { areAlike, voteBucket } from "../../domain/matching/clocks/clock-votes.ts";
import type { CarrierFacts, PlatformFacts } from "../../domain/matching/facts.ts";
import type { LonePair, Parted } from "../../domain/matching/pairing/lone-pairs.ts";
import { NumberIndex, rangesAround } from "../../domain/matching/pairing/number-index.ts";
import { couldBePair } from "../../domain/matching/pairing/pair-grade.ts";
import { isInWindow } from "../../domain/matching/pairing/time-window.ts";
import { CARRIER_SIDE, PLATFORM_SIDE, type RecordKind } from "../../domain/record-kind.ts";
import { MINUTE_MS, microsFromMs } from "../../domain/time/instant.ts";
import type { LackingCall, MinuteVotes } from "../../store/reconciliation/clock-evidence.ts";
import type { Votes } from "../../store/reconciliation/clock-offsets.ts";
import { pairKeyOf } from "../call-keys.ts";
import { rawStartMs } from "../result-row.ts";
import { isIn, type Span } from "../spans.ts";

// What records say of the carrier's clock, as both sides wrote them. It rests on no offset or pair,
// so a changed offset never changes what it rests on.

/** Greatest distance of a counterpart that votes on a record's clock, milliseconds. */
export const EVIDENCE_MS = 125_000;

/** What the records of some spans say. */
export interface Evidence {
  /** Minutes with votes. */
  readonly minutes: readonly MinuteVotes[];
  /** Answered calls without a possible counterpart near them. They have no vote yet. */
  readonly lacking: readonly LackingCall[];
}

/**
 * The evidence of records that begin, by their own clocks, in some spans. A carrier's record votes
 * if exactly one platform record in the window could be its pair, as that of a lone pair is. The
 * input must have all records up to EVIDENCE_MS around the spans.
 */
export function evidenceOf({ pairs, platform, carrier }: Parted, spans: readonly Span[]): Evidence {
  const calls = platform.filter(isLive).map(platformUnit).sort(byStart);
  const units = carrier.filter(isLive).map(asWritten).sort(byStart);
  const isAsked = ({ facts }: CallUnit) => isIn(spans, rawStartMs(facts));
  const isNear = (call: PlatformUnit, unit: CarrierUnit) => isInWindow(call, unit) && couldBePair(call, unit);
  const votes = new Map<number, Record<string, Votes>>();
  for (const pair of pairs) if (isIn(spans, rawStartMs(pair.carrier))) addVote(votes, pair.carrier, bucketOfLone(pair));
  const lacking: LackingCall[] = [];
  const askedUnits = units.filter(isAsked);
  const nearUnit = finder(calls, askedUnits, isNear);
  for (const unit of askedUnits) {
    const near = nearUnit(unit);
    const [call] = near;
    if (call === undefined) lacking.push(...lackingCall(CARRIER_SIDE, unit));
    else if (near.length === 1) addVote(votes, unit.facts, bucketOf(call, unit));
  }
  const askedCalls = calls.filter((call) => call.answered && isAsked(call));
  const nearCall = finder(units, askedCalls, (unit, call) => isNear(call, unit));
  for (const call of askedCalls) if (nearCall(call).length === 0) lacking.push(...lackingCall(PLATFORM_SIDE, call));
  return { minutes: [...votes].map(([minuteMs, each]) => ({ minute: microsFromMs(minuteMs), votes: each })), lacking };
}

function finder<Found extends CallUnit, Seeker extends CallUnit>(
  units: readonly Found[],
  seekers: readonly Seeker[],
  isNear: (found: Found, seeker: Seeker) => boolean,
): (seeker: Seeker) => Found[] {
  const index = new NumberIndex(units, seekers);
  return (seeker) => {
    const near: Found[] = [];
    index.visit(seeker, rangesAround(seeker, EVIDENCE_MS), (at) => {
      const unit = units[at];
      const isClose = unit !== undefined && Math.abs(unit.startMs - seeker.startMs) < EVIDENCE_MS;
      if (isClose && isNear(unit, seeker)) near.push(unit);
      return near.length < 2;
    });
    return near;
  };
}

function bucketOf(call: PlatformUnit, unit: CarrierUnit): string | undefined {
  const deltaMs = startDelta(call, unit);
  if (deltaMs === undefined) return undefined;
  return voteBucket(deltaMs, call.answered && unit.answered && areAlike(lengthOf(call), lengthOf(unit)));
}

function bucketOfLone({ platform, carrier, deltaMs }: LonePair): string {
  const billedMs = carrier.billedS === undefined ? undefined : carrier.billedS * 1_000;
  const isAlike = areAlike(connectedAtPlatform(platform), connectedAtCarrier(carrier) ?? billedMs);
  return voteBucket(deltaMs, platform.answered && isAlike);
}

function addVote(votes: Map<number, Record<string, Votes>>, record: CarrierFacts, bucket: string | undefined): void {
  if (bucket === undefined) return;
  const minuteMs = Math.floor(rawStartMs(record) / MINUTE_MS) * MINUTE_MS;
  const trunkId = record.trunkId ?? "";
  const trunks = votes.get(minuteMs) ?? {};
  const trunk = trunks[trunkId] ?? {};
  trunk[bucket] = (trunk[bucket] ?? 0) + 1;
  trunks[trunkId] = trunk;
  votes.set(minuteMs, trunks);
}

// A later part has no counterpart that begins with it.
function lackingCall(side: RecordKind["side"], unit: CallUnit<PlatformFacts | CarrierFacts>): LackingCall[] {
  const { facts, answered } = unit;
  const pairKey = pairKeyOf(facts);
  const isLaterPart = "part" in facts && facts.part !== undefined && facts.part.index > 1;
  if (!answered || isLaterPart || pairKey === undefined) return [];
  const { recordId, recordDate, trunkId = "" } = facts;
  const startTime = microsFromMs(rawStartMs(facts));
  const identity = { side, recordId, recordDate, startTime, pairKey, trunkId };
  return [{ ...identity, lengthMs: bigintOf(lengthOf(unit)), voteMs: undefined, isAlike: false }];
}

function asWritten(facts: CarrierFacts): CarrierUnit {
  return carrierUnit(facts, () => undefined);
}

function isLive({ isVoid }: { isVoid: boolean }): boolean {
  return !isVoid;
}

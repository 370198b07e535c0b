import { PLATFORM_SIDE, type RecordKind } from "../../record-kind.ts";
import type { RecordRef } from "../facts.ts";
import { tellLength } from "./evidence.ts";

/** A call as far as it can be held against one that lacks its counterpart. */
export interface OpenCall {
  readonly side: RecordKind["side"];
  readonly record: RecordRef;
  /** The platform's invite, else the carrier's start with the offset taken off. */
  readonly startMs: number;
  readonly answered: boolean;
  readonly connectedMs?: number | undefined;
  readonly billedS?: number | undefined;
  /** Of a call of the platform's that the carrier has too short: by how much. */
  readonly lacksMs?: number | undefined;
}

/**
 * An unpaired record of the other side, or one of a call that lacks a part, that nearly fits a call
 * without a counterpart.
 */
export interface NearMiss {
  readonly side: RecordKind["side"];
  readonly record: RecordRef;
  /** Carrier minus platform. */
  readonly startDeltaMs: number;
  readonly connectedMs?: number | undefined;
  readonly billedS?: number | undefined;
  /** In English, for a person. */
  readonly explanation: string;
}

/** Most that are told. */
const MAX_NEAR = 5;
const QUARTER_MS = 900_000;
/** How far from a whole quarter of an hour a time zone error may lie. */
const ZONE_SLACK_MS = 60_000;
/** Lengths that differ by no more are those of one call. */
const LENGTH_SLACK_MS = 2_000;
/** A bill may be so much longer, by the increments that are in use. */
const BILL_SLACK_MS = 61_000;
/** How far beyond a call one of its parts may begin. */
const PART_SLACK_MS = 60_000;

/**
 * Which unpaired records of the same two parties nearly fit a call that lacks its counterpart: as
 * long as it, at another time; or one part of it. Records of calls that lack a part too. The best
 * first: by length, then by whether a time zone explains the difference, then the nearest.
 */
export function findNearMisses(missing: OpenCall, open: readonly OpenCall[]): NearMiss[] {
  return open
    .flatMap((call) => fitOf(missing, call) ?? [])
    .sort((a, b) => a.rank - b.rank || a.offMs - b.offMs || compare(a.call.record, b.call.record))
    .slice(0, MAX_NEAR)
    .map(({ call, explanation }) => ({
      side: call.side,
      record: call.record,
      startDeltaMs: deltaOf(missing, call),
      explanation,
      connectedMs: call.connectedMs,
      billedS: call.billedS,
    }));
}

interface Fit {
  readonly call: OpenCall;
  /** The lower, the better. */
  readonly rank: number;
  readonly offMs: number;
  readonly explanation: string;
}

function fitOf(missing: OpenCall, call: OpenCall): Fit | undefined {
  const offMs = Math.abs(call.startMs - missing.startMs);
  if (missing.answered !== call.answered) return undefined;
  const when = tellWhen(missing, call);
  const isZone = isZoneAway(offMs);
  if (!missing.answered) {
    const explanation = `The same two parties, ${when}, unanswered too.${hintOf(offMs)}`;
    return isZone ? { call, rank: 1, offMs, explanation } : undefined;
  }
  const [mine, others] = [lengthOf(missing), lengthOf(call)];
  if (mine === undefined || others === undefined) return undefined;
  const lacks = lackingPart(missing, call, mine);
  if (lacks !== undefined) return { call, rank: 0, offMs, explanation: lacks };
  if (isAsLong(missing, call)) {
    const alike = mine === others ? "exactly as long" : `almost as long`;
    const apart = mine === others ? "" : `, ${tellLength(others - mine)} apart`;
    const explanation = `The same two parties, ${when}, and ${alike} (${tellLength(others)}${apart}).${hintOf(offMs)}`;
    return { call, rank: isZone ? 0 : 2, offMs, explanation };
  }
  const part = tellPart(missing, call, mine, others);
  return part === undefined ? undefined : { call, rank: 1, offMs, explanation: part };
}

// The rest of a call that the carrier wrote in parts.
function lackingPart(missing: OpenCall, call: OpenCall, mine: number): string | undefined {
  const { lacksMs, startMs, record } = call;
  if (lacksMs === undefined || Math.abs(lacksMs - mine) > LENGTH_SLACK_MS || missing.startMs < startMs - PART_SLACK_MS)
    return undefined;
  return `The carrier's records of ${record.recordId} are ${tellLength(lacksMs)} too short. That call began ${tellWhen(missing, call)}. This record is as long as what is missing, so it may be a further part of that call.`;
}

// A part that was not joined, because another is missing.
function tellPart(missing: OpenCall, call: OpenCall, mine: number, others: number): string | undefined {
  const [whole, part] = missing.side === PLATFORM_SIDE ? [missing, call] : [call, missing];
  const [wholeMs, partMs] = missing.side === PLATFORM_SIDE ? [mine, others] : [others, mine];
  const sinceMs = part.startMs - whole.startMs;
  if (call.lacksMs !== undefined || sinceMs < -PART_SLACK_MS || sinceMs + partMs > wholeMs + PART_SLACK_MS)
    return undefined;
  const length = `${tellLength(partMs)} of ${tellLength(wholeMs)}`;
  return `The same two parties. ${part.record.recordId} took place while ${whole.record.recordId} lasted, and is shorter (${length}). It may be one part of that call. The other parts are missing.`;
}

function isAsLong(a: OpenCall, b: OpenCall): boolean {
  const [mine, others] = [lengthOf(a) ?? 0, lengthOf(b) ?? 0];
  if (a.connectedMs !== undefined && b.connectedMs !== undefined) return Math.abs(others - mine) <= LENGTH_SLACK_MS;
  // The side that has no connected time has a bill.
  const longer = a.connectedMs === undefined ? mine - others : others - mine;
  return longer >= -LENGTH_SLACK_MS && longer <= BILL_SLACK_MS;
}

function lengthOf({ connectedMs, billedS }: OpenCall): number | undefined {
  return connectedMs ?? (billedS === undefined ? undefined : billedS * 1_000);
}

function isZoneAway(offMs: number): boolean {
  return Math.abs(offMs - Math.round(offMs / QUARTER_MS) * QUARTER_MS) <= ZONE_SLACK_MS;
}

function hintOf(offMs: number): string {
  const zoneMs = Math.round(offMs / QUARTER_MS) * QUARTER_MS;
  if (zoneMs === 0 || !isZoneAway(offMs)) return "";
  return ` A clock that is off by ${tellLength(zoneMs)} would explain this, but too few calls of that hour show that error.`;
}

function tellWhen(missing: OpenCall, call: OpenCall): string {
  const sinceMs = call.startMs - missing.startMs;
  return sinceMs === 0 ? "at the same time" : `${tellLength(sinceMs)} ${sinceMs > 0 ? "later" : "earlier"}`;
}

function deltaOf(missing: OpenCall, call: OpenCall): number {
  const delta = call.startMs - missing.startMs;
  return missing.side === PLATFORM_SIDE ? delta : -delta;
}

function compare(a: RecordRef, b: RecordRef): number {
  const [left, right] = [`${a.recordDate}/${a.recordId}`, `${b.recordDate}/${b.recordId}`];
  return left < right ? -1 : Number(left > right);
}

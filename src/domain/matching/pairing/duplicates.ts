import { difference } from "../../known-numbers.ts";
import {
  type CallUnit,
  compareIdentity,
  gapBefore,
  lengthOf,
  showsBothParties,
  startDelta,
  withOffset,
} from "../call-unit.ts";
import type { ClockOffset, CommonFacts, RecordRef } from "../facts.ts";
import { areContradicting } from "../number-keys.ts";
import { dialogTexts, isOtherCallId, isProvenDialog, isSameDialog } from "../signalling-ids.ts";
import { isSameCallParty, MOST_TIMES, NumberIndex, rangesAround } from "./number-index.ts";
import { type Fit, Grade } from "./pair-grade.ts";
import { type Candidate, carrierMember, isOpenCarrier, isOpenPlatform, type Pairing } from "./pairing.ts";
import { CORRELATED_WINDOW_MS } from "./time-window.ts";

/** A copy's start and duration differ by at most this, milliseconds. */
export const COPY_WINDOW_MS = 2_000;

/** Of which unit of its side a unit is a copy. */
export interface Copy {
  readonly of: number;
  readonly ref: RecordRef;
  /** Whether the original is paired, which makes the copy certain. */
  readonly isOfMatched: boolean;
}

/**
 * Finds copies among unpaired units: of one dialog within 24 h, or of the same parties with starts
 * and durations at most 2 s apart (durations 20 ms if a party is hidden). The original is a paired
 * unit, else the lower identity.
 */
export function findCopies(
  units: readonly CallUnit[],
  isMatched: (index: number) => boolean,
  isLeft: (index: number) => boolean,
): Map<number, Copy> {
  const left = units.flatMap((unit, index) => (isLeft(index) ? [{ unit, index }] : []));
  const copies = new Map<number, Copy>();
  if (left.length === 0) return copies;
  const find = originalsOf(
    units,
    left.map(({ unit }) => unit),
  );
  left.sort((a, b) => compareIdentity(a.unit.facts, b.unit.facts));
  for (const { unit, index } of left) {
    const best = find(index)
      .filter((other) => isMatched(other) || (isLeft(other) && !copies.has(other) && isBefore(units[other], unit)))
      .map((other) => ({ other, isOfMatched: isMatched(other) }))
      .sort((a, b) => Number(b.isOfMatched) - Number(a.isOfMatched) || byNearness(unit, units[a.other], units[b.other]))
      .at(0);
    const original = best && units[best.other];
    if (best === undefined || original === undefined) continue;
    copies.set(index, { of: best.other, ref: refOf(original.facts), isOfMatched: best.isOfMatched });
  }
  return copies;
}

/** A switch writes a record and its copy by one clock. */
const AS_REPORTED: ClockOffset = { offsetMs: 0, kind: "NONE", pairCount: 0, ratio: 0 };

/** With coarser times a copy looks like the next call. */
const FINEST_MS = 1_000;

export function asReported({ carrier }: Pairing) {
  return carrier.map((unit) => (unit.offset?.offsetMs ? withOffset(unit, AS_REPORTED) : unit));
}

/**
 * Takes copies of paired records out, so that they do not pair with neighbouring calls. With hidden
 * parties a record stays while its times fit an open one: it may be of another hidden caller.
 */
export function markCopies(pairing: Pairing, left: readonly (Candidate & { readonly fit: Fit })[]): void {
  const open = left.filter(
    ({ platform, carrier }) => isOpenPlatform(pairing, platform) && isOpenCarrier(pairing, carrier),
  );
  if (open.length === 0) return;
  const atPlatform = new Set(open.map(({ platform }) => platform));
  const atCarrier = new Set(
    open.flatMap(({ carrier }) => ((pairing.carrier[carrier]?.slackMs ?? 0) < FINEST_MS ? [carrier] : [])),
  );
  const isPaired = (of: Int32Array) => (index: number) => of[index] !== -1;
  const platform = findCopies(pairing.platform, isPaired(pairing.carrierOf), (index) => atPlatform.has(index));
  const carrier = findCopies(asReported(pairing), isPaired(pairing.platformOf), (index) => atCarrier.has(index));
  const fitting = open.filter(({ fit }) => fit.grade !== undefined && fit.grade <= Grade.TIME);
  const mayBeAnother = new Set([
    ...fitting.flatMap(({ platform: index }) => (isHiddenIn(pairing.platform, index) ? [index] : [])),
    ...fitting.flatMap(({ carrier: index }) =>
      isHiddenIn(pairing.carrier, index) ? [carrierMember(pairing, index)] : [],
    ),
  ]);
  const mark = (member: number, original: number) => {
    if (mayBeAnother.has(member)) return;
    pairing.isSpare[member] = 1;
    pairing.decidedAt[member] = pairing.step;
    pairing.together.join(member, original);
  };
  for (const [index, copy] of platform) if (copy.isOfMatched) mark(index, copy.of);
  for (const [index, copy] of carrier) {
    if (copy.isOfMatched) mark(carrierMember(pairing, index), carrierMember(pairing, copy.of));
  }
}

export function isCopy(a: CallUnit, b: CallUnit): boolean {
  return isDialogCopy(a, b) || (isSameCallParty(a, b) && isNear(a, b));
}

export function refOf({ recordId, recordDate, revision }: CommonFacts): RecordRef {
  return { recordId, recordDate, revision };
}

// The failed leg of a re-routed call and the sequel of a cut call are no copies.
function isDialogCopy(a: CallUnit, b: CallUnit): boolean {
  const [mine, others] = [a.facts, b.facts];
  if (mine.direction !== others.direction || !isSameDialog(mine.ids, others.ids)) return false;
  if (a.answered !== b.answered || isSequel(a, b) || isSequel(b, a)) return false;
  if (Math.abs(b.startMs - a.startMs) > CORRELATED_WINDOW_MS) return false;
  return !areContradicting(a.numbers, b.numbers) || isProvenDialog(mine.ids, others.ids);
}

/** A sequel begins within this of the end before it, milliseconds. */
const SEQUEL_SLACK_MS = 2_000;

function isSequel(unit: CallUnit, next: CallUnit): boolean {
  const gapMs = next.answered ? gapBefore(next, unit) : undefined;
  return gapMs !== undefined && gapMs >= -SEQUEL_SLACK_MS;
}

/** Records of one event differ by at most this, milliseconds. */
const SAME_EVENT_MS = 20;

function isNear(a: CallUnit, b: CallUnit): boolean {
  const deltaMs = startDelta(a, b);
  if (deltaMs === undefined || Math.abs(deltaMs) > COPY_WINDOW_MS) return false;
  if (a.answered !== b.answered || isOtherCallId(a.facts.ids, b.facts.ids)) return false;
  // Unanswered tries ring differently long.
  const [mine, others] = a.answered
    ? [lengthOf(a), lengthOf(b)]
    : [a, b].map(({ inviteMs, endMs }) => difference(endMs, inviteMs) ?? 0);
  // Two hidden callers may call a number within 2 s; one caller does not.
  const mostMs = showsBothParties(a) && showsBothParties(b) ? COPY_WINDOW_MS : SAME_EVENT_MS;
  return mine !== undefined && others !== undefined && Math.abs(mine - others) <= mostMs;
}

function originalsOf(units: readonly CallUnit[], seekers: readonly CallUnit[]): (index: number) => number[] {
  const byNumbers = new NumberIndex(units, seekers);
  const byDialog = new Map<string, number[]>();
  for (const { facts } of seekers) for (const dialog of dialogTexts(facts.ids)) byDialog.set(dialog, []);
  if (byDialog.size > 0) {
    for (const [index, { facts }] of units.entries()) {
      for (const dialog of dialogTexts(facts.ids)) byDialog.get(dialog)?.push(index);
    }
  }
  return (index) => {
    const unit = units[index];
    if (unit === undefined) return [];
    const found = new Set(byDialog.get(dialogTexts(unit.facts.ids)[0] ?? "")?.slice(0, MAX_SAME_DIALOG));
    const ranges = rangesAround(unit, COPY_WINDOW_MS);
    if (!byNumbers.hasMore(unit, ranges, MOST_TIMES)) byNumbers.visit(unit, ranges, (other) => found.add(other));
    found.delete(index);
    return [...found].filter((other) => {
      const candidate = units[other];
      return candidate !== undefined && isCopy(unit, candidate);
    });
  };
}

/** With more records, the id identifies nothing. */
const MAX_SAME_DIALOG = 200;

function isBefore(other: CallUnit | undefined, unit: CallUnit): boolean {
  return other !== undefined && compareIdentity(other.facts, unit.facts) < 0;
}

function byNearness(unit: CallUnit, a: CallUnit | undefined, b: CallUnit | undefined): number {
  if (a === undefined || b === undefined) return 0;
  const distance = (other: CallUnit) => Math.abs(startDelta(unit, other) ?? COPY_WINDOW_MS);
  return distance(a) - distance(b) || compareIdentity(a.facts, b.facts);
}

function isHiddenIn(units: readonly CallUnit[], index: number): boolean {
  const unit = units[index];
  return unit !== undefined && !showsBothParties(unit);
}

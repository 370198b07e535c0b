import { type CallUnit, compareIdentity, lengthOf, showsBothParties, startDelta } from "../call-unit.ts";

import type { CommonFacts, RecordRef } from "../facts.ts";
import { areContradicting } from "../number-keys.ts";
import { dialogTexts, isOtherCallId, isProvenDialog, isSameDialog } from "../signalling-ids.ts";
import { isSameCallParty, MOST_TIMES, NumberIndex, rangesAround } from "./number-index.ts";
import { CORRELATED_WINDOW_MS } from "./time-window.ts";

/** Starts and durations of a record and its copy differ by at most this, milliseconds. */
export const COPY_WINDOW_MS = 2_000;

/** A unit that is a copy of another of its side. */
export interface Copy {
  /** The original's position. */
  readonly of: number;
  readonly ref: RecordRef;
  /** Whether the original is paired: then the copy is certain. */
  readonly isOfMatched: boolean;
}

export interface DuplicateSearch {
  readonly units: readonly CallUnit[];
  readonly isMatched: (index: number) => boolean;
  /** Whether a unit is unpaired. */
  readonly isLeft: (index: number) => boolean;
}

/**
 * Finds copies among unpaired units: units of the same dialog within 24 h, or of the same parties
 * whose starts and durations differ by at most 2 s (durations by 20 ms if a party is hidden). A
 * paired unit is the original before an unpaired one, then the lower identity.
 */
export function findCopies(search: DuplicateSearch): Map<number, Copy> {
  const { units, isMatched, isLeft } = search;
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

/** Whether one unit is a copy of the other. */
export function isCopy(a: CallUnit, b: CallUnit): boolean {
  return isDialogCopy(a, b) || (isSameCallParty(a, b) && isNear(a, b));
}

export function refOf({ recordId, recordDate, revision }: CommonFacts): RecordRef {
  return { recordId, recordDate, revision };
}

// The failed leg of a re-routed call and the sequel of a cut call share the dialog but are no
// copies.
function isDialogCopy(a: CallUnit, b: CallUnit): boolean {
  const [mine, others] = [a.facts, b.facts];
  if (mine.direction !== others.direction || !isSameDialog(mine.ids, others.ids)) return false;
  if (a.answered !== b.answered || isSequel(a, b) || isSequel(b, a)) return false;
  if (Math.abs(b.startMs - a.startMs) > CORRELATED_WINDOW_MS) return false;
  return !areContradicting(a.numbers, b.numbers) || isProvenDialog(mine.ids, others.ids);
}

/** A sequel begins within this of the end before it. */
const SEQUEL_SLACK_MS = 2_000;

function isSequel({ answerMs, startMs, endMs }: CallUnit, next: CallUnit): boolean {
  if (endMs === undefined || !next.answered) return false;
  const beginMs = next.answerMs ?? next.startMs;
  const isBehind = (beginMs - (answerMs ?? startMs)) * 2 > endMs - (answerMs ?? startMs);
  return isBehind && beginMs >= endMs - SEQUEL_SLACK_MS;
}

/** Two records of one event differ by at most this. */
const SAME_EVENT_MS = 20;

function isNear(a: CallUnit, b: CallUnit): boolean {
  const deltaMs = startDelta(a, b);
  if (deltaMs === undefined || Math.abs(deltaMs) > COPY_WINDOW_MS) return false;
  if (a.answered !== b.answered || isOtherCallId(a.facts.ids, b.facts.ids)) return false;
  // Unanswered tries ring for different times.
  const [mine, others] = a.answered ? [lengthOf(a), lengthOf(b)] : [ringOf(a), ringOf(b)];
  // Nobody calls a number twice within 2 s, but two hidden callers may.
  const mostMs = showsBothParties(a) && showsBothParties(b) ? COPY_WINDOW_MS : SAME_EVENT_MS;
  return mine !== undefined && others !== undefined && Math.abs(mine - others) <= mostMs;
}

function ringOf({ inviteMs, endMs }: CallUnit): number | undefined {
  return inviteMs === undefined || endMs === undefined ? 0 : endMs - inviteMs;
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

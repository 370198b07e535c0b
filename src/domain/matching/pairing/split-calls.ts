import { MatchedBy } from "../../../gen/tandem/type/v1/discrepancy_pb.js";
import {
  beginOf,
  byStart,
  type CarrierUnit,
  gapBefore,
  lengthOf,
  mergeUnits,
  type PlatformUnit,
} from "../call-unit.ts";
import { areContradicting } from "../number-keys.ts";
import { dialogTexts, isOtherCallId, isProvenDialog, isSameDialog } from "../signalling-ids.ts";
import { MOST_TIMES, NumberIndex } from "./number-index.ts";
import { areOtherCalls } from "./pair-grade.ts";
import { isOpenCarrier, isOpenPlatform, joinPair, type Pairing, tie } from "./pairing.ts";
import { WINDOW_MS } from "./time-window.ts";

/** Greatest distance of the starts of two known parts. */
const LONGEST_PART_MS = 86_400_000;
/** Most times of the same parties that are searched in the day before a part. */
const MOST_OF_A_DAY = 4_000;

/**
 * Merges numbered parts of the same parties that follow each other, and unnumbered parts of one
 * dialog. Keeps the order of start and id.
 */
export function mergeKnownParts(units: readonly CarrierUnit[]): readonly CarrierUnit[] {
  const chains = [...chainNumbered(units), ...chainDialogs(units)].filter((chain) => chain.length > 1);
  if (chains.length === 0) return units;
  const merged = new Set(chains.flat());
  const whole = chains.flatMap(([first, ...rest]) => (first === undefined ? [] : [mergeUnits([first, ...rest])]));
  return [...units.filter((unit) => !merged.has(unit)), ...whole].sort(byStart);
}

/**
 * Finds unnumbered parts after pairing: if a pair's carrier record is too short, records that
 * follow it and bring the sum nearer than any single part; for these and for calls without a
 * record, the last parts if an earlier one is missing; for numbered parts without the first, the
 * call in which they lie.
 */
export function mergeLeftParts(pairing: Pairing): void {
  appendLeftParts(pairing);
  pairHeadless(pairing);
}

function chainNumbered(units: readonly CarrierUnit[]): CarrierUnit[][] {
  const chainsOf = new Map<string, CarrierUnit[][]>();
  for (const unit of units) {
    if (unit.facts.part === undefined) continue;
    const key = partiesKey(unit);
    const chains = chainsOf.get(key) ?? [];
    chainsOf.set(key, chains);
    const chain = chains.findLast((parts) => isNextPart(parts.at(-1), unit));
    if (chain === undefined) chains.push([unit]);
    else chain.push(unit);
  }
  return [...chainsOf.values()].flat();
}

// A switch writes the parties of all parts alike.
function partiesKey({ facts, numbers }: CarrierUnit): string {
  const [called] = numbers.called;
  const [caller] = numbers.callers;
  return `${facts.direction}/${facts.trunkId ?? ""}/${caller?.digits ?? ""}/${called?.digits ?? ""}`;
}

function isNextPart(last: CarrierUnit | undefined, next: CarrierUnit): boolean {
  const part = last?.facts.part;
  const nextPart = next.facts.part;
  if (last === undefined || part === undefined || nextPart === undefined) return false;
  if (part.isLast === true || nextPart.index <= part.index) return false;
  if (part.count !== undefined && nextPart.count !== undefined && part.count !== nextPart.count) return false;
  if (isOtherCallId(last.facts.ids, next.facts.ids) || next.startMs - last.startMs > LONGEST_PART_MS) return false;
  const gapMs = next.startMs - (last.endMs ?? next.startMs);
  if (gapMs < -WINDOW_MS) return false;
  return nextPart.index > part.index + 1 || gapMs <= WINDOW_MS;
}

function chainDialogs(units: readonly CarrierUnit[]): CarrierUnit[][] {
  const byDialog = Map.groupBy(units, ({ facts: { ids, part }, answered }) =>
    ids.dialogCallId === undefined || part !== undefined || !answered ? undefined : dialogTexts(ids)[0],
  );
  byDialog.delete(undefined);
  return [...byDialog.values()].flatMap((group) => (group.length > 1 ? chainSequence(group) : []));
}

// Overlapping records of a dialog are copies, following ones parts.
function chainSequence(group: readonly CarrierUnit[]): CarrierUnit[][] {
  const chains: CarrierUnit[][] = [];
  for (const unit of group) {
    const chain = chains.find((parts) => isSequel(parts.at(-1), unit));
    if (chain === undefined) chains.push([unit]);
    else chain.push(unit);
  }
  return chains;
}

function isSequel(last: CarrierUnit | undefined, next: CarrierUnit): boolean {
  if (last === undefined || !isSameDialog(last.facts.ids, next.facts.ids)) return false;
  if (last.facts.direction !== next.facts.direction) return false;
  if (areContradicting(last.numbers, next.numbers) && !isProvenDialog(last.facts.ids, next.facts.ids)) return false;
  const gapMs = gapBefore(next, last);
  return gapMs !== undefined && gapMs >= -CUT_SLACK_MS && gapMs <= LONGEST_PART_MS;
}

function appendLeftParts(pairing: Pairing): void {
  const open = pairing.carrier.flatMap((unit, index) => (isLeftPart(pairing, unit, index) ? [{ unit, index }] : []));
  if (open.length === 0) return;
  const lacking = pairing.platform.flatMap((platform, index) => {
    const carrier = pairing.carrier[pairing.carrierOf[index] ?? -1];
    const isLacking = carrier === undefined ? isLongAlone(pairing, index) : isTooShort(carrier, platform);
    return isLacking ? [{ platform, carrier, index }] : [];
  });
  const index = new NumberIndex(
    open.map(({ unit }) => unit),
    lacking.map(({ platform }) => platform),
  );
  const fitting = (platform: PlatformUnit) => {
    const found: LeftPart[] = [];
    const during = { fromMs: platform.startMs, toMs: (platform.endMs ?? platform.startMs) + WINDOW_MS };
    if (index.hasMore(platform, [during], MOST_TIMES)) return found;
    index.visit(platform, [during], (at) => {
      const left = open[at];
      if (left !== undefined && isOpenCarrier(pairing, left.index)) found.push(left);
    });
    return found;
  };
  for (const { platform, carrier, index: position } of lacking) {
    if (carrier !== undefined) appendParts(pairing, position, followingParts(platform, carrier, fitting(platform)));
  }
  for (const { platform, carrier, index: position } of lacking) {
    const fromMs = carrier === undefined ? beginOf(platform) + WINDOW_MS : lastEndOf(pairing, position);
    appendParts(pairing, position, endingParts(platform, fromMs, fitting(platform)));
  }
}

function appendParts(pairing: Pairing, platform: number, parts: readonly LeftPart[]): void {
  const [first] = parts;
  if (first === undefined) return;
  const isOpen = pairing.carrierOf[platform] === -1;
  if (isOpen) joinPair(pairing, { platform, carrier: first.index }, MatchedBy.NUMBERS_AND_TIME);
  const further = parts.slice(isOpen ? 1 : 0).map(({ index }) => index);
  if (further.length > 0) {
    pairing.furtherParts.set(platform, [...(pairing.furtherParts.get(platform) ?? []), ...further]);
  }
  for (const { index } of parts) {
    pairing.platformOf[index] = platform;
    tie(pairing, { platform, carrier: index });
  }
  pairing.isAlone[platform] = 0;
}

function lastEndOf({ carrier, carrierOf, furtherParts }: Pairing, platform: number): number {
  const units = [carrierOf[platform] ?? -1, ...(furtherParts.get(platform) ?? [])].map((index) => carrier[index]);
  return Math.max(...units.map((unit) => unit?.endMs ?? Number.POSITIVE_INFINITY));
}

// Without the first part, the rest begins beyond the window.
function isLongAlone(pairing: Pairing, index: number): boolean {
  const unit = pairing.platform[index];
  if (unit === undefined || !unit.answered || unit.endMs === undefined || !isOpenPlatform(pairing, index)) return false;
  return (unit.connectedMs ?? 0) > WINDOW_MS;
}

function isLeftPart(pairing: Pairing, unit: CarrierUnit, index: number): boolean {
  return unit.answered && lengthOf(unit) !== undefined && isOpenCarrier(pairing, index);
}

function isTooShort(carrier: CarrierUnit, platform: PlatformUnit): boolean {
  const lengthMs = lengthOf(carrier);
  const { connectedMs } = platform;
  if (!carrier.answered || !platform.answered || carrier.endMs === undefined) return false;
  return lengthMs !== undefined && connectedMs !== undefined && lengthMs < connectedMs - CUT_SLACK_MS;
}

// Records that follow without a gap while each brings the sum nearer than any single part.
function followingParts(platform: PlatformUnit, first: CarrierUnit, left: readonly LeftPart[]): LeftPart[] {
  const wholeMs = platform.connectedMs ?? 0;
  const parts: LeftPart[] = [];
  let last = first;
  let sumMs = lengthOf(first) ?? 0;
  let nearestMs = Math.abs(sumMs - wholeMs);
  for (const part of left.toSorted((a, b) => byStart(a.unit, b.unit))) {
    const gapMs = beginOf(part.unit) - (last.endMs ?? Number.NaN);
    const lengthMs = lengthOf(part.unit) ?? 0;
    const distanceMs = Math.abs(sumMs + lengthMs - wholeMs);
    const fits = distanceMs < nearestMs && distanceMs < Math.abs(lengthMs - wholeMs);
    if (!(Math.abs(gapMs) <= CUT_SLACK_MS + part.unit.slackMs) || !fits) continue;
    parts.push(part);
    last = part.unit;
    sumMs += lengthMs;
    nearestMs = distanceMs;
  }
  return parts;
}

function pairHeadless(pairing: Pairing): void {
  const headless = pairing.carrier.flatMap((unit, index) =>
    unit.lacksFirstPart && isOpenCarrier(pairing, index) ? [{ unit, index }] : [],
  );
  if (headless.length === 0) return;
  const index = new NumberIndex(
    pairing.platform,
    headless.map(({ unit }) => unit),
  );
  for (const { unit, index: carrier } of headless) {
    const around: number[] = [];
    const before = { fromMs: unit.startMs - LONGEST_PART_MS, toMs: unit.startMs + WINDOW_MS };
    if (index.hasMore(unit, [before], MOST_OF_A_DAY)) continue;
    index.visit(unit, [before], (platform) => {
      const call = pairing.platform[platform];
      if (call !== undefined && isOpenPlatform(pairing, platform) && liesWithin(unit, call)) around.push(platform);
    });
    const platform = around.sort((a, b) => a - b).at(-1);
    if (platform === undefined) continue;
    joinPair(pairing, { platform, carrier }, MatchedBy.NUMBERS_AND_TIME);
    tie(pairing, { platform, carrier });
  }
}

function liesWithin(unit: CarrierUnit, { answered, answerMs, startMs, endMs }: PlatformUnit): boolean {
  if (!answered || endMs === undefined) return false;
  return unit.startMs >= (answerMs ?? startMs) - WINDOW_MS && (unit.endMs ?? unit.startMs) <= endMs + WINDOW_MS;
}

interface LeftPart {
  readonly unit: CarrierUnit;
  readonly index: number;
}

/** Greatest gap between parts that one switch cut, milliseconds. */
export const CUT_SLACK_MS = 2_000;

/** Two clocks see an end at most so far apart, milliseconds. */
const END_SLACK_MS = 5_000;

/**
 * The last parts of a call: each ends where the next begins, the last with the call. A missing part
 * fills the time from `fromMs` to the first.
 */
function endingParts(platform: PlatformUnit, fromMs: number, left: readonly LeftPart[]): LeftPart[] {
  const parts: LeftPart[] = [];
  let [untilMs, slackMs] = [platform.endMs, END_SLACK_MS];
  const latestFirst = left.toSorted((a, b) => (b.unit.endMs ?? 0) - (a.unit.endMs ?? 0) || a.index - b.index);
  for (const part of latestFirst) {
    const { unit } = part;
    if (unit.endMs === undefined || untilMs === undefined || areOtherCalls(platform, unit)) continue;
    if (Math.abs(untilMs - unit.endMs) > slackMs + unit.slackMs) continue;
    if (beginOf(unit) < fromMs - CUT_SLACK_MS - unit.slackMs) continue;
    parts.unshift(part);
    [untilMs, slackMs] = [beginOf(unit), CUT_SLACK_MS];
  }
  return parts;
}

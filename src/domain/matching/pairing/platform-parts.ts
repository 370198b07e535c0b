import { byStart, type CarrierUnit, gapBefore, lengthOf, type PlatformUnit } from "../call-unit.ts";
import { dialogTexts, isSameDialog } from "../signalling-ids.ts";
import type { Pairing } from "./pairing.ts";
import { CUT_SLACK_MS } from "./split-calls.ts";
import { WINDOW_MS } from "./time-window.ts";

// A transfer makes two platform records of one dialog, and one call of the carrier.

/**
 * Ties the platform's records of a dialog that follow each other. A pair gets those that bring the
 * sum nearer to the carrier's length or within 2 s of it.
 * @param whole the carrier's call of a pair.
 */
export function mergePlatformParts(pairing: Pairing, whole: (platform: number) => CarrierUnit | undefined): void {
  for (const chain of chainsOf(pairing)) {
    for (const [place, first] of chain.entries()) {
      const carrier = pairing.carrierOf[first] === -1 ? undefined : whole(first);
      if (carrier === undefined) continue;
      const parts = followingParts(pairing, chain.slice(place), carrier);
      if (parts.length > 0) pairing.platformParts.set(first, parts);
      for (const part of parts) pairing.partOf.set(part, first);
    }
  }
}

/** A call with its further parts: the last end, the sum of durations. */
export function platformOf({ platform, platformParts }: Pairing, index: number): PlatformUnit | undefined {
  const first = platform[index];
  const further = platformParts.get(index)?.flatMap((part) => platform[part] ?? []);
  if (first === undefined || further === undefined) return first;
  const units = [first, ...further];
  return {
    ...first,
    records: units.flatMap((unit) => unit.records),
    endMs: units.at(-1)?.endMs,
    lastStartMs: units.at(-1)?.lastStartMs ?? first.lastStartMs,
    connectedMs: units.reduce((sum, unit) => sum + (unit.connectedMs ?? 0), 0),
    arrivalMs: Math.max(...units.map((unit) => unit.arrivalMs)),
  };
}

/** The records of each dialog with several, in order. */
function chainsOf({ platform, together }: Pairing): number[][] {
  const chains = dialogsOf(platform).map((group) => group.sort((a, b) => compare(platform, a, b)));
  for (const chain of chains) {
    for (const [place, index] of chain.entries()) {
      const before = chain.slice(0, place).find((other) => isSequel(platform[other], platform[index]));
      if (before !== undefined) together.join(before, index);
    }
  }
  return chains;
}

function dialogsOf(platform: readonly PlatformUnit[]): number[][] {
  const dialogOf = (index: number) => {
    const { facts, answered, connectedMs } = platform[index] ?? {};
    return facts?.ids.dialogCallId === undefined || !answered || connectedMs === undefined
      ? undefined
      : dialogTexts(facts.ids)[0];
  };
  const byDialog = Map.groupBy(platform.keys(), dialogOf);
  byDialog.delete(undefined);
  return [...byDialog.values()].filter(({ length }) => length > 1 && length <= MOST_OF_A_DIALOG);
}

/** With more records, the id identifies nothing. */
const MOST_OF_A_DIALOG = 200;

function compare(platform: readonly PlatformUnit[], a: number, b: number): number {
  const [mine, others] = [platform[a], platform[b]];
  return mine === undefined || others === undefined ? a - b : byStart(mine, others);
}

function followingParts(pairing: Pairing, [first, ...rest]: readonly number[], carrier: CarrierUnit): number[] {
  let last = pairing.platform[first ?? -1];
  const wholeMs = lengthOf(carrier);
  if (last?.connectedMs === undefined || !carrier.answered || wholeMs === undefined) return [];
  let sumMs = last.connectedMs;
  const parts: number[] = [];
  for (const index of rest) {
    const next = pairing.platform[index];
    const isFree = pairing.carrierOf[index] === -1 && !pairing.crowd.has(index) && !pairing.partOf.has(index);
    if (next?.connectedMs === undefined || !isFree || !isSequel(last, next)) continue;
    const longerMs = sumMs + next.connectedMs;
    const [offMs, longerOffMs] = [Math.abs(sumMs - wholeMs), Math.abs(longerMs - wholeMs)];
    if (longerOffMs >= offMs && longerOffMs > CUT_SLACK_MS) continue;
    parts.push(index);
    sumMs = longerMs;
    last = next;
  }
  return parts;
}

function isSequel(last: PlatformUnit | undefined, next: PlatformUnit | undefined): boolean {
  if (last === undefined || next === undefined || !isSameDialog(last.facts.ids, next.facts.ids)) return false;
  const gapMs = last.facts.direction === next.facts.direction ? gapBefore(next, last) : undefined;
  return gapMs !== undefined && gapMs >= -CUT_SLACK_MS && gapMs <= WINDOW_MS;
}

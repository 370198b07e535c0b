import type { CallUnit } from "../call-unit.ts";
import { NumberIndex, rangesAround } from "./number-index.ts";
import { addToCrowd, carrierMember, type Pairing, tie } from "./pairing.ts";
import { isInWindow, WINDOW_MS } from "./time-window.ts";

/**
 * Marks unpaired records of a crowd on both sides that still have a possible pair.
 * @param crowded the platform's records that were not compared with all in their window.
 * @param asked the carrier's records that they were compared with.
 */
export function markCrowded(pairing: Pairing, crowded: readonly number[], asked: readonly number[]): void {
  if (crowded.length === 0) return;
  const { platform, carrier } = pairing;
  const mine = crowded.filter((index) => pairing.carrierOf[index] === -1 && pairing.isSpare[index] === 0);
  const others = asked.filter((index) => {
    return pairing.platformOf[index] === -1 && pairing.isSpare[carrierMember(pairing, index)] === 0;
  });
  const reachMs = WINDOW_MS + others.reduce((most, index) => Math.max(most, carrier[index]?.slackMs ?? 0), 0);
  const nearMine = firstNear(mine, platform, { others, units: carrier, reachMs, isNear: isInWindow });
  const nearOthers = firstNear(others, carrier, {
    others: mine,
    units: platform,
    reachMs,
    isNear: (unit, call) => isInWindow(call, unit),
  });
  pairing.step++;
  const mark = (call: number, unit: number) => {
    tie(pairing, { platform: call, carrier: unit });
    for (const member of [call, carrierMember(pairing, unit)]) addToCrowd(pairing, member);
  };
  for (const [call, unit] of nearMine) mark(call, unit);
  for (const [unit, call] of nearOthers) mark(call, unit);
}

interface Others<Seeker, Found> {
  readonly others: readonly number[];
  readonly units: readonly Found[];
  readonly reachMs: number;
  readonly isNear: (seeker: Seeker, found: Found) => boolean;
}

function firstNear<Seeker extends CallUnit, Found extends CallUnit>(
  seekers: readonly number[],
  seekerUnits: readonly Seeker[],
  { others, units, reachMs, isNear }: Others<Seeker, Found>,
): [seeker: number, found: number][] {
  const found = others.flatMap((index) => units[index] ?? []);
  const index = new NumberIndex(
    found,
    seekers.flatMap((seeker) => seekerUnits[seeker] ?? []),
  );
  return seekers.flatMap((position) => {
    const pairs: [number, number][] = [];
    const seeker = seekerUnits[position];
    if (seeker === undefined) return pairs;
    index.visit(seeker, rangesAround(seeker, reachMs), (at) => {
      const unit = found[at];
      if (unit === undefined || !isNear(seeker, unit)) return true;
      pairs.push([position, others[at] ?? 0]);
      return false;
    });
    return pairs;
  });
}

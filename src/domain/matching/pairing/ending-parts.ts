import { beginOf, type CarrierUnit, type PlatformUnit } from "../call-unit.ts";
import { areOtherCalls } from "./pair-grade.ts";

/** A unit of the carrier's that is left over after pairing, and its position. */
export interface LeftPart {
  readonly unit: CarrierUnit;
  readonly index: number;
}

/**
 * How far a part may begin from where the one before it ended, milliseconds: one switch cut the
 * call, by one clock.
 */
export const CUT_SLACK_MS = 2_000;
/** How far apart two clocks may see the end of one call, milliseconds. */
const END_SLACK_MS = 5_000;

/**
 * The parts with which a call ends, in their order: the last ends as the call does, and each ends
 * where the next begins; none begins before the instant that is given. What lies between that and
 * the first of them is a part that is missing.
 */
export function endingParts(platform: PlatformUnit, fromMs: number, left: readonly LeftPart[]): LeftPart[] {
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

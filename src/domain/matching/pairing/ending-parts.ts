import { beginOf, type CarrierUnit, type PlatformUnit } from "../call-unit.ts";
import { areOtherCalls } from "./pair-grade.ts";

/** An unpaired unit of the carrier's, and its position. */
export interface LeftPart {
  readonly unit: CarrierUnit;
  readonly index: number;
}

/** Greatest gap between parts, milliseconds: one switch cut the call, by one clock. */
export const CUT_SLACK_MS = 2_000;
/** Two clocks see the end of a call at most this far apart, milliseconds. */
const END_SLACK_MS = 5_000;

/**
 * The last parts of a call, in order: each ends where the next begins, and the last ends with the
 * call. None begins before `fromMs`; a missing part fills the time until the first.
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

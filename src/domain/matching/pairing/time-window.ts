import { type CarrierUnit, type PlatformUnit, startDelta } from "../call-unit.ts";

/**
 * How far apart like times of one call may be, milliseconds, when nothing but its numbers speaks
 * for it.
 */
export const WINDOW_MS = 60_000;

/** How far apart the starts of a pair that correlation ids joined may be, milliseconds: 24 h. */
export const CORRELATED_WINDOW_MS = 86_400_000;

/** The window of a pair: the carrier's stated resolution widens it. */
export function windowOf(carrier: CarrierUnit): number {
  return WINDOW_MS + carrier.slackMs;
}

/** Whether like times are near enough for the same numbers to be the same call. */
export function isInWindow(platform: PlatformUnit, carrier: CarrierUnit): boolean {
  const deltaMs = startDelta(platform, carrier);
  return deltaMs !== undefined && Math.abs(deltaMs) <= windowOf(carrier);
}

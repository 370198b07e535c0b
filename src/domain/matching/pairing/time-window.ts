import { type CarrierUnit, type PlatformUnit, startDelta } from "../call-unit.ts";

/** Greatest difference of like times of one call when only numbers join it, milliseconds. */
export const WINDOW_MS = 60_000;

/** Greatest difference of starts when ids join a pair, milliseconds. */
export const CORRELATED_WINDOW_MS = 86_400_000;

/** The carrier's resolution widens the window. */
export function windowOf(carrier: CarrierUnit): number {
  return WINDOW_MS + carrier.slackMs;
}

export function isInWindow(platform: PlatformUnit, carrier: CarrierUnit): boolean {
  const deltaMs = startDelta(platform, carrier);
  return deltaMs !== undefined && Math.abs(deltaMs) <= windowOf(carrier);
}

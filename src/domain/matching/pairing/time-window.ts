import { type CarrierUnit, type PlatformUnit, startDelta } from "../call-unit.ts";

/** Greatest difference of like times when only numbers join a pair, milliseconds. */
export const WINDOW_MS = 60_000;

/** Greatest difference of starts when ids join it, milliseconds. */
export const CORRELATED_WINDOW_MS = 86_400_000;

/** The resolution widens it. */
export function windowOf(carrier: CarrierUnit): number {
  return WINDOW_MS + carrier.slackMs;
}

export function isInWindow(platform: PlatformUnit, carrier: CarrierUnit): boolean {
  const deltaMs = startDelta(platform, carrier);
  return deltaMs !== undefined && Math.abs(deltaMs) <= windowOf(carrier);
}

import { DAY_MS } from "../domain/time/instant.ts";
import type { TimeRange } from "../store/reconciliation/reconcile-input.ts";
import { hullOf, type Span, timeRange, widenSpan } from "./spans.ts";

// Turns of several workers at one carrier. Between what two of them match at once lie more than ten
// days: more than a turn looks, or changes anything, around what it matches. Votes of hours up to
// 31 h away change, and with them offsets of hours up to two days further, which rest on votes of
// two days more; a turn that goes by such an offset reads votes of as many days, and the calls of
// an hour may lie 15 h off. So neither sees what the other has not committed yet, and together they
// come to what one of them would come to alone.

/** Time is parted into zones so long. */
const ZONE_MS = 5 * DAY_MS;
/** Zones without anyone's turns after those of a turn. */
const ZONES_BETWEEN = 2;
/** Read around marked minutes in any case. */
const EDGE_MS = DAY_MS / 24;

/** Called before a turn reads what begins in these spans. Throws ZoneTaken. */
export type Claim = (spans: readonly Span[]) => Promise<void>;

/** The zones that a worker must have to match calls of these spans, and all between them. */
export function zonesOf(spans: readonly Span[]): number[] {
  const { startMs, endMs } = hullOf(spans);
  const first = zoneOf(startMs);
  return Array.from({ length: zoneOf(endMs) + ZONES_BETWEEN - first + 1 }, (_, index) => first + index);
}

function zoneOf(ms: number): number {
  return Math.floor(ms / ZONE_MS);
}

/** Zones for turns at these spans and what is always read around them. */
export function zonesAround(spans: readonly Span[]): number[] {
  return zonesOf(spans.map((span) => widenSpan(span, EDGE_MS)));
}

/** Where no turn may begin beside these zones. */
export function rangesNear(zones: readonly number[]): TimeRange[] {
  return zones.map((zone) =>
    timeRange(widenSpan({ startMs: (zone - ZONES_BETWEEN) * ZONE_MS, endMs: (zone + 1) * ZONE_MS }, EDGE_MS)),
  );
}

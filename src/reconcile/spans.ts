import { MINUTE_MS, type Micros, microsFromMs } from "../domain/time/instant.ts";
import type { TimeRange } from "../store/reconciliation/reconcile-input.ts";

/** `[startMs, endMs)`, milliseconds since 1970. */
export interface Span {
  readonly startMs: number;
  readonly endMs: number;
}

/** So much time before and after an instant. */
export function spanAround(ms: number, marginMs: number): Span {
  return { startMs: ms - marginMs, endMs: ms + marginMs };
}

export function widenSpan({ startMs, endMs }: Span, marginMs: number): Span {
  return { startMs: startMs - marginMs, endMs: endMs + marginMs };
}

export function timeRange({ startMs, endMs }: Span): TimeRange {
  return { start: microsFromMs(startMs), end: microsFromMs(endMs) };
}

export function minuteOf(ms: number): Micros {
  return microsFromMs(Math.floor(ms / MINUTE_MS) * MINUTE_MS);
}

export function isIn(spans: readonly Span[], ms: number): boolean {
  return spans.some((span) => ms >= span.startMs && ms < span.endMs);
}

/** Whether an instant and its margin lie wholly in one span. */
export function isWellIn(spans: readonly Span[], ms: number, marginMs: number): boolean {
  return spans.some((span) => ms - marginMs >= span.startMs && ms + marginMs < span.endMs);
}

/** From the first start to the last end. */
export function hullOf(spans: readonly Span[]): Span {
  return {
    startMs: Math.min(...spans.map(({ startMs }) => startMs)),
    endMs: Math.max(...spans.map(({ endMs }) => endMs)),
  };
}

/** The parts of some spans that lie in none of the others. Both are sorted and do not overlap. */
export function missingSpans(wanted: readonly Span[], known: readonly Span[]): Span[] {
  const missing: Span[] = [];
  for (const { startMs, endMs } of wanted) {
    let from = startMs;
    for (const span of known) {
      if (span.endMs <= from || span.startMs >= endMs) continue;
      if (span.startMs > from) missing.push({ startMs: from, endMs: span.startMs });
      from = Math.max(from, span.endMs);
    }
    if (from < endMs) missing.push({ startMs: from, endMs });
  }
  return missing;
}

/** Sorts spans and merges those that overlap. */
export function mergeSpans(spans: readonly Span[]): Span[] {
  const merged: Span[] = [];
  for (const span of spans.toSorted((left, right) => left.startMs - right.startMs)) {
    const last = merged.at(-1);
    if (last && span.startMs <= last.endMs) merged[merged.length - 1] = hullOf([last, span]);
    else merged.push(span);
  }
  return merged;
}

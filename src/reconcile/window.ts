import { type Micros, microsFromMs } from "../domain/instant.ts";
import type { CarrierFacts, PlatformFacts } from "../domain/matching/facts.ts";
import type { Tx } from "../store/database.ts";
import { readPartTips, readTips, type TimeRange } from "../store/reconcile-input.ts";
import { carrierFacts, platformFacts } from "./facts-edge.ts";
import { rawStartMs } from "./result-row.ts";
import type { CarrierVotes } from "./votes.ts";

/** `[startMs, endMs)`, milliseconds since 1970. */
export interface Span {
  readonly startMs: number;
  readonly endMs: number;
}

/** The records of both sides whose corrected start lies in some spans, and the numbered parts around them. */
export interface Window {
  readonly spans: readonly Span[];
  readonly platform: readonly PlatformFacts[];
  readonly carrier: readonly CarrierFacts[];
}

/** A split call may be as long as this. */
const LONGEST_SPLIT_MS = 24 * 3_600_000;

/** Reads a window. Spans that touch are read as one. */
export async function readWindow(
  tx: Tx,
  carrierId: string,
  wanted: readonly Span[],
  votes: CarrierVotes,
): Promise<Window> {
  const spans = mergeSpans(wanted);
  const offsets = [0, ...votes.offsetsInUse()];
  const raw = mergeSpans(
    spans.flatMap(({ startMs, endMs }) =>
      offsets.map((offset) => ({ startMs: startMs + offset, endMs: endMs + offset })),
    ),
  );
  const platform = (await readTips(tx, "platform", carrierId, spans.map(timeRange))).map(platformFacts);
  const carrier = (await readTips(tx, "carrier", carrierId, raw.map(timeRange)))
    .map(carrierFacts)
    .filter((record) => isIn(spans, correctedStartMs(record, votes)));
  return { spans, platform, carrier: await withParts(tx, carrierId, spans, carrier) };
}

/** A carrier's record's start with the offset of its trunk and hour taken off. */
export function correctedStartMs(record: CarrierFacts, votes: CarrierVotes): number {
  return rawStartMs(record) - (votes.offsetOf(record)?.offsetMs ?? 0);
}

/** Whether an instant lies in one of the spans. */
export function isIn(spans: readonly Span[], ms: number): boolean {
  return spans.some((span) => ms >= span.startMs && ms < span.endMs);
}

/** Whether the neighbourhood of an instant lies wholly in one of the spans. */
export function isWellIn(spans: readonly Span[], ms: number, marginMs: number): boolean {
  return spans.some((span) => ms - marginMs >= span.startMs && ms + marginMs < span.endMs);
}

// Parts of one call may begin hours apart: where one is read, all that may belong to it are.
async function withParts(
  tx: Tx,
  carrierId: string,
  spans: readonly Span[],
  carrier: readonly CarrierFacts[],
): Promise<readonly CarrierFacts[]> {
  if (!carrier.some((record) => record.part)) return carrier;
  const known = new Set(carrier.map(identity));
  const first = Math.min(...spans.map((span) => span.startMs)) - LONGEST_SPLIT_MS;
  const last = Math.max(...spans.map((span) => span.endMs)) + LONGEST_SPLIT_MS;
  const parts = (await readPartTips(tx, carrierId, timeRange({ startMs: first, endMs: last }))).map(carrierFacts);
  return [...carrier, ...parts.filter((part) => !known.has(identity(part)))];
}

function identity(record: CarrierFacts): string {
  return `${record.recordDate}/${record.recordId}`;
}

function timeRange(span: Span): TimeRange {
  return { start: microsFromMs(span.startMs), end: microsFromMs(span.endMs) };
}

/** Sorted, without overlap. */
export function mergeSpans(spans: readonly Span[]): Span[] {
  const merged: Span[] = [];
  for (const span of spans.toSorted((left, right) => left.startMs - right.startMs)) {
    const last = merged.at(-1);
    if (last && span.startMs <= last.endMs) {
      merged[merged.length - 1] = { startMs: last.startMs, endMs: Math.max(last.endMs, span.endMs) };
    } else merged.push(span);
  }
  return merged;
}

/** The minute that an instant lies in. */
export function minuteOf(ms: number): Micros {
  return microsFromMs(Math.floor(ms / 60_000) * 60_000);
}

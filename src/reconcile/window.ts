import type { CarrierFacts, KnownJoin, PlatformFacts } from "../domain/matching/facts.ts";
import type { ErasureScope } from "../domain/privacy/erasure.ts";
import { CDR, DURATION, type RecordKind } from "../domain/record-kind.ts";
import { type Micros, microsFromMs } from "../domain/time/instant.ts";
import type { Tx } from "../store/database/run.ts";
import { readErasedPairs } from "../store/privacy/erase-results.ts";
import { readPartTips, readTips, type StoredTip, type TimeRange } from "../store/reconciliation/reconcile-input.ts";
import { withoutErased } from "./erased-facts.ts";
import { carrierFacts, platformFacts } from "./facts-codec.ts";
import { rawStartMs } from "./result-row.ts";
import type { CarrierVotes } from "./votes.ts";

/** `[startMs, endMs)`, milliseconds since 1970. */
export interface Span {
  readonly startMs: number;
  readonly endMs: number;
}

/** The records of both sides that may begin in some spans, and numbered parts around them. */
export interface Window {
  readonly spans: readonly Span[];
  readonly platform: readonly PlatformFacts[];
  readonly carrier: readonly CarrierFacts[];
}

/** Longest distance between parts of a split call. */
const LONGEST_SPLIT_MS = 24 * 3_600_000;

/** The records of a turn. It reads nothing twice, however its window or its offsets change. */
export class TurnRecords {
  readonly #tx: Tx;
  readonly #carrierId: string;
  readonly #carrierFacts: (tip: StoredTip) => CarrierFacts;
  readonly #platform: SideRecords<PlatformFacts>;
  readonly #carrier: SideRecords<CarrierFacts>;
  readonly #parts = new Map<string, CarrierFacts>();
  #partSpans: Span[] = [];
  readonly #joins = new Map<string, KnownJoin>();
  #joinSpans: Span[] = [];

  constructor(tx: Tx, { carrierId, erased }: { carrierId: string; erased: readonly ErasureScope[] }) {
    this.#tx = tx;
    this.#carrierId = carrierId;
    this.#carrierFacts = (tip) => withoutErased(carrierFacts(tip), erased);
    this.#platform = new SideRecords(CDR, (tip) => withoutErased(platformFacts(tip), erased));
    this.#carrier = new SideRecords(DURATION, this.#carrierFacts);
  }

  async read(spans: readonly Span[], votes: CarrierVotes): Promise<Window> {
    const offsets = [0, ...votes.offsetsInUse()];
    const raw = spans.flatMap(({ startMs, endMs }) =>
      offsets.map((offset) => ({ startMs: startMs + offset, endMs: endMs + offset })),
    );
    await this.#platform.read(this.#tx, this.#carrierId, spans);
    await this.#readJoins(spans);
    await this.#carrier.read(this.#tx, this.#carrierId, mergeSpans(raw));
    const platform = this.#platform.records.filter((record) => isIn(spans, rawStartMs(record)));
    const carrier = this.#carrier.records.filter((record) => placesOf(record, votes).some((ms) => isIn(spans, ms)));
    const whole = await this.#withParts(spans, carrier);
    return { spans, platform, carrier: this.#joins.size === 0 ? whole : whole.map((record) => this.#joined(record)) };
  }

  /** The records of some spans by their own, uncorrected times. */
  async readAsReported(
    wanted: readonly Span[],
  ): Promise<{ platform: readonly PlatformFacts[]; carrier: readonly CarrierFacts[] }> {
    const spans = mergeSpans(wanted);
    await this.#platform.read(this.#tx, this.#carrierId, spans);
    await this.#carrier.read(this.#tx, this.#carrierId, spans);
    const isWanted = (record: PlatformFacts | CarrierFacts) => isIn(spans, rawStartMs(record));
    return {
      platform: this.#platform.records.filter(isWanted),
      carrier: this.#carrier.records.filter(isWanted),
    };
  }

  // Pairs that were joined before one of their numbers was erased.
  async #readJoins(spans: readonly Span[]): Promise<void> {
    for (const span of missingSpans(spans, this.#joinSpans)) {
      for (const { platform, carrier, by, isAlone } of await readErasedPairs(
        this.#tx,
        this.#carrierId,
        timeRange(span),
      ))
        for (const record of carrier) this.#joins.set(identity(record), { ...platform, by, isAlone });
    }
    this.#joinSpans = mergeSpans([...this.#joinSpans, ...spans]);
  }

  #joined(record: CarrierFacts): CarrierFacts {
    const joinedTo = this.#joins.get(identity(record));
    return joinedTo ? { ...record, joinedTo } : record;
  }

  // Parts of one call may begin hours apart: if one is read, all are.
  async #withParts(spans: readonly Span[], carrier: readonly CarrierFacts[]): Promise<readonly CarrierFacts[]> {
    if (!carrier.some((record) => record.part)) return carrier;
    const first = Math.min(...spans.map((span) => span.startMs)) - LONGEST_SPLIT_MS;
    const last = Math.max(...spans.map((span) => span.endMs)) + LONGEST_SPLIT_MS;
    for (const span of missingSpans([{ startMs: first, endMs: last }], this.#partSpans)) {
      const tips = await readPartTips(this.#tx, this.#carrierId, timeRange(span));
      for (const part of tips.map(this.#carrierFacts)) this.#parts.set(identity(part), part);
    }
    this.#partSpans = mergeSpans([...this.#partSpans, { startMs: first, endMs: last }]);
    const known = new Set(carrier.map(identity));
    return [...carrier, ...[...this.#parts.values()].filter((part) => !known.has(identity(part)))];
  }
}

class SideRecords<Facts> {
  readonly records: Facts[] = [];
  readonly #kind: RecordKind;
  readonly #factsOf: (tip: StoredTip) => Facts;
  #spans: Span[] = [];

  constructor(kind: RecordKind, factsOf: (tip: StoredTip) => Facts) {
    this.#kind = kind;
    this.#factsOf = factsOf;
  }

  async read(tx: Tx, carrierId: string, spans: readonly Span[]): Promise<void> {
    const missing = missingSpans(spans, this.#spans);
    if (missing.length === 0) return;
    for (const tip of await readTips(tx, this.#kind, carrierId, missing.map(timeRange)))
      this.records.push(this.#factsOf(tip));
    this.#spans = mergeSpans([...this.#spans, ...missing]);
  }
}

/**
 * Times at which a carrier's record may begin: with each offset of its hour taken off (matching
 * decides which is right), and uncorrected, which copies are compared by.
 */
export function placesOf(record: CarrierFacts, votes: CarrierVotes): number[] {
  const rawMs = rawStartMs(record);
  const corrected = votes.offsetsOf(record).map((offsetMs) => rawMs - offsetMs);
  return corrected.includes(rawMs) ? corrected : [...corrected, rawMs];
}

export function isIn(spans: readonly Span[], ms: number): boolean {
  return spans.some((span) => ms >= span.startMs && ms < span.endMs);
}

/** Whether an instant and its margin lie wholly in one span. */
export function isWellIn(spans: readonly Span[], ms: number, marginMs: number): boolean {
  return spans.some((span) => ms - marginMs >= span.startMs && ms + marginMs < span.endMs);
}

function identity(record: { recordDate: string; recordId: string }): string {
  return `${record.recordDate}/${record.recordId}`;
}

function timeRange(span: Span): TimeRange {
  return { start: microsFromMs(span.startMs), end: microsFromMs(span.endMs) };
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
    if (last && span.startMs <= last.endMs) {
      merged[merged.length - 1] = { startMs: last.startMs, endMs: Math.max(last.endMs, span.endMs) };
    } else merged.push(span);
  }
  return merged;
}

export function minuteOf(ms: number): Micros {
  return microsFromMs(Math.floor(ms / 60_000) * 60_000);
}

import type { CarrierFacts, KnownJoin, PlatformFacts } from "../domain/matching/facts.ts";
import { recordText } from "../domain/matching/facts.ts";
import { type Parted, partLonePairs } from "../domain/matching/pairing/lone-pairs.ts";
import { CDR, DURATION } from "../domain/record-kind.ts";
import { DAY_MS, earlier, later } from "../domain/time/instant.ts";
import { type Tx, together } from "../store/database/run.ts";
import { readErasedPairs } from "../store/privacy/erase-results.ts";
import { readPartTips, readTips, type StoredTip, type TimeRange } from "../store/reconciliation/reconcile-input.ts";
import type { Reconciled } from "./carrier.ts";
import type { CarrierVotes } from "./clocks/carrier-votes.ts";
import { withoutErased } from "./erased-facts.ts";
import { carrierFacts, platformFacts } from "./facts-codec.ts";
import { placesOf } from "./far/possible-starts.ts";
import { rawStartMs } from "./result-row.ts";
import { hullOf, isIn, mergeSpans, missingSpans, type Span, timeRange, widenSpan } from "./spans.ts";

/** The records that may begin in some spans, with numbered parts around them. */
export interface Window {
  readonly spans: readonly Span[];
  readonly platform: readonly PlatformFacts[];
  readonly carrier: readonly CarrierFacts[];
}

/** Longest distance of parts of a split call. */
const LONGEST_SPLIT_MS = DAY_MS;

/** A turn's records. Nothing is read twice, however window and offsets change. */
export class TurnRecords {
  readonly #platform: ReadOnce<PlatformFacts>;
  readonly #carrier: ReadOnce<CarrierFacts>;
  readonly #parts: ReadOnce<CarrierFacts>;
  /** Pairs of before an erasure, by the carrier's record. */
  readonly #joins: ReadOnce<readonly [record: string, join: KnownJoin]>;
  /** The last parting: the records that evidence comes from are mostly those that are matched. */
  #parted: (Pick<Window, "platform" | "carrier"> & { readonly parted: Parted }) | undefined;

  constructor(tx: Tx, { carrierId, erased }: Pick<Reconciled, "carrierId" | "erased">) {
    const ofPlatform = (tip: StoredTip) => withoutErased(platformFacts(tip), erased);
    const ofCarrier = (tip: StoredTip) => withoutErased(carrierFacts(tip), erased);
    const readEach = async <T>(ranges: readonly TimeRange[], read: (range: TimeRange) => Promise<readonly T[]>) =>
      (await together(ranges.map(read))).flat();
    this.#platform = new ReadOnce(async (ranges) => (await readTips(tx, CDR, carrierId, ranges)).map(ofPlatform));
    this.#carrier = new ReadOnce(async (ranges) => (await readTips(tx, DURATION, carrierId, ranges)).map(ofCarrier));
    this.#parts = new ReadOnce(async (ranges) =>
      (await readEach(ranges, (range) => readPartTips(tx, carrierId, range))).map(ofCarrier),
    );
    this.#joins = new ReadOnce(async (ranges) =>
      (await readErasedPairs(tx, carrierId, hullOfRanges(ranges))).flatMap(({ platform, carrier, by, isAlone }) =>
        carrier.map((record) => [recordText(record), { ...platform, by, isAlone }] as const),
      ),
    );
  }

  async read(spans: readonly Span[], votes: CarrierVotes): Promise<Window> {
    const raw = [0, ...votes.offsetsInUse()].flatMap((offsetMs) =>
      spans.map(({ startMs, endMs }) => ({ startMs: startMs + offsetMs, endMs: endMs + offsetMs })),
    );
    const platform = (await this.#platform.read(spans)).filter((record) => isIn(spans, rawStartMs(record)));
    const joins = new Map(await this.#joins.read(spans));
    const near = (await this.#carrier.read(mergeSpans(raw))).filter((record) =>
      placesOf(record, votes).some((ms) => isIn(spans, ms)),
    );
    const carrier = await this.#withParts(spans, near);
    const joined = (record: CarrierFacts) => {
      const joinedTo = joins.get(recordText(record));
      return joinedTo ? { ...record, joinedTo } : record;
    };
    return { spans, platform, carrier: joins.size === 0 ? carrier : carrier.map(joined) };
  }

  /** By their own, uncorrected times. */
  async readAsReported(wanted: readonly Span[]): Promise<Pick<Window, "platform" | "carrier">> {
    const spans = mergeSpans(wanted);
    const isWanted = (record: PlatformFacts | CarrierFacts) => isIn(spans, rawStartMs(record));
    const platform = (await this.#platform.read(spans)).filter(isWanted);
    return { platform, carrier: (await this.#carrier.read(spans)).filter(isWanted) };
  }

  /** Parts lone pairs from other records: by their own times, or by their possible places too. */
  part({ platform, carrier }: Pick<Window, "platform" | "carrier">, votes?: CarrierVotes): Parted {
    if (votes !== undefined && votes.offsetsInUse().length > 0) {
      return partLonePairs(platform, carrier, (record) => votes.offsetsOf(record).filter((offsetMs) => offsetMs !== 0));
    }
    const known = this.#parted;
    if (known && areSame(known.platform, platform) && areSame(known.carrier, carrier)) return known.parted;
    const parted = partLonePairs(platform, carrier);
    this.#parted = { platform, carrier, parted };
    return parted;
  }

  // Parts begin hours apart: if one is read, all are.
  async #withParts(spans: readonly Span[], carrier: readonly CarrierFacts[]): Promise<readonly CarrierFacts[]> {
    if (!carrier.some((record) => record.part)) return carrier;
    const parts = await this.#parts.read([widenSpan(hullOf(spans), LONGEST_SPLIT_MS)]);
    const known = new Set(carrier.map(recordText));
    return [...carrier, ...parts.filter((part) => !known.has(recordText(part)))];
  }
}

function hullOfRanges(ranges: readonly TimeRange[]): TimeRange {
  return {
    start: ranges.map(({ start }) => start).reduce(earlier),
    end: ranges.map(({ end }) => end).reduce(later),
  };
}

function areSame<T>(some: readonly T[], others: readonly T[]): boolean {
  return some.length === others.length && some.every((each, index) => each === others[index]);
}

/** Reads of further spans only what no earlier one covers. */
class ReadOnce<T> {
  readonly #found: T[] = [];
  readonly #readRanges: (ranges: readonly TimeRange[]) => Promise<readonly T[]>;
  #spans: Span[] = [];

  constructor(readRanges: (ranges: readonly TimeRange[]) => Promise<readonly T[]>) {
    this.#readRanges = readRanges;
  }

  async read(spans: readonly Span[]): Promise<readonly T[]> {
    const missing = missingSpans(spans, this.#spans);
    if (missing.length === 0) return this.#found;
    for (const item of await this.#readRanges(missing.map(timeRange))) this.#found.push(item);
    this.#spans = mergeSpans([...this.#spans, ...missing]);
    return this.#found;
  }
}

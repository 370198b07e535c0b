import type { BatchObservableResult, Meter } from "@opentelemetry/api";
import { FEED_NAMES, FeedId } from "../domain/feed-id.ts";
import { maskInternational, mayHoldNumber } from "../domain/privacy/masking.ts";
import { type Micros, utcDay } from "../domain/time/instant.ts";
import { asCaller } from "../store/database/callers.ts";
import { type Database, systemTransaction } from "../store/database/database.ts";
import { countPartitionWeeksAhead } from "../store/database/partitions.ts";
import { readClock } from "../store/database/run.ts";
import {
  type ConsumerLag,
  type ObservedFeed,
  type RecordFeed,
  readConsumerLags,
  readIngestTimes,
  readObservedFeeds,
  readOldestPending,
  type SoughtEntry,
} from "../store/feeds/feed-observations.ts";
import { createCounter, createGauge } from "../telemetry/instruments.ts";

/** For how long what was read is told again, milliseconds: several may scrape. */
const BELIEVED_MS = 10_000;
/** Most consumers that are told: those that are the furthest behind. */
const MOST_CONSUMERS = 5_000;
/** How many entries one transaction looks up. */
const LOOKUP = 200;

interface ObserveOptions {
  readonly db: Database;
  /** The region that this process serves; undefined: every carrier's. */
  readonly region: string | undefined;
  readonly onError: (error: unknown) => void;
}

/** What one look found. */
interface Sight {
  readonly now: Micros;
  readonly feeds: readonly (ObservedFeed & { readonly newest: Micros | undefined })[];
  readonly consumers: readonly (ConsumerLag & { readonly oldestPendingTime: Micros | undefined })[];
  readonly weeksAhead: number;
}

/** Tells what the database holds of every carrier, whenever metrics are read, until disposed. */
export function observeStore(meter: Meter, options: ObserveOptions): Disposable {
  const gauges = {
    age: createGauge(meter, "tandem_feed_newest_entry_age_seconds"),
    lagRecords: createGauge(meter, "tandem_consumer_lag_records"),
    lagSeconds: createGauge(meter, "tandem_consumer_lag_seconds"),
    backlog: createGauge(meter, "tandem_reconcile_backlog_records"),
    unreconciled: createGauge(meter, "tandem_reconcile_age_seconds"),
    weeksAhead: createGauge(meter, "tandem_partitions_ahead"),
  };
  const failures = createCounter(meter, "tandem_observation_failures");
  failures.add(0, { what: "store" });
  const look = new Look(options);
  const all = Object.values(gauges);
  const callback = async (observed: BatchObservableResult) => {
    try {
      tell(observed, gauges, await look.read());
    } catch (error) {
      // What cannot be read is missing: an old value would look like a good one.
      failures.add(1, { what: "store" });
      options.onError(error);
    }
  };
  meter.addBatchObservableCallback(callback, all);
  return { [Symbol.dispose]: () => meter.removeBatchObservableCallback(callback, all) };
}

type Gauges = Readonly<
  Record<
    "age" | "lagRecords" | "lagSeconds" | "backlog" | "unreconciled" | "weeksAhead",
    ReturnType<typeof createGauge>
  >
>;

function tell(observed: BatchObservableResult, gauges: Gauges, { now, feeds, consumers, weeksAhead }: Sight): void {
  const waiting = new Map<string, number>();
  for (const { carrierId: carrier, ...row } of feeds) {
    const feed = FEED_NAMES[row.feed];
    if (row.newest !== undefined) observed.observe(gauges.age, secondsSince(row.newest, now), { carrier, feed });
    const backlog = Number(row.headSequence - row.reconciledSequence);
    observed.observe(gauges.backlog, Math.max(0, backlog), { carrier, feed });
    const seconds = backlog > 0 ? secondsSince(row.reconciledThrough, now) : 0;
    waiting.set(carrier, Math.max(seconds, waiting.get(carrier) ?? 0));
  }
  for (const [carrier, seconds] of waiting) observed.observe(gauges.unreconciled, seconds, { carrier });
  for (const { carrierId: carrier, consumer: name, lagRecords, oldestPendingTime } of consumers) {
    const labels = { carrier, consumer: consumerLabel(name) };
    observed.observe(gauges.lagRecords, Number(lagRecords), labels);
    observed.observe(
      gauges.lagSeconds,
      oldestPendingTime === undefined ? 0 : secondsSince(oldestPendingTime, now),
      labels,
    );
  }
  observed.observe(gauges.weeksAhead, weeksAhead);
}

// A carrier chooses the name, and may have put a number into it.
function consumerLabel(name: string): string {
  const masked = maskInternational(name);
  return mayHoldNumber(masked) ? masked.replaceAll(/\d/g, "*") : masked;
}

function secondsSince(time: Micros, now: Micros): number {
  return Math.max(0, Number(now - time) / 1e6);
}

/** Reads the store at most every ten seconds, and once however many ask meanwhile. */
class Look {
  readonly #options: ObserveOptions;
  /** The newest entries that were looked up, by feed and carrier. */
  #known = new Map<string, { readonly epoch: bigint; readonly sequence: bigint; readonly time: Micros }>();
  #sight: Promise<Sight> | undefined;
  #lookedAt = 0;

  constructor(options: ObserveOptions) {
    this.#options = options;
  }

  read(): Promise<Sight> {
    if (this.#sight && performance.now() - this.#lookedAt < BELIEVED_MS) return this.#sight;
    this.#lookedAt = performance.now();
    const sight = asCaller({ kind: "jobs" }, () => this.#look());
    this.#sight = sight;
    // A failure is told once and not believed.
    sight.catch(() => {
      if (this.#sight === sight) this.#sight = undefined;
    });
    return sight;
  }

  async #look(): Promise<Sight> {
    const { db, region } = this.#options;
    const { now, feeds, lags } = await systemTransaction(db, async (tx) => ({
      now: await readClock(tx),
      feeds: await readObservedFeeds(tx, region),
      lags: await readConsumerLags(tx, region, MOST_CONSUMERS),
    }));
    await this.#lookUpMoved(feeds);
    const consumers: Sight["consumers"][number][] = [];
    for (let start = 0; start < lags.length; start += LOOKUP)
      consumers.push(...(await this.#withPending(lags.slice(start, start + LOOKUP))));
    return {
      now,
      feeds: feeds.map((row) => ({ ...row, newest: this.#known.get(keyOf(row))?.time })),
      consumers,
      weeksAhead: await countPartitionWeeksAhead(db, utcDay(now)),
    };
  }

  async #withPending(lags: readonly ConsumerLag[]): Promise<Sight["consumers"]> {
    const behind = lags.filter(({ lagRecords }) => lagRecords > 0n);
    const read = () => systemTransaction(this.#options.db, (tx) => readOldestPending(tx, behind));
    const times = behind.length > 0 ? await read() : [];
    const pending = new Map(behind.map((consumer, index) => [consumer, times[index]]));
    return lags.map((consumer) => ({ ...consumer, oldestPendingTime: pending.get(consumer) }));
  }

  // Only of feeds that have moved since the last look, which are in the newest partitions.
  async #lookUpMoved(feeds: readonly ObservedFeed[]): Promise<void> {
    const kept = new Map(feeds.flatMap((row) => [[keyOf(row), this.#known.get(keyOf(row))] as const]));
    this.#known = new Map([...kept].flatMap(([key, known]) => (known ? [[key, known] as const] : [])));
    for (const feed of [FeedId.CDRS, FeedId.DURATIONS] as const) {
      const moved = feeds.filter((row) => row.feed === feed && row.headSequence > 0n && this.#hasMoved(row));
      for (let start = 0; start < moved.length; start += LOOKUP)
        await this.#lookUp(feed, moved.slice(start, start + LOOKUP));
    }
  }

  #hasMoved(row: ObservedFeed): boolean {
    const known = this.#known.get(keyOf(row));
    return known?.epoch !== row.epoch || known.sequence !== row.headSequence;
  }

  async #lookUp(feed: RecordFeed, moved: readonly ObservedFeed[]): Promise<void> {
    const sought = moved.map((row): SoughtEntry => {
      const known = this.#known.get(keyOf(row));
      const since = known?.epoch === row.epoch ? known.time : 0n;
      return { carrierId: row.carrierId, sequence: row.headSequence, since };
    });
    const times = await systemTransaction(this.#options.db, (tx) => readIngestTimes(tx, feed, sought));
    for (const row of moved) {
      const time = times.get(row.carrierId);
      // Retention may have deleted the newest entry too.
      if (time === undefined) this.#known.delete(keyOf(row));
      else this.#known.set(keyOf(row), { epoch: row.epoch, sequence: row.headSequence, time });
    }
  }
}

function keyOf({ feed, carrierId }: Pick<ObservedFeed, "feed" | "carrierId">): string {
  return `${feed}:${carrierId}`;
}

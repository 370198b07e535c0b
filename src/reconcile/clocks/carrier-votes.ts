import { numberOf } from "../../domain/known-numbers.ts";
import { EVIDENCE_DAYS_MS, offsetOfHour } from "../../domain/matching/clocks/clock-offset.ts";
import { areAlike, type HourSays, voteBucket } from "../../domain/matching/clocks/clock-votes.ts";
import { FAR_REACH_MS } from "../../domain/matching/clocks/far-calls.ts";
import type { CarrierFacts, ClockOffset, KnownRounding } from "../../domain/matching/facts.ts";
import { WINDOW_MS } from "../../domain/matching/pairing/time-window.ts";
import { judgeRounding, roundingVotes } from "../../domain/matching/rounding.ts";
import { PLATFORM_SIDE } from "../../domain/record-kind.ts";
import { DAY_MS, HOUR_MS, microsFromMs, msFromMicros, utcDay } from "../../domain/time/instant.ts";
import { MatchedBy } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import type { CallResultRow } from "../../store/reconciliation/call-result-columns.ts";
import type { ClockVotes, RoundingVotes, Votes } from "../../store/reconciliation/clock-offsets.ts";
import type { PairRow } from "../../store/reconciliation/pair-results.ts";
import { rawStartMs } from "../result-row.ts";

/** Prefix of buckets of calls whose counterpart is far away. */
const FAR = "far:";
/** Prefix of buckets of pairs that an id joined and whose clocks differ more than any window. */
const BY_ID = "id:";

/** A change of the votes in one bucket of a trunk and hour. */
export interface ClockVote {
  readonly trunkId: string;
  readonly hourMs: number;
  readonly bucket: string;
  readonly isFar: boolean;
  readonly by: number;
}

/** What of a result votes on rounding and, if an id joined the pair, on the clock. */
type Voter = Pick<
  CallResultRow,
  | "side"
  | "clockTrunk"
  | "clockTime"
  | "voteMs"
  | "platformMs"
  | "carrierMs"
  | "billedS"
  | "matchedBy"
  | "carrierRecords"
> & { readonly isMerged?: boolean };

/**
 * All votes on a carrier's clock (by trunk and UTC hour) and rounding (by trunk and UTC day). A
 * changed result takes its old votes back and adds new ones, so sums do not depend on the order of
 * arrival. Votes on clocks depend on no offset: records vote as written, and ids join whatever the
 * times.
 */
export class CarrierVotes {
  readonly #clocks = new Map<string, TrunkClock>();
  readonly #rounding = new Map<string, RoundingVotes>();
  readonly #changedDays = new Set<RoundingVotes>();
  /** A cache, by day and trunk. */
  readonly #rules = new Map<string, KnownRounding | undefined>();

  constructor(clock: readonly ClockVotes[], rounding: readonly RoundingVotes[]) {
    for (const { trunkId, hour, votes } of clock) this.#clock(trunkId).votes.set(msFromMicros(hour), { ...votes });
    for (const each of rounding)
      this.#rounding.set(dayKey(each.trunkId, each.day), { ...each, votes: { ...each.votes } });
  }

  /** The same votes, to be counted on. What they come to is not judged again. */
  copy(): CarrierVotes {
    const copy = new CarrierVotes([], [...this.#rounding.values()]);
    for (const [key, counted] of this.#rounding) {
      const copied = copy.#rounding.get(key);
      if (copied !== undefined && this.#changedDays.has(counted)) copy.#changedDays.add(copied);
    }
    for (const [trunkId, clock] of this.#clocks) copy.#clocks.set(trunkId, clock.copy());
    return copy;
  }

  offsetOf(record: CarrierFacts): ClockOffset | undefined {
    return this.#clocks.get(record.trunkId ?? "")?.offsetAt(hourOf(rawStartMs(record)));
  }

  /** Some hours have two. */
  offsetsOf(record: CarrierFacts): number[] {
    return offsetsIn(this.offsetOf(record));
  }

  /** The offsets of a trunk in the hour of an instant, by the carrier's clock. */
  offsetsAt(trunkId: string, ms: number): number[] {
    return offsetsIn(this.#clocks.get(trunkId)?.offsetAt(hourOf(ms)));
  }

  /** The inferred rule of a record's trunk and day. */
  roundingOf(record: CarrierFacts): KnownRounding | undefined {
    const key = dayKey(record.trunkId ?? "", dayOf(rawStartMs(record)));
    if (!this.#rules.has(key)) this.#rules.set(key, judgeRounding(this.#rounding.get(key)?.votes ?? {}));
    return this.#rules.get(key);
  }

  /** Every offset of any hour, except 0. */
  offsetsInUse(): number[] {
    const found = new Set([...this.#clocks.values()].flatMap((clock) => [...clock.offsetsInUse()]));
    return [...found].sort((left, right) => left - right);
  }

  /** Adds (1) or takes back (-1) a result's votes. */
  count(voter: Voter, by: 1 | -1): void {
    const { clockTrunk, clockTime, side, isMerged } = voter;
    if (isMerged || clockTrunk === undefined || clockTime === undefined || side !== PLATFORM_SIDE) return;
    if (isByFarId(voter)) this.#clock(clockTrunk).add(hourOf(msFromMicros(clockTime)), BY_ID + idBucket(voter), by);
    this.#countRounding(clockTrunk, msFromMicros(clockTime), roundingKeys(voter), by);
  }

  /** Adds the votes of a lone pair, whose clocks are right. */
  countLone({ clockTrunk, clockMs, platformMs, carrierMs, billedS }: PairRow): void {
    if (platformMs === undefined) return;
    this.#countRounding(clockTrunk, clockMs, roundingVotes(platformMs, carrierMs, billedS), 1);
  }

  #countRounding(clockTrunk: string, clockMs: number, keys: readonly string[], by: 1 | -1): void {
    if (keys.length === 0) return;
    const day = dayOf(clockMs);
    const key = dayKey(clockTrunk, day);
    const counted = this.#rounding.get(key) ?? { trunkId: clockTrunk, day, votes: {} };
    for (const each of keys) addVotes(counted.votes, each, by);
    this.#rounding.set(key, counted);
    this.#changedDays.add(counted);
    this.#rules.delete(key);
  }

  hear(votes: readonly ClockVote[]): void {
    for (const { trunkId, hourMs, bucket, isFar, by } of votes)
      this.#clock(trunkId).add(hourMs, isFar ? FAR + bucket : bucket, by);
  }

  /** Votes that changed since they were read. */
  changes(): { clock: ClockVotes[]; rounding: RoundingVotes[] } {
    const clock = [...this.#clocks].flatMap(([trunkId, { votes, changed }]) =>
      [...changed].map((hourMs) => ({ trunkId, hour: microsFromMs(hourMs), votes: votes.get(hourMs) ?? {} })),
    );
    return { clock, rounding: [...this.#changedDays] };
  }

  /** What votes come to, by trunk and time: only offsets other than 0, and days with a rule. */
  decisions() {
    const hours = new Map<string, { trunkId: string; hourMs: number; offsets: number[] }>();
    for (const [trunkId, clock] of this.#clocks) {
      for (const hourMs of clock.hours()) {
        const offsets = offsetsIn(clock.offsetAt(hourMs));
        if (offsets.join() !== "0") hours.set(`${hourMs}/${trunkId}`, { trunkId, hourMs, offsets });
      }
    }
    const days = new Map<string, { trunkId: string; day: string; rule: string }>();
    for (const [key, { trunkId, day, votes }] of this.#rounding) {
      const rule = ruleText(judgeRounding(votes));
      if (rule !== "") days.set(key, { trunkId, day, rule });
    }
    return { hours, days };
  }

  #clock(trunkId: string): TrunkClock {
    const known = this.#clocks.get(trunkId);
    if (known !== undefined) return known;
    const added = new TrunkClock();
    this.#clocks.set(trunkId, added);
    return added;
  }
}

/** A rule as a text to compare; empty: none. */
export function ruleText(known: KnownRounding | undefined): string {
  return known ? `${known.rule.incrementS}/${known.rule.minimumS}` : "";
}

/** The votes of a trunk by hour. What they come to is kept until a vote of the days around. */
class TrunkClock {
  readonly votes = new Map<number, Votes>();
  readonly changed = new Set<number>();
  /** Hours whose votes are not those of another copy. */
  readonly #own = new Set<number>();
  readonly #says = new Map<number, HourSays>();
  readonly #offsets = new Map<number, ClockOffset | undefined>();
  readonly #changedDays = new Set<number>();
  #inUse: ReadonlySet<number> | undefined;

  copy(): TrunkClock {
    this.#forgetOffsets();
    const copy = new TrunkClock();
    for (const [hourMs, votes] of this.votes) copy.votes.set(hourMs, votes);
    for (const hourMs of this.changed) copy.changed.add(hourMs);
    for (const [hourMs, says] of this.#says) copy.#says.set(hourMs, says);
    for (const [hourMs, offset] of this.#offsets) copy.#offsets.set(hourMs, offset);
    copy.#inUse = this.#inUse;
    this.#own.clear();
    return copy;
  }

  add(hourMs: number, bucket: string, by: number): void {
    const known = this.votes.get(hourMs) ?? {};
    const votes = this.#own.has(hourMs) ? known : { ...known };
    this.#own.add(hourMs);
    addVotes(votes, bucket, by);
    this.votes.set(hourMs, votes);
    this.changed.add(hourMs);
    this.#says.delete(hourMs);
    this.#changedDays.add(Math.floor(hourMs / DAY_MS) * DAY_MS);
    this.#inUse = undefined;
  }

  offsetAt(hourMs: number): ClockOffset | undefined {
    this.#forgetOffsets();
    if (!this.#offsets.has(hourMs)) {
      this.#offsets.set(
        hourMs,
        offsetOfHour(hourMs, (hour) => this.#saysAt(hour)),
      );
    }
    return this.#offsets.get(hourMs);
  }

  // An offset rests on its hour's day, the day before and the day after.
  #forgetOffsets(): void {
    for (const dayMs of this.#changedDays) {
      for (let hour = dayMs - DAY_MS; hour < dayMs + 2 * DAY_MS; hour += HOUR_MS) this.#offsets.delete(hour);
    }
    this.#changedDays.clear();
  }

  offsetsInUse(): ReadonlySet<number> {
    this.#inUse ??= new Set(
      this.hours()
        .flatMap((hourMs) => offsetsIn(this.offsetAt(hourMs)))
        .filter((offsetMs) => offsetMs !== 0),
    );
    return this.#inUse;
  }

  /** Hours that may have an offset: those within days of votes. */
  hours(): number[] {
    const hours: number[] = [];
    let next = Number.NEGATIVE_INFINITY;
    for (const hourMs of [...this.votes.keys()].sort((left, right) => left - right)) {
      next = Math.max(next, hourMs - EVIDENCE_DAYS_MS);
      for (; next <= hourMs + EVIDENCE_DAYS_MS; next += HOUR_MS) hours.push(next);
    }
    return hours;
  }

  // A call that an id joins may vote by its parties too; it counts once.
  #saysAt(hourMs: number): HourSays | undefined {
    const votes = this.votes.get(hourMs);
    const known = this.#says.get(hourMs);
    if (votes === undefined || known !== undefined) return known;
    const says = { near: {} as Votes, far: {} as Votes };
    for (const [bucket, count] of Object.entries(votes)) {
      const prefix = [FAR, BY_ID].find((each) => bucket.startsWith(each));
      const plain = bucket.slice(prefix?.length);
      if (prefix === undefined) says.near[bucket] = count;
      else says.far[plain] = Math.max(says.far[plain] ?? 0, count);
    }
    this.#says.set(hourMs, says);
    return says;
  }
}

function roundingKeys({ platformMs, carrierMs, billedS }: Voter): string[] {
  return platformMs === undefined ? [] : roundingVotes(Number(platformMs), numberOf(carrierMs), numberOf(billedS));
}

function addVotes(votes: Votes, key: string, by: number): void {
  const count = (votes[key] ?? 0) + by;
  if (count > 0) votes[key] = count;
  else delete votes[key];
}

function offsetsIn(offset: ClockOffset | undefined): number[] {
  const first = offset?.offsetMs ?? 0;
  return offset?.second === undefined ? [first] : [first, offset.second.offsetMs];
}

// An ICID counts. What is left for a Session-ID may depend on times, and so may the parts of a
// call.
function isByFarId({ matchedBy, voteMs, carrierRecords }: Voter): boolean {
  if (voteMs === undefined || carrierRecords.length !== 1) return false;
  if (matchedBy !== MatchedBy.INTERCONNECT_DIALOG && matchedBy !== MatchedBy.ICID) return false;
  const distanceMs = Math.abs(Number(voteMs));
  return distanceMs > WINDOW_MS && distanceMs <= FAR_REACH_MS;
}

function idBucket({ voteMs, platformMs, carrierMs }: Voter): string {
  return voteBucket(Number(voteMs), areAlike(numberOf(platformMs), numberOf(carrierMs)));
}

function hourOf(ms: number): number {
  return Math.floor(ms / HOUR_MS) * HOUR_MS;
}

function dayKey(trunkId: string, day: string): string {
  return `${day}/${trunkId}`;
}

function dayOf(ms: number): string {
  const hourMs = hourOf(ms);
  const known = days.get(hourMs);
  if (known !== undefined) return known;
  if (days.size >= MOST_DAYS) days.clear();
  const day = utcDay(microsFromMs(hourMs));
  days.set(hourMs, day);
  return day;
}

/** A cache: making a day's text costs more than everything else here. */
const days = new Map<number, string>();
const MOST_DAYS = 10_000;

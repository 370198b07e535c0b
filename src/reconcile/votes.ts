import { EVIDENCE_DAYS_MS, offsetOfHour } from "../domain/matching/clocks/clock-offset.ts";
import { areAlike, type HourSays, voteBucket } from "../domain/matching/clocks/clock-votes.ts";
import type { CarrierFacts, ClockOffset, KnownRounding } from "../domain/matching/facts.ts";
import { WINDOW_MS } from "../domain/matching/pairing/time-window.ts";
import { judgeRounding, roundingVotes } from "../domain/matching/rounding.ts";
import { PLATFORM_SIDE } from "../domain/record-kind.ts";
import { type Micros, microsFromMs, msFromMicros, utcDay } from "../domain/time/instant.ts";
import { MatchedBy } from "../gen/tandem/type/v1/discrepancy_pb.js";
import type { ClockVotes, RoundingVotes, Votes } from "../store/reconciliation/clock-offsets.ts";
import { clockHourMs, rawStartMs } from "./result-row.ts";

const HOUR_MS = 3_600_000;

// Hours have few days, and making a day's text is slower than all the rest.
const days = new Map<number, string>();
function dayOf(micros: Micros): string {
  const hour = hourOf(msFromMicros(micros));
  const known = days.get(hour);
  if (known !== undefined) return known;
  if (days.size >= MOST_DAYS) days.clear();
  const day = utcDay(micros);
  days.set(hour, day);
  return day;
}
const MOST_DAYS = 10_000;

function hourOf(ms: number): number {
  return Math.floor(ms / HOUR_MS) * HOUR_MS;
}
/** Before a bucket of votes of calls that lack a counterpart near them. */
const FAR = "far:";
/**
 * Before a bucket of votes of pairs that an id of the dialog or the call joined, and whose clocks
 * are further apart than any window.
 */
const BY_ID = "id:";
/** A zone shift is at most 14 h, and its pairs are a window off it. */
const ZONE_MS = 15 * HOUR_MS;

/** What records say of the clock of a trunk and hour: so many more, or fewer, for a bucket. */
export interface ClockVote {
  readonly trunkId: string;
  readonly hourMs: number;
  readonly bucket: string;
  /** Whether they lack a counterpart near them. */
  readonly isFar: boolean;
  readonly by: number;
}

/**
 * What a result's pair says of the carrier's rounding and, when an id joined it, of its clock; as
 * call_result keeps it.
 */
export interface Voter {
  clockTrunk: string | null;
  clockTime: Micros | null;
  voteMs: bigint | null;
  platformMs: bigint | null;
  carrierMs: bigint | null;
  billedS: bigint | null;
  matchedBy: number;
  carrierRecords: readonly unknown[];
  side: number;
  isMerged?: boolean;
}

/**
 * What is said of a carrier, trunk by trunk: of its clock (by UTC hour) by records, and by pairs
 * that ids joined; of its rounding (by UTC day) by pairs. What changes takes its old votes back and
 * gives new ones, so that the sums never depend on the order in which things came. No vote on a
 * clock rests on an offset: records vote as they stand, and which records an id joins does not
 * depend on times.
 */
export class CarrierVotes {
  readonly #clock = new Map<string, Entry<ClockVotes>>();
  readonly #rounding = new Map<string, Entry<RoundingVotes>>();
  /** By trunk. */
  readonly #trunks = new Map<string, TrunkClock>();
  readonly #rules = new Map<string, KnownRounding | undefined>();

  constructor(clock: readonly ClockVotes[], rounding: readonly RoundingVotes[]) {
    for (const votes of clock) {
      const value = { ...votes, votes: { ...votes.votes } };
      const hourMs = msFromMicros(votes.hour);
      this.#clock.set(clockKey(votes.trunkId, hourMs), { value, isChanged: false });
      this.#trunk(votes.trunkId).hours.add(hourMs);
    }
    for (const votes of rounding) {
      const value = { ...votes, votes: { ...votes.votes } };
      this.#rounding.set(dayKey(votes.trunkId, votes.day), { value, isChanged: false });
    }
  }

  /** The offset that a record's trunk and hour has by now. */
  offsetOf(record: CarrierFacts): ClockOffset | undefined {
    return this.offsetAt(record.trunkId ?? "", clockHourMs(record));
  }

  /** The offset of a trunk and hour. */
  offsetAt(trunkId: string, hourMs: number): ClockOffset | undefined {
    const trunk = this.#trunks.get(trunkId);
    if (trunk === undefined) return undefined;
    if (!trunk.offsets.has(hourMs)) {
      trunk.offsets.set(
        hourMs,
        offsetOfHour(hourMs, (hour) => this.#saysAt(trunk, trunkId, hour)),
      );
    }
    return trunk.offsets.get(hourMs);
  }

  /** Every offset that a record may have: two, where its hour has two. */
  offsetsOf(record: CarrierFacts): number[] {
    return offsetsIn(this.offsetOf(record));
  }

  /** The rounding rule that a record's trunk and day shows by now. */
  roundingOf(record: CarrierFacts): KnownRounding | undefined {
    const key = dayKey(record.trunkId ?? "", dayOf(microsFromMs(rawStartMs(record))));
    if (!this.#rules.has(key)) this.#rules.set(key, judgeRounding(this.#rounding.get(key)?.value.votes ?? {}));
    return this.#rules.get(key);
  }

  /** Every offset other than none, for reading records by their corrected start. */
  offsetsInUse(): number[] {
    const found = new Set<number>();
    for (const trunkId of this.#trunks.keys()) for (const offset of this.#offsetsOfTrunk(trunkId)) found.add(offset);
    return [...found].sort((left, right) => left - right);
  }

  /** Every offset that some trunk has in the hour of an instant by the carrier's clock. */
  offsetsOfHour(ms: number): number[] {
    const trunks = new Set([...this.#clock.values()].map(({ value }) => value.trunkId));
    const found = [...trunks].flatMap((trunkId) => {
      const offset = this.offsetAt(trunkId, hourOf(ms));
      return [offset?.offsetMs ?? 0, offset?.second?.offsetMs ?? 0];
    });
    return [...new Set(found)].filter((offset) => offset !== 0);
  }

  /** Adds (1) or takes back (-1) what a result says. */
  count(voter: Voter, by: 1 | -1): void {
    if (voter.isMerged || voter.clockTrunk === null || voter.clockTime === null || voter.side !== PLATFORM_SIDE) return;
    const hourMs = hourOf(msFromMicros(voter.clockTime));
    if (isByFarId(voter)) this.#addClock(voter.clockTrunk, hourMs, BY_ID + idBucket(voter), by);
    const keys = roundingKeys(voter);
    if (keys.length > 0) this.#addRounding(voter.clockTrunk, dayOf(voter.clockTime), keys, by);
  }

  /** Adds what records say. */
  hear(votes: readonly ClockVote[]): void {
    for (const { trunkId, hourMs, bucket, isFar, by } of votes)
      this.#addClock(trunkId, hourMs, isFar ? FAR + bucket : bucket, by);
  }

  /** What has changed since it was read. */
  changes(): { clock: ClockVotes[]; rounding: RoundingVotes[] } {
    const changed = <T>(entries: Iterable<Entry<T>>) =>
      [...entries].filter((entry) => entry.isChanged).map(({ value }) => value);
    return { clock: changed(this.#clock.values()), rounding: changed(this.#rounding.values()) };
  }

  /** What is decided by now, as texts to compare: by trunk and hour, and by trunk and day. */
  decisions(): { offsets: Map<string, string>; rules: Map<string, string> } {
    const offsets = new Map<string, string>();
    for (const trunkId of this.#trunks.keys()) {
      for (const hourMs of this.#hoursOf(trunkId)) {
        const told = offsetsIn(this.offsetAt(trunkId, hourMs)).join("/");
        if (told !== "0") offsets.set(clockKey(trunkId, hourMs), told);
      }
    }
    const rules = new Map<string, string>();
    for (const [key, { value }] of this.#rounding) {
      const rule = judgeRounding(value.votes)?.rule;
      rules.set(key, rule ? `${rule.incrementS}/${rule.minimumS}` : "");
    }
    return { offsets, rules };
  }

  // A call that an id joins to its counterpart far off may show itself by its parties as well: it
  // counts once.
  #saysAt(trunk: TrunkClock, trunkId: string, hourMs: number): HourSays | undefined {
    if (!trunk.hours.has(hourMs)) return undefined;
    const known = trunk.says.get(hourMs);
    if (known !== undefined) return known;
    const votes = this.#clock.get(clockKey(trunkId, hourMs))?.value.votes;
    if (votes === undefined) return undefined;
    const near: Votes = {};
    const far: Votes = {};
    for (const [bucket, count] of Object.entries(votes)) {
      const prefix = [FAR, BY_ID].find((each) => bucket.startsWith(each));
      if (prefix === undefined) near[bucket] = count;
      else {
        const plain = bucket.slice(prefix.length);
        far[plain] = Math.max(far[plain] ?? 0, count);
      }
    }
    trunk.says.set(hourMs, { near, far });
    return { near, far };
  }

  // Every hour of which the offset may be another for what is known: those within days of hours
  // that say something.
  #hoursOf(trunkId: string): number[] {
    const hours: number[] = [];
    let next = Number.NEGATIVE_INFINITY;
    for (const hourMs of [...this.#trunk(trunkId).hours].sort((left, right) => left - right)) {
      next = Math.max(next, hourMs - EVIDENCE_DAYS_MS);
      for (; next <= hourMs + EVIDENCE_DAYS_MS; next += HOUR_MS) hours.push(next);
    }
    return hours;
  }

  #offsetsOfTrunk(trunkId: string): ReadonlySet<number> {
    const trunk = this.#trunk(trunkId);
    trunk.inUse ??= new Set(
      this.#hoursOf(trunkId)
        .flatMap((hourMs) => offsetsIn(this.offsetAt(trunkId, hourMs)))
        .filter((offset) => offset !== 0),
    );
    return trunk.inUse;
  }

  #trunk(trunkId: string): TrunkClock {
    const known = this.#trunks.get(trunkId);
    if (known !== undefined) return known;
    const added = { hours: new Set<number>(), says: new Map(), offsets: new Map(), inUse: undefined };
    this.#trunks.set(trunkId, added);
    return added;
  }

  #clockEntry(trunkId: string, hourMs: number): Entry<ClockVotes> {
    const key = clockKey(trunkId, hourMs);
    const entry = this.#clock.get(key) ?? {
      value: { trunkId, hour: microsFromMs(hourMs), votes: {} },
      isChanged: true,
    };
    entry.isChanged = true;
    this.#clock.set(key, entry);
    return entry;
  }

  #addClock(trunkId: string, hourMs: number, bucket: string, by: number): void {
    add(this.#clockEntry(trunkId, hourMs).value.votes, bucket, by);
    const trunk = this.#trunk(trunkId);
    trunk.hours.add(hourMs);
    trunk.says.delete(hourMs);
    // Hours of three days rest on it.
    trunk.offsets.clear();
    trunk.inUse = undefined;
  }

  #addRounding(trunkId: string, day: string, keys: readonly string[], by: number): void {
    const key = dayKey(trunkId, day);
    const entry = this.#rounding.get(key) ?? { value: { trunkId, day, votes: {} }, isChanged: true };
    entry.isChanged = true;
    for (const each of keys) add(entry.value.votes, each, by);
    this.#rounding.set(key, entry);
    this.#rules.delete(key);
  }
}

function roundingKeys({ platformMs, carrierMs, billedS }: Voter): string[] {
  if (platformMs === null) return [];
  const numberOf = (value: bigint | null) => (value === null ? undefined : Number(value));
  return roundingVotes(Number(platformMs), numberOf(carrierMs), numberOf(billedS));
}

interface TrunkClock {
  /** That say anything. */
  readonly hours: Set<number>;
  /** What they say, as far as it was asked for. */
  readonly says: Map<number, HourSays>;
  /** By hour, as far as they were asked for. */
  readonly offsets: Map<number, ClockOffset | undefined>;
  inUse: ReadonlySet<number> | undefined;
}

interface Entry<T> {
  value: T;
  isChanged: boolean;
}

function add(votes: Votes, key: string, by: number): void {
  const count = (votes[key] ?? 0) + by;
  if (count > 0) votes[key] = count;
  else delete votes[key];
}

function offsetsIn(offset: ClockOffset | undefined): number[] {
  const first = offset?.offsetMs ?? 0;
  return offset?.second === undefined ? [first] : [first, offset.second.offsetMs];
}

// By an ICID too, but not by a Session-ID: which records are left for that may depend on times, as
// it does which parts make one call.
function isByFarId({ matchedBy, voteMs, carrierRecords }: Voter): boolean {
  if (voteMs === null || carrierRecords.length !== 1) return false;
  if (matchedBy !== MatchedBy.INTERCONNECT_DIALOG && matchedBy !== MatchedBy.ICID) return false;
  const distanceMs = Math.abs(Number(voteMs));
  return distanceMs > WINDOW_MS && distanceMs <= ZONE_MS;
}

function idBucket({ voteMs, platformMs, carrierMs }: Voter): string {
  const lengths = [platformMs, carrierMs].map((ms) => (ms === null ? undefined : Number(ms)));
  return voteBucket(Number(voteMs), areAlike(lengths[0], lengths[1]));
}

function clockKey(trunkId: string, hourMs: number): string {
  return `${hourMs}/${trunkId}`;
}

function dayKey(trunkId: string, day: string): string {
  return `${day}/${trunkId}`;
}

/** The trunk and hour that a key of `decisions().offsets` names. */
export function parseClockKey(key: string): { trunkId: string; hourMs: number } {
  const slash = key.indexOf("/");
  return { hourMs: Number(key.slice(0, slash)), trunkId: key.slice(slash + 1) };
}

/** The trunk and day that a key of `decisions().rules` names. */
export function parseDayKey(key: string): { trunkId: string; day: string } {
  const slash = key.indexOf("/");
  return { day: key.slice(0, slash), trunkId: key.slice(slash + 1) };
}

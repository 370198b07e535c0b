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

// A cache: making a day's text costs more than everything else here.
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
/** Prefix of buckets with votes of calls whose counterpart is far away. */
const FAR = "far:";
/**
 * Prefix of buckets with votes of pairs that an id joined and whose clocks are further apart than
 * any window.
 */
const BY_ID = "id:";
/** A zone shift of at most 14 h, and the window. */
const ZONE_MS = 15 * HOUR_MS;

/** A change of the votes for one bucket of a trunk and hour. */
export interface ClockVote {
  readonly trunkId: string;
  readonly hourMs: number;
  readonly bucket: string;
  /** Whether the counterpart is far away. */
  readonly isFar: boolean;
  readonly by: number;
}

/** The columns of a result that vote on rounding and, if an id joined the pair, on the clock. */
export interface Voter {
  clockTrunk: string | undefined;
  clockTime: Micros | undefined;
  voteMs: bigint | undefined;
  platformMs: bigint | undefined;
  carrierMs: bigint | undefined;
  billedS: bigint | undefined;
  matchedBy: number;
  carrierRecords: readonly unknown[];
  side: number;
  isMerged?: boolean;
}

/**
 * All votes on a carrier's clock (by trunk and UTC hour) and rounding (by trunk and UTC day). A
 * result that changes takes back its old votes and adds new ones, so sums do not depend on the
 * order of arrival. Votes on clocks do not depend on offsets: records vote as written, and ids join
 * without regard to times.
 */
export class CarrierVotes {
  readonly #clock = new Map<string, Entry<ClockVotes>>();
  readonly #rounding = new Map<string, Entry<RoundingVotes>>();
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

  /** The offset of a record's trunk and hour. */
  offsetOf(record: CarrierFacts): ClockOffset | undefined {
    return this.offsetAt(record.trunkId ?? "", clockHourMs(record));
  }

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

  /** Every offset that applies to a record; some hours have two. */
  offsetsOf(record: CarrierFacts): number[] {
    return offsetsIn(this.offsetOf(record));
  }

  /** The rounding rule inferred for a record's trunk and day. */
  roundingOf(record: CarrierFacts): KnownRounding | undefined {
    const key = dayKey(record.trunkId ?? "", dayOf(microsFromMs(rawStartMs(record))));
    if (!this.#rules.has(key)) this.#rules.set(key, judgeRounding(this.#rounding.get(key)?.value.votes ?? {}));
    return this.#rules.get(key);
  }

  /** Every offset that some hour has, except 0. */
  offsetsInUse(): number[] {
    const found = new Set<number>();
    for (const trunkId of this.#trunks.keys()) for (const offset of this.#offsetsOfTrunk(trunkId)) found.add(offset);
    return [...found].sort((left, right) => left - right);
  }

  /** Every offset of any trunk in an hour by the carrier's clock. */
  offsetsOfHour(ms: number): number[] {
    const trunks = new Set([...this.#clock.values()].map(({ value }) => value.trunkId));
    const found = [...trunks].flatMap((trunkId) => {
      const offset = this.offsetAt(trunkId, hourOf(ms));
      return [offset?.offsetMs ?? 0, offset?.second?.offsetMs ?? 0];
    });
    return [...new Set(found)].filter((offset) => offset !== 0);
  }

  /** Adds (1) or takes back (-1) a result's votes. */
  count(voter: Voter, by: 1 | -1): void {
    if (
      voter.isMerged ||
      voter.clockTrunk === undefined ||
      voter.clockTime === undefined ||
      voter.side !== PLATFORM_SIDE
    )
      return;
    const hourMs = hourOf(msFromMicros(voter.clockTime));
    if (isByFarId(voter)) this.#addClock(voter.clockTrunk, hourMs, BY_ID + idBucket(voter), by);
    const keys = roundingKeys(voter);
    if (keys.length > 0) this.#addRounding(voter.clockTrunk, dayOf(voter.clockTime), keys, by);
  }

  hear(votes: readonly ClockVote[]): void {
    for (const { trunkId, hourMs, bucket, isFar, by } of votes)
      this.#addClock(trunkId, hourMs, isFar ? FAR + bucket : bucket, by);
  }

  /** Votes that changed since they were read. */
  changes(): { clock: ClockVotes[]; rounding: RoundingVotes[] } {
    const changed = <T>(entries: Iterable<Entry<T>>) =>
      [...entries].filter((entry) => entry.isChanged).map(({ value }) => value);
    return { clock: changed(this.#clock.values()), rounding: changed(this.#rounding.values()) };
  }

  /** All offsets and rules, as texts to compare. */
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

  // A call that an id joins to a far counterpart may also vote by its parties; it counts once.
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

  // Hours whose offset may change: those within days of hours with votes.
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
    // Offsets of three days rest on it.
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
  if (platformMs === undefined) return [];
  const numberOf = (value: bigint | undefined) => (value === undefined ? undefined : Number(value));
  return roundingVotes(Number(platformMs), numberOf(carrierMs), numberOf(billedS));
}

interface TrunkClock {
  /** Hours with votes. */
  readonly hours: Set<number>;
  /** A cache, by hour. */
  readonly says: Map<number, HourSays>;
  /** A cache, by hour. */
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

// An ICID counts, a Session-ID does not: which records are left for it may depend on times, and so
// may which parts make a call.
function isByFarId({ matchedBy, voteMs, carrierRecords }: Voter): boolean {
  if (voteMs === undefined || carrierRecords.length !== 1) return false;
  if (matchedBy !== MatchedBy.INTERCONNECT_DIALOG && matchedBy !== MatchedBy.ICID) return false;
  const distanceMs = Math.abs(Number(voteMs));
  return distanceMs > WINDOW_MS && distanceMs <= ZONE_MS;
}

function idBucket({ voteMs, platformMs, carrierMs }: Voter): string {
  const lengths = [platformMs, carrierMs].map((ms) => (ms === undefined ? undefined : Number(ms)));
  return voteBucket(Number(voteMs), areAlike(lengths[0], lengths[1]));
}

function clockKey(trunkId: string, hourMs: number): string {
  return `${hourMs}/${trunkId}`;
}

function dayKey(trunkId: string, day: string): string {
  return `${day}/${trunkId}`;
}

/** Reverses a key of `decisions().offsets`. */
export function parseClockKey(key: string): { trunkId: string; hourMs: number } {
  const slash = key.indexOf("/");
  return { hourMs: Number(key.slice(0, slash)), trunkId: key.slice(slash + 1) };
}

/** Reverses a key of `decisions().rules`. */
export function parseDayKey(key: string): { trunkId: string; day: string } {
  const slash = key.indexOf("/");
  return { day: key.slice(0, slash), trunkId: key.slice(slash + 1) };
}

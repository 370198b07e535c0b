import { type Micros, microsFromMs, msFromMicros, utcDay } from "../domain/instant.ts";
import { effectiveOffset, judgeVotes, voteBucket } from "../domain/matching/clock-offset.ts";
import type { CarrierFacts, ClockOffset, KnownRounding } from "../domain/matching/facts.ts";
import { judgeRounding, roundingVotes } from "../domain/matching/rounding.ts";
import type { ClockVotes, RoundingVotes, Votes } from "../store/clock-offsets.ts";
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
/** Before a bucket of votes that were found far off, among calls without a counterpart. They are added until the hour's own pairs are enough. */
const FAR = "far:";

/** What a result's pair says of the carrier's clock and rounding; as call_result keeps it. */
export interface Voter {
  clockTrunk: string | null;
  clockTime: Micros | null;
  voteMs: bigint | null;
  platformMs: bigint | null;
  carrierMs: bigint | null;
  billedS: bigint | null;
  side: number;
  isMerged?: boolean;
}

/**
 * What the pairs of a carrier say, trunk by trunk, of its clock (by UTC hour) and of its rounding (by UTC day). Results that change take their old votes
 * back and give new ones, so that the sums never depend on the order in which things came.
 */
export class CarrierVotes {
  readonly #clock = new Map<string, Entry<ClockVotes>>();
  readonly #rounding = new Map<string, Entry<RoundingVotes>>();
  readonly #offsets = new Map<string, ClockOffset | undefined>();
  readonly #rules = new Map<string, KnownRounding | undefined>();

  constructor(clock: readonly ClockVotes[], rounding: readonly RoundingVotes[]) {
    for (const votes of clock) {
      const value = { ...votes, votes: { ...votes.votes } };
      this.#clock.set(clockKey(votes.trunkId, msFromMicros(votes.hour)), { value, isChanged: false });
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
    const key = clockKey(trunkId, hourMs);
    if (!this.#offsets.has(key)) {
      const own = (hour: number) => this.#ownOffset(trunkId, hour);
      const neighbours = [own(hourMs - HOUR_MS), own(hourMs + HOUR_MS)] as const;
      this.#offsets.set(key, effectiveOffset(own(hourMs), ...neighbours, this.#allVotes(trunkId, hourMs)));
    }
    return this.#offsets.get(key);
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
    for (const { value } of this.#clock.values()) {
      for (const hour of [-HOUR_MS, 0, HOUR_MS]) {
        const offset = this.offsetAt(value.trunkId, msFromMicros(value.hour) + hour)?.offsetMs ?? 0;
        if (offset !== 0) found.add(offset);
      }
    }
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
    if (voter.isMerged || voter.clockTrunk === null || voter.clockTime === null || voter.side !== 1) return;
    const hourMs = hourOf(msFromMicros(voter.clockTime));
    if (voter.voteMs !== null) this.#addClock(voter.clockTrunk, hourMs, voteBucket(Number(voter.voteMs)), by);
    const keys = roundingKeys(voter);
    if (keys.length > 0) this.#addRounding(voter.clockTrunk, dayOf(voter.clockTime), keys, by);
  }

  /** Sets what was found far off for a trunk and hour, unless more was found before. */
  setFar(trunkId: string, hourMs: number, votes: Votes): void {
    const entry = this.#clockEntry(trunkId, hourMs);
    const near = Object.entries(entry.value.votes).filter(([bucket]) => !bucket.startsWith(FAR));
    const before = Object.entries(entry.value.votes).reduce(
      (sum, [bucket, count]) => sum + (bucket.startsWith(FAR) ? count : 0),
      0,
    );
    if (Object.values(votes).reduce((sum, count) => sum + count, 0) < before) return;
    const far = Object.entries(votes).map(([bucket, count]) => [FAR + bucket, count] as const);
    entry.value.votes = Object.fromEntries([...near, ...far]);
    this.#forgetOffsets(trunkId, hourMs);
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
    for (const { value } of this.#clock.values()) {
      for (const hour of [-HOUR_MS, 0, HOUR_MS]) {
        const hourMs = msFromMicros(value.hour) + hour;
        const offset = this.offsetAt(value.trunkId, hourMs);
        offsets.set(clockKey(value.trunkId, hourMs), String(offset?.offsetMs ?? 0));
      }
    }
    const rules = new Map<string, string>();
    for (const [key, { value }] of this.#rounding) {
      const rule = judgeRounding(value.votes)?.rule;
      rules.set(key, rule ? `${rule.incrementS}/${rule.minimumS}` : "");
    }
    return { offsets, rules };
  }

  #ownOffset(trunkId: string, hourMs: number): ClockOffset | undefined {
    const votes = this.#clock.get(clockKey(trunkId, hourMs))?.value.votes;
    if (!votes) return undefined;
    const near = Object.entries(votes).filter(([bucket]) => !bucket.startsWith(FAR));
    return judgeVotes(Object.fromEntries(near)) ?? judgeVotes(this.#allVotes(trunkId, hourMs));
  }

  // Of pairs, and of calls far off.
  #allVotes(trunkId: string, hourMs: number): Votes {
    const all: Votes = {};
    for (const [bucket, count] of Object.entries(this.#clock.get(clockKey(trunkId, hourMs))?.value.votes ?? {}))
      add(all, bucket.startsWith(FAR) ? bucket.slice(FAR.length) : bucket, count);
    return all;
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
    this.#forgetOffsets(trunkId, hourMs);
  }

  #forgetOffsets(trunkId: string, hourMs: number): void {
    for (const hour of [-HOUR_MS, 0, HOUR_MS]) this.#offsets.delete(clockKey(trunkId, hourMs + hour));
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

interface Entry<T> {
  value: T;
  isChanged: boolean;
}

function add(votes: Votes, key: string, by: number): void {
  const count = (votes[key] ?? 0) + by;
  if (count > 0) votes[key] = count;
  else delete votes[key];
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

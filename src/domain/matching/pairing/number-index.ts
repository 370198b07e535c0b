import type { CallUnit } from "../call-unit.ts";
import { areSameParties, type CallNumbers, type NumberKey } from "../number-keys.ts";
import { PartyTimes, type TimeRange, type Times } from "./party-times.ts";

/**
 * With more times of the same parties in its window, a record is in a crowd and is compared only
 * with those close in time.
 */
export const MOST_TIMES = 400;

/**
 * Units by the last three digits of their numbers and by time. All spellings end alike, so no pair
 * is missed; false hits are refused.
 */
export class NumberIndex {
  readonly #units: readonly CallUnit[];
  readonly #buckets = new Map<number, PartyTimes>();
  readonly #seen: Int32Array;
  #round = 0;

  /** Indexes units, by start, for these seekers. */
  constructor(units: readonly CallUnit[], seekers: readonly CallUnit[]) {
    this.#units = units;
    this.#seen = new Int32Array(units.length);
    const hidden = hiddenIn(seekers);
    // Filtering pays only for few seekers.
    const wanted = seekers.length * 4 < units.length ? new Set(seekers.flatMap(soughtKeys)) : undefined;
    for (let index = 0; index < units.length; index++) {
      const unit = units[index];
      if (unit === undefined) continue;
      for (const key of keysOf(unit, hidden)) if (wanted?.has(key) !== false) this.#add(key, unit, index);
    }
  }

  /**
   * Visits each unit of the same parties and direction with an invite or answer in a range once,
   * until `visit` returns `false`.
   */
  visit(seeker: CallUnit, ranges: readonly TimeRange[], visit: (index: number) => unknown): void {
    this.#round++;
    for (const bucket of this.#bucketsOf(seeker)) {
      for (const times of bucket.ofParties(seeker.numbers, this.#units)) {
        for (const range of ranges) if (!this.#visitTimes(times, range, seeker, visit)) return;
      }
    }
  }

  /**
   * Whether ranges, which do not overlap, hold more than `most` times of the same parties and
   * direction.
   */
  hasMore(seeker: CallUnit, ranges: readonly TimeRange[], most: number): boolean {
    const buckets = this.#bucketsOf(seeker);
    if (buckets.reduce((sum, { size }) => sum + size, 0) <= most) return false;
    let count = 0;
    for (const bucket of buckets) {
      for (const times of bucket.ofParties(seeker.numbers, this.#units)) {
        for (const range of ranges) count += this.#countTimes(times, range, seeker);
        if (count > most) return true;
      }
    }
    return false;
  }

  #bucketsOf(seeker: CallUnit): PartyTimes[] {
    const buckets = soughtKeys(seeker).flatMap((key) => this.#buckets.get(key) ?? []);
    return buckets.length > 1 ? [...new Set(buckets)] : buckets;
  }

  #add(key: number, { inviteMs, answerMs }: CallUnit, index: number): void {
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      bucket = new PartyTimes();
      this.#buckets.set(key, bucket);
    }
    if (inviteMs !== undefined) bucket.add(inviteMs, index);
    if (answerMs !== undefined && answerMs !== inviteMs) bucket.add(answerMs, index);
  }

  #visitTimes(times: Times, range: TimeRange, seeker: CallUnit, visit: (index: number) => unknown): boolean {
    return times.each(range, (index) => {
      if (this.#seen[index] === this.#round) return true;
      this.#seen[index] = this.#round;
      return times.areSame || this.#isOfParties(index, seeker) ? visit(index) : true;
    });
  }

  #countTimes(times: Times, range: TimeRange, seeker: CallUnit): number {
    if (times.areSame) return times.countWithin(range);
    let count = 0;
    times.each(range, (index) => {
      if (this.#isOfParties(index, seeker)) count++;
    });
    return count;
  }

  #isOfParties(index: number, { numbers }: CallUnit): boolean {
    const unit = this.#units[index];
    return unit !== undefined && areSameParties(numbers, unit.numbers);
  }
}

/** The ranges around a start and answer, merged if they meet. */
export function rangesAround({ startMs, answerMs = startMs }: CallUnit, reachMs: number): TimeRange[] {
  const [firstMs, lastMs] = startMs <= answerMs ? [startMs, answerMs] : [answerMs, startMs];
  if (lastMs - firstMs <= 2 * reachMs) return [{ fromMs: firstMs - reachMs, toMs: lastMs + reachMs }];
  return [firstMs, lastMs].map((ms) => ({ fromMs: ms - reachMs, toMs: ms + reachMs }));
}

export function isSameCallParty(a: CallUnit, b: CallUnit): boolean {
  return a.facts.direction === b.facts.direction && areSameParties(a.numbers, b.numbers);
}

interface Hidden {
  readonly hasCallers: boolean;
  readonly hasCalled: boolean;
}

type Tail = Pick<NumberKey, "tail">;

/** A number that a record hides. */
export const HIDDEN = 1_000;
/** Any number, for seekers that hide theirs. */
const ANY: Tail = { tail: 1_001 };
const ANYONE: readonly Tail[] = [ANY];
const SHOWS_NOTHING: readonly Tail[] = [{ tail: HIDDEN }];

export function keyOf(direction: number, called: number, caller: number): number {
  return (called * 1_024 + caller) * 4 + direction;
}

function hiddenIn(seekers: Iterable<CallUnit>): Hidden {
  let hasCallers = false;
  let hasCalled = false;
  for (const { numbers } of seekers) {
    hasCallers ||= numbers.callers.length === 0;
    hasCalled ||= numbers.called.length === 0;
  }
  return { hasCallers, hasCalled };
}

function keysOf({ numbers, facts }: CallUnit, hidden: Hidden): Iterable<number> {
  if (isPlain(numbers) && !hidden.hasCallers && !hidden.hasCalled) {
    return [keyOf(facts.direction, numbers.called[0]?.tail ?? HIDDEN, numbers.callers[0]?.tail ?? HIDDEN)];
  }
  const callers: Tail[] = numbers.callers.length === 0 ? [...SHOWS_NOTHING] : [...numbers.callers];
  const called: Tail[] = numbers.called.length === 0 ? [...SHOWS_NOTHING] : [...numbers.called];
  if (hidden.hasCallers) callers.push(ANY);
  if (hidden.hasCalled) called.push(ANY);
  return new Set(called.flatMap((target) => callers.map((caller) => keyOf(facts.direction, target.tail, caller.tail))));
}

function isPlain({ callers, called }: CallNumbers): boolean {
  return callers.length <= 1 && called.length <= 1;
}

/** The keys of all units that a seeker may be looking for. */
function soughtKeys({ numbers, facts: { direction } }: CallUnit): number[] {
  const keys: number[] = [];
  for (const caller of numbers.callers.length === 0 ? ANYONE : numbers.callers) {
    for (const target of numbers.called.length === 0 ? ANYONE : numbers.called) {
      keys.push(keyOf(direction, target.tail, caller.tail));
      if (caller !== ANY) keys.push(keyOf(direction, target.tail, HIDDEN));
      if (target !== ANY) keys.push(keyOf(direction, HIDDEN, caller.tail));
    }
  }
  return keys;
}

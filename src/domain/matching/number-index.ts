import type { CallUnit } from "./call-unit.ts";
import { areSameParties, type CallNumbers, type NumberKey } from "./number-keys.ts";

/**
 * Units by the last three digits of their numbers and by time, to find those of the same parties near an instant without looking at the others. Every
 * spelling of a number ends alike, so no pair is missed; what only ends alike is refused by its numbers.
 */
export class NumberIndex {
  readonly #units: readonly CallUnit[];
  readonly #buckets = new Map<number, Bucket>();
  readonly #seen: Int32Array;
  #round = 0;

  /** Indexes units, in the order of their start, for being found by these seekers; what none of them looks for is left out. */
  constructor(units: readonly CallUnit[], seekers: readonly CallUnit[]) {
    this.#units = units;
    this.#seen = new Int32Array(units.length);
    const hidden = hiddenIn(seekers);
    // Where most are looked for, asking costs more than it saves.
    const wanted = seekers.length * 4 < units.length ? wantedBy(seekers) : undefined;
    for (let index = 0; index < units.length; index++) {
      const unit = units[index];
      if (unit === undefined) continue;
      for (const key of keysOf(unit, hidden)) if (wanted?.has(key) !== false) this.#add(key, unit, index);
    }
  }

  /** Calls `visit` once with the position of each unit of the same parties and direction that has an invite or an answer in [fromMs, toMs]. */
  visit(seeker: CallUnit, fromMs: number, toMs: number, visit: (index: number) => void): void {
    this.#round++;
    const { numbers, facts } = seeker;
    const callers = numbers.callers.length === 0 ? ANYONE : numbers.callers;
    const called = numbers.called.length === 0 ? ANYONE : numbers.called;
    const range = [fromMs, toMs] as const;
    for (const caller of callers) {
      for (const target of called) {
        this.#visitBucket(keyOf(facts.direction, target.tail, caller.tail), seeker, range, visit);
        if (caller !== ANY) this.#visitBucket(keyOf(facts.direction, target.tail, HIDDEN), seeker, range, visit);
        if (target !== ANY) this.#visitBucket(keyOf(facts.direction, HIDDEN, caller.tail), seeker, range, visit);
      }
    }
  }

  // An unanswered call of the other side is compared by the invite, an answered one by the answer: a unit is found by both.
  #add(key: number, { inviteMs, answerMs }: CallUnit, index: number): void {
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      bucket = { timesMs: [], indexes: [] };
      this.#buckets.set(key, bucket);
    }
    if (inviteMs !== undefined) insert(bucket, inviteMs, index);
    if (answerMs !== undefined && answerMs !== inviteMs) insert(bucket, answerMs, index);
  }

  #visitBucket(key: number, seeker: CallUnit, range: readonly [number, number], visit: (index: number) => void): void {
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) return;
    const [fromMs, toMs] = range;
    const { timesMs, indexes } = bucket;
    for (let at = firstAtOrAfter(timesMs, fromMs); at < timesMs.length && (timesMs[at] ?? 0) <= toMs; at++) {
      const index = indexes[at] ?? 0;
      const unit = this.#units[index];
      if (unit === undefined || this.#seen[index] === this.#round) continue;
      this.#seen[index] = this.#round;
      if (isSameCallParty(seeker, unit)) visit(index);
    }
  }
}

/** Whether two units have the same direction and parties. */
export function isSameCallParty(a: CallUnit, b: CallUnit): boolean {
  return a.facts.direction === b.facts.direction && areSameParties(a.numbers, b.numbers);
}

interface Bucket {
  /** Ascending. */
  readonly timesMs: number[];
  readonly indexes: number[];
}

interface Hidden {
  readonly hasCallers: boolean;
  readonly hasCalled: boolean;
}

type Tail = Pick<NumberKey, "tail">;

/** In the place of a tail: the record does not show the number. */
const HIDDEN = 1_000;
/** In the place of a tail: whatever the record shows, for seekers that do not show theirs. */
const ANY: Tail = { tail: 1_001 };
const ANYONE: readonly Tail[] = [ANY];
const SHOWS_NOTHING: readonly Tail[] = [{ tail: HIDDEN }];

function keyOf(direction: number, called: number, caller: number): number {
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

// Units come in the order of their start, so that a time is at most a ring time away from its place.
function insert({ timesMs, indexes }: Bucket, timeMs: number, index: number): void {
  let at = timesMs.length;
  timesMs.push(timeMs);
  indexes.push(index);
  for (; at > 0 && (timesMs[at - 1] ?? 0) > timeMs; at--) {
    timesMs[at] = timesMs[at - 1] ?? 0;
    indexes[at] = indexes[at - 1] ?? 0;
  }
  timesMs[at] = timeMs;
  indexes[at] = index;
}

function wantedBy(seekers: readonly CallUnit[]): Set<number> {
  const wanted = new Set<number>();
  for (const { numbers, facts } of seekers) {
    for (const caller of numbers.callers.length === 0 ? ANYONE : numbers.callers) {
      for (const target of numbers.called.length === 0 ? ANYONE : numbers.called) {
        wanted.add(keyOf(facts.direction, target.tail, caller.tail));
        wanted.add(keyOf(facts.direction, target.tail, HIDDEN));
        wanted.add(keyOf(facts.direction, HIDDEN, caller.tail));
      }
    }
  }
  return wanted;
}

function firstAtOrAfter(timesMs: readonly number[], ms: number): number {
  let low = 0;
  let high = timesMs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((timesMs[middle] ?? 0) < ms) low = middle + 1;
    else high = middle;
  }
  return low;
}

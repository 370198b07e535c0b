import type { CallUnit } from "../call-unit.ts";
import { areSameParties, type CallNumbers, type NumberKey } from "../number-keys.ts";

/** Both ends included, milliseconds. */
export interface TimeRange {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Up to so many times are scanned; more are grouped by parties. */
const FEW = 64;

/** Invites and answers of units with like endings. */
export class PartyTimes {
  #all = new Times();
  #groups: readonly Group[] | undefined;

  get size(): number {
    return this.#all.size;
  }

  add(timeMs: number, index: number): void {
    this.#all.add(timeMs, index);
    this.#groups = undefined;
  }

  /** Times of some parties; others may be among them unless `areSame`. */
  ofParties(numbers: CallNumbers, units: readonly CallUnit[]): readonly Times[] {
    if (this.size <= FEW) return [this.#all];
    this.#groups ??= groupsOf(this.#all, units);
    return this.#groups.flatMap((group) => (areSameParties(numbers, group.numbers) ? [group.times] : []));
  }
}

export class Times {
  readonly areSame: boolean;
  #timesMs: number[] = [];
  #indexes: number[] = [];
  #isSorted = true;

  constructor({ areSame = false } = {}) {
    this.areSame = areSame;
  }

  get size(): number {
    return this.#timesMs.length;
  }

  eachTime(visit: (timeMs: number, index: number) => void): void {
    for (const [at, index] of this.#indexes.entries()) visit(this.#timesMs[at] ?? 0, index);
  }

  add(timeMs: number, index: number): void {
    if (timeMs < (this.#timesMs.at(-1) ?? timeMs)) this.#isSorted = false;
    this.#timesMs.push(timeMs);
    this.#indexes.push(index);
  }

  /**
   * Visits each time in the range in order, until `visit` returns `false`. Returns whether it never
   * did.
   */
  each({ fromMs, toMs }: TimeRange, visit: (index: number) => unknown): boolean {
    const end = this.size;
    for (let at = this.#firstFrom(fromMs); at < end && (this.#timesMs[at] ?? 0) <= toMs; at++) {
      if (visit(this.#indexes[at] ?? 0) === false) return false;
    }
    return true;
  }

  countWithin({ fromMs, toMs }: TimeRange): number {
    return this.#firstBehind(toMs) - this.#firstFrom(fromMs);
  }

  #firstFrom(ms: number): number {
    this.#sort();
    return firstWhere(this.#timesMs, (timeMs) => timeMs >= ms);
  }

  #firstBehind(ms: number): number {
    this.#sort();
    return firstWhere(this.#timesMs, (timeMs) => timeMs > ms);
  }

  #sort(): void {
    if (this.#isSorted) return;
    const [timesMs, indexes] = [this.#timesMs, this.#indexes];
    const order = timesMs.map((_, at) => at).sort((a, b) => (timesMs[a] ?? 0) - (timesMs[b] ?? 0));
    this.#timesMs = order.map((at) => timesMs[at] ?? 0);
    this.#indexes = order.map((at) => indexes[at] ?? 0);
    this.#isSorted = true;
  }
}

interface Group {
  readonly numbers: CallNumbers;
  readonly times: Times;
}

// By identical numbers, so that each key is computed once.
function groupsOf(all: Times, units: readonly CallUnit[]): Group[] {
  const ids = new Map<NumberKey, number>();
  const idOf = (key: NumberKey) => {
    const id = ids.get(key) ?? ids.size;
    ids.set(key, id);
    return id;
  };
  const groups = new Map<string, Group>();
  all.eachTime((timeMs, index) => {
    const numbers = units[index]?.numbers;
    if (numbers === undefined) return;
    const name = `${numbers.callers.map(idOf)}/${numbers.called.map(idOf)}`;
    const group = groups.get(name) ?? { numbers, times: new Times({ areSame: true }) };
    groups.set(name, group);
    group.times.add(timeMs, index);
  });
  return [...groups.values()];
}

function firstWhere(timesMs: readonly number[], isIt: (timeMs: number) => boolean): number {
  let low = 0;
  let high = timesMs.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (isIt(timesMs[middle] ?? 0)) high = middle;
    else low = middle + 1;
  }
  return low;
}

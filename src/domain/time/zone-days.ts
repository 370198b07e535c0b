import { addDays, type Micros } from "./instant.ts";

const DAY_MS = 86_400_000;

/** Successive days of a time zone, and when each begins. An instant lies in exactly one of them. */
export class ZoneDays {
  /** The first day, `YYYY-MM-DD`. */
  readonly firstDay: string;
  /**
   * When each day begins, and at last when the day after them does. Ascending; a day that the zone
   * leaves out begins with the next.
   */
  readonly starts: readonly Micros[];
  readonly #days: (string | undefined)[] = [];

  constructor(firstDay: string, starts: readonly Micros[]) {
    this.firstDay = firstDay;
    this.starts = starts;
  }

  /** When a day begins: one of the days, or the one after them. Throws RangeError for others. */
  startOf(day: string): Micros {
    const start = this.starts[(Date.parse(day) - Date.parse(this.firstDay)) / DAY_MS];
    if (start === undefined) throw new RangeError(`${day} is none of the days from ${this.firstDay} on that were read`);
    return start;
  }

  /** The day of an instant, `YYYY-MM-DD`. Throws RangeError for an instant in none of the days. */
  dayOf(instant: Micros): string {
    const index = this.#countBegun(instant) - 1;
    if (index < 0 || index >= this.starts.length - 1)
      throw new RangeError(`the instant ${instant} is in none of the days from ${this.firstDay} on that were read`);
    let day = this.#days[index];
    if (day === undefined) {
      day = addDays(this.firstDay, index);
      this.#days[index] = day;
    }
    return day;
  }

  #countBegun(instant: Micros): number {
    let [low, high] = [0, this.starts.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.starts[middle] ?? 0n) <= instant) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

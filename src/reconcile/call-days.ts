import { DateTime } from "luxon";

/** Every zone's days begin at a multiple of this, in UTC. */
const QUARTER_MS = 900_000;
const MAX_REMEMBERED = 20_000;

/** Tells the day of an instant in a time zone. */
export class CallDays {
  readonly #zone: string;
  readonly #days = new Map<number, string>();

  constructor(zone: string) {
    this.#zone = zone;
  }

  /** `YYYY-MM-DD`. */
  dayOf(ms: number): string {
    const quarter = Math.floor(ms / QUARTER_MS);
    const known = this.#days.get(quarter);
    if (known !== undefined) return known;
    if (this.#days.size >= MAX_REMEMBERED) this.#days.clear();
    const day = DateTime.fromMillis(quarter * QUARTER_MS, { zone: this.#zone }).toISODate() ?? "";
    this.#days.set(quarter, day);
    return day;
  }
}

/** Votes on the clock offset of a trunk and hour: how many say what, by bucket. */
export type VoteCounts = Readonly<Record<string, number>>;

/** What the records of a trunk and hour of the carrier's clock say. */
export interface HourSays {
  /** Of records with one counterpart alone within the window. */
  readonly near: VoteCounts;
  /** Of records without any, that go with one call of the same parties that is further off. */
  readonly far: VoteCounts;
}

/** Lengths agree when they differ by no more. */
export const ALIKE_MS = 1_000;
/**
 * The bucket of a difference of like times, carrier minus platform as reported, milliseconds: its
 * whole seconds, up to 14 h and 7.5 minutes, and whether the lengths agree; one for all others. A
 * histogram stays small: nearly all votes of an hour fall into a few buckets.
 */
export function voteBucket(differenceMs: number, isAlike = false): string {
  const seconds = Math.round(differenceMs / 1_000);
  if (Math.abs(seconds) > MAX_ZONE_S + MAX_REST_S) return OTHER;
  return isAlike ? `${seconds}${ALIKE}` : String(seconds);
}

/** Whether two lengths agree as those of one call do; false when either is not known. */
export function areAlike(oneMs: number | undefined, otherMs: number | undefined): boolean {
  return oneMs !== undefined && otherMs !== undefined && Math.abs(oneMs - otherMs) <= ALIKE_MS;
}

/**
 * Zones are multiples of this, and a clock is off by at most so much of them and half of one more;
 * seconds.
 */
export const ZONE_STEP_S = 900;
export const MAX_ZONE_S = 14 * 3_600;
const MAX_REST_S = ZONE_STEP_S / 2;
const OTHER = "other";
const ALIKE = "=";

/** Votes on one second. */
export interface Vote {
  readonly seconds: number;
  count: number;
  /** Of calls whose lengths agree. */
  alike: number;
  /**
   * Those that speak against any other second. Two calls far from each other may be two calls: they
   * do not, unless their lengths agree.
   */
  against: number;
}

/** Adds up votes of hours, by second. */
export class Tally {
  readonly #votes = new Map<number, Vote>();
  count = 0;

  constructor(says?: HourSays) {
    this.add(says);
  }

  add(says: HourSays | undefined): void {
    if (says === undefined) return;
    for (const [bucket, count] of Object.entries(says.near)) this.#addBucket(bucket, count, true);
    for (const [bucket, count] of Object.entries(says.far)) this.#addBucket(bucket, count, false);
  }

  /** By second, ascending: the same in whatever order they came. */
  votes(): Vote[] {
    return [...this.#votes.values()].sort((a, b) => a.seconds - b.seconds);
  }

  #addBucket(bucket: string, count: number, isNear: boolean): void {
    const isAlike = bucket.endsWith(ALIKE);
    const seconds = Number(isAlike ? bucket.slice(0, -1) : bucket);
    if (!Number.isInteger(seconds) || count <= 0) return;
    const vote = this.#votes.get(seconds) ?? { seconds, count: 0, alike: 0, against: 0 };
    vote.count += count;
    if (isAlike) vote.alike += count;
    if (isAlike || isNear) vote.against += count;
    this.count += count;
    this.#votes.set(seconds, vote);
  }
}

export type VoteCounts = Readonly<Record<string, number>>;

/** Votes of a trunk and hour, by the carrier's clock. */
export interface HourSays {
  /** Of records with one possible counterpart within the window. */
  readonly near: VoteCounts;
  /** Of records with none there, paired with one far call of the same parties. */
  readonly far: VoteCounts;
}

export const ALIKE_MS = 1_000;
/**
 * The bucket of a difference, carrier minus platform as reported, milliseconds: whole seconds up to
 * 14 h 7.5 min and whether lengths agree, or one bucket for the rest. Few buckets get nearly all
 * votes.
 */
export function voteBucket(differenceMs: number, isAlike = false): string {
  const seconds = Math.round(differenceMs / 1_000);
  if (Math.abs(seconds) > MAX_ZONE_S + MAX_REST_S) return OTHER;
  return isAlike ? `${seconds}${ALIKE}` : String(seconds);
}

/** False if one is unknown. */
export function areAlike(oneMs: number | undefined, otherMs: number | undefined): boolean {
  return oneMs !== undefined && otherMs !== undefined && Math.abs(oneMs - otherMs) <= ALIKE_MS;
}

/** Time zones are multiples of this, seconds. The largest offset is half of it more. */
export const ZONE_STEP_S = 900;
export const MAX_ZONE_S = 14 * 3_600;
const MAX_REST_S = ZONE_STEP_S / 2;
const OTHER = "other";
const ALIKE = "=";

/** Votes on one second. */
export interface Vote {
  readonly seconds: number;
  count: number;
  /** Votes of calls whose lengths agree. */
  alike: number;
  /**
   * Votes against every other second. Calls far apart may be two calls and count only with equal
   * lengths.
   */
  against: number;
}

/** Adds up votes by second. */
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

  /** By second, ascending. */
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

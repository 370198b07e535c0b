import type { Micros } from "../domain/time/instant.ts";
import type { ErasedCounts, ErasureAtCarrier, ErasureHeldBack } from "../store/privacy/erasures.ts";

/** Why records stay for now. */
export interface HeldBack {
  readonly reason: number;
  /** When they will be erased at the latest; undefined when that is not known. */
  readonly due: Micros | undefined;
  /** The law or the hold. */
  readonly source?: string;
}

/** Adds to what was erased of a part. */
export function addCounts(at: ErasureAtCarrier, part: number, added: Partial<ErasedCounts>): void {
  const counts = at.counts[part] ?? { records: 0, copies: 0, hashes: 0 };
  at.counts[part] = {
    records: counts.records + (added.records ?? 0),
    copies: counts.copies + (added.copies ?? 0),
    hashes: counts.hashes + (added.hashes ?? 0),
  };
}

/** Notes that an ERASURE entry was appended to a feed. */
export function addNotice(at: ErasureAtCarrier, feed: number, sequence: bigint): void {
  at.notices[feed] = { first: at.notices[feed]?.first ?? String(sequence), last: String(sequence) };
}

/** What was not erased, summed up by reason, part and source; each with the latest date. */
export class Exceptions {
  readonly #found = new Map<string, ErasureHeldBack & { latest: Micros | undefined }>();
  readonly #counted = new Set<string>();
  #earliest: Micros | undefined;

  /**
   * Adds records that stay.
   * @param name of the record, which counts once however often it is met; absent: it is met once.
   */
  add(part: number, { reason, due, source }: HeldBack, name?: string): void {
    if (name !== undefined && this.#counted.has(`${part}/${name}`)) return;
    if (name !== undefined) this.#counted.add(`${part}/${name}`);
    const key = `${reason}/${part}/${source ?? ""}`;
    const known = this.#found.get(key) ?? {
      reason,
      part,
      count: 0,
      latest: undefined,
      ...(source === undefined ? {} : { source }),
    };
    known.count++;
    if (due !== undefined && (known.latest === undefined || due > known.latest)) known.latest = due;
    this.#found.set(key, known);
    if (due !== undefined && (this.#earliest === undefined || due < this.#earliest)) this.#earliest = due;
  }

  /** When the first of them is due. */
  get earliest(): Micros | undefined {
    return this.#earliest;
  }

  /** The first of the dates that were given: of each reason, part and source the last. */
  get promised(): Micros | undefined {
    const dates = [...this.#found.values()].flatMap(({ latest }) => latest ?? []);
    return dates.sort((a, b) => (a < b ? -1 : 1))[0];
  }

  /** When the last of them is due at the latest; undefined when one has no date. */
  get latest(): Micros | undefined {
    const dues = [...this.#found.values()].map(({ latest }) => latest);
    if (dues.length === 0 || dues.includes(undefined)) return undefined;
    return dues.reduce((a, b) => ((a ?? 0n) > (b ?? 0n) ? a : b));
  }

  /** All of them. */
  list(): ErasureHeldBack[] {
    return [...this.#found.values()].map(({ latest, ...held }) =>
      latest === undefined ? held : { ...held, due: String(latest) },
    );
  }
}

import type { Micros } from "../domain/time/instant.ts";
import type { ErasedCounts, ErasureAtCarrier, ErasureHeldBack } from "../store/privacy/erasures.ts";

export interface HeldBack {
  readonly reason: number;
  /** When they will be erased at the latest; undefined: unknown. */
  readonly due: Micros | undefined;
  readonly source?: string;
}

export function addCounts(at: ErasureAtCarrier, part: number, added: Partial<ErasedCounts>): void {
  const counts = at.counts[part] ?? { records: 0, copies: 0, hashes: 0 };
  at.counts[part] = {
    records: counts.records + (added.records ?? 0),
    copies: counts.copies + (added.copies ?? 0),
    hashes: counts.hashes + (added.hashes ?? 0),
  };
}

export function addNotice(at: ErasureAtCarrier, feed: number, sequence: bigint): void {
  at.notices[feed] = { first: at.notices[feed]?.first ?? String(sequence), last: String(sequence) };
}

/** What was kept, by reason, part and source; each with the latest date. */
export class Exceptions {
  readonly #found = new Map<string, ErasureHeldBack & { latest: Micros | undefined }>();
  readonly #counted = new Set<string>();
  #earliest: Micros | undefined;

  /** @param name the record, which counts once however often it is met; absent: it is met once. */
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

  get earliest(): Micros | undefined {
    return this.#earliest;
  }

  /** The earliest date in the receipt, which has the last for each reason, part and source. */
  get promised(): Micros | undefined {
    const dates = [...this.#found.values()].flatMap(({ latest }) => latest ?? []);
    return dates.sort((a, b) => (a < b ? -1 : 1))[0];
  }

  /** The latest due date; undefined: one has none. */
  get latest(): Micros | undefined {
    const dues = [...this.#found.values()].map(({ latest }) => latest);
    if (dues.length === 0 || dues.includes(undefined)) return undefined;
    return dues.reduce((a, b) => ((a ?? 0n) > (b ?? 0n) ? a : b));
  }

  list(): ErasureHeldBack[] {
    return [...this.#found.values()].map(({ latest, ...held }) =>
      latest === undefined ? held : { ...held, due: String(latest) },
    );
  }
}

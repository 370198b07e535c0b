import { TandemError } from "../domain/errors.ts";

/**
 * What is known of the one that memory is charged to: a caller whose credential was judged, an
 * address that shows a credential that is not judged yet, or an address that shows none.
 */
export type Standing = "caller" | "unjudged" | "stranger";

/** The one that memory is charged to. */
export interface Spender {
  readonly key: string;
  readonly standing: Standing;
}

export function callerOfKey(key: string): Spender {
  return { key, standing: "caller" };
}

export function addressSpender(standing: "unjudged" | "stranger", address: string): Spender {
  return { key: `${standing} ${address}`, standing };
}

/** How much one caller may have of a budget. */
export function shareOf(totalBytes: number): number {
  return Math.floor(totalBytes / 2);
}

/** How long a call waits for room before it is refused, and how many wait at most in all. */
const WAIT_MS = 5_000;
const MAX_WAITING = 10_000;

/** What all of one standing may have together, and each of them. */
interface Part {
  readonly totalBytes: number;
  readonly shareBytes: number;
}

// By default an unjudged address has 8 MiB of received bytes: as much as one connection can send
// unasked.
function partsOf(totalBytes: number): Readonly<Record<Standing, Part>> {
  const part = (of: number, share: number) => ({
    totalBytes: Math.floor(totalBytes / of),
    shareBytes: Math.floor(totalBytes / share),
  });
  return {
    caller: { totalBytes, shareBytes: shareOf(totalBytes) },
    unjudged: part(2, 16),
    stranger: part(16, 128),
  };
}

export interface MemoryBudgetOptions {
  readonly totalBytes: number;
  /** Default 5,000. */
  readonly waitMs?: number;
  /** Most calls of one that wait: as many as it may have at once. Default 1,000. */
  readonly maxWaitingOfOne?: number;
}

interface Waiting {
  readonly spender: Spender;
  readonly bytes: number;
  readonly grant: () => void;
}

/**
 * Memory of one kind, accounted for before it is used, in total and for each that it is charged to.
 * Judged callers, unjudged calls and strangers each have a part of their own, and take nothing of
 * another's. Within a part each has a share at most: a caller a half, so that one who fills it
 * leaves as much for the others; an address an eighth.
 */
export class MemoryBudget {
  readonly #parts: Readonly<Record<Standing, Part>>;
  readonly #waitMs: number;
  readonly #maxWaitingOfOne: number;
  readonly #used = new Map<string, number>();
  readonly #usedOf: Record<Standing, number> = { caller: 0, unjudged: 0, stranger: 0 };
  /** Those who wait, longest first. */
  readonly #waiting = new Set<Waiting>();
  readonly #waitingOf = new Map<string, number>();

  /** @param options what callers have together; the others have their parts in addition. */
  constructor({ totalBytes, waitMs = WAIT_MS, maxWaitingOfOne = 1_000 }: MemoryBudgetOptions) {
    this.#parts = partsOf(totalBytes);
    this.#maxWaitingOfOne = maxWaitingOfOne;
    this.#waitMs = waitMs;
  }

  /** What is in use, by all or by one. */
  usedBytes(key?: string): number {
    const { caller, unjudged, stranger } = this.#usedOf;
    return key === undefined ? caller + unjudged + stranger : (this.#used.get(key) ?? 0);
  }

  /** Takes the bytes if there is room. */
  tryTake(spender: Spender, bytes: number): boolean {
    if (!this.#hasRoom(spender, bytes)) return false;
    this.#take(spender, bytes);
    return true;
  }

  /**
   * Takes the bytes as soon as there is room. What is larger than a share counts as a share, so
   * that every message within its bounds is taken at some time.
   * @returns what was taken, to be given back.
   * @throws TandemError RATE_LIMITED when there is no room in time; what aborted the signal.
   */
  async take(spender: Spender, bytes: number, signal: AbortSignal): Promise<number> {
    const asked = Math.min(bytes, this.#parts[spender.standing].shareBytes);
    signal.throwIfAborted();
    // Nobody overtakes others that wait for the same share.
    const waiting = this.#waitingOf.get(spender.key) ?? 0;
    if (waiting === 0 && this.tryTake(spender, asked)) return asked;
    if (waiting >= this.#maxWaitingOfOne || this.#waiting.size >= MAX_WAITING) throw noRoom();
    await this.#wait(spender, asked, signal);
    return asked;
  }

  give(spender: Spender, bytes: number): void {
    this.#take(spender, -bytes);
    this.#serve();
  }

  /**
   * Charges what one has taken to another from now on: the caller of a call has become known.
   * @throws TandemError RATE_LIMITED when that one has no room.
   */
  move(from: Spender, to: Spender, bytes: number): void {
    if (from.key === to.key) return;
    if (!this.tryTake(to, bytes)) throw noRoom();
    this.give(from, bytes);
  }

  #wait(spender: Spender, bytes: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", leave);
        this.#waiting.delete(waiting);
        add(this.#waitingOf, spender.key, -1);
      };
      const leave = () => {
        settle();
        reject(signal.reason);
      };
      const timer = setTimeout(() => {
        settle();
        reject(noRoom());
      }, this.#waitMs);
      const grant = () => {
        settle();
        resolve();
      };
      const waiting: Waiting = { spender, bytes, grant };
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting.add(waiting);
      add(this.#waitingOf, spender.key, 1);
    });
  }

  #serve(): void {
    const passedOver = new Set<string>();
    for (const { spender, bytes, grant } of this.#waiting) {
      if (passedOver.has(spender.key)) continue;
      if (this.tryTake(spender, bytes)) grant();
      else passedOver.add(spender.key);
    }
  }

  #hasRoom({ key, standing }: Spender, bytes: number): boolean {
    const { totalBytes, shareBytes } = this.#parts[standing];
    return this.#usedOf[standing] + bytes <= totalBytes && (this.#used.get(key) ?? 0) + bytes <= shareBytes;
  }

  #take({ key, standing }: Spender, bytes: number): void {
    this.#usedOf[standing] += bytes;
    add(this.#used, key, bytes);
  }
}

function add(counts: Map<string, number>, key: string, count: number): void {
  const sum = (counts.get(key) ?? 0) + count;
  if (sum === 0) counts.delete(key);
  else counts.set(key, sum);
}

/** What one call has of a budget. Disposing gives all of it back. */
export class MemoryHold implements Disposable {
  readonly #budget: MemoryBudget;
  #spender: Spender;
  #bytes = 0;
  #isOver = false;

  constructor(budget: MemoryBudget, spender: Spender) {
    this.#budget = budget;
    this.#spender = spender;
  }

  /** @throws TandemError RATE_LIMITED */
  add(bytes: number): void {
    if (this.#isOver) return;
    if (!this.#budget.tryTake(this.#spender, bytes)) throw noRoom();
    this.#bytes += bytes;
  }

  /** Takes as soon as there is room. @throws what `MemoryBudget.take` throws. */
  async addWhenRoom(bytes: number, signal: AbortSignal): Promise<number> {
    const spender = this.#spender;
    const taken = await this.#budget.take(spender, bytes, signal);
    if (this.#isOver) {
      this.#budget.give(spender, taken);
      return taken;
    }
    try {
      // It may be charged to another meanwhile.
      this.#budget.move(spender, this.#spender, taken);
    } catch (error) {
      this.#budget.give(spender, taken);
      throw error;
    }
    this.#bytes += taken;
    return taken;
  }

  remove(bytes: number): void {
    if (this.#isOver) return;
    this.#bytes -= bytes;
    this.#budget.give(this.#spender, bytes);
  }

  /**
   * Charges this and what it holds already to another.
   * @throws TandemError RATE_LIMITED when that one has no room for it.
   */
  become(spender: Spender): void {
    if (!this.#isOver) this.#budget.move(this.#spender, spender, this.#bytes);
    this.#spender = spender;
  }

  [Symbol.dispose](): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#budget.give(this.#spender, this.#bytes);
  }
}

function noRoom(): TandemError {
  return new TandemError("RATE_LIMITED", "too much is being received or decoded at once: call again later", {
    resource: "memory",
  });
}

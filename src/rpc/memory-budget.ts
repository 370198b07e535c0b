import { TandemError } from "../domain/errors.ts";

/** Who memory is spent for. */
export interface Spender {
  readonly key: string;
  /** Whether it is an address whose credential nobody has looked at yet, or that has none. */
  readonly isStranger: boolean;
}

export function strangerAt(address: string): Spender {
  return { key: `address:${address}`, isStranger: true };
}

/** How much of a budget one spender may have; and all strangers together, who are many for one who wants to. */
export function shareOf(totalBytes: number): number {
  return Math.floor(totalBytes / 2);
}

/** How long a call waits for room before it is refused, and how many wait at most. */
const WAIT_MS = 5_000;
const MAX_WAITING = 1_000;

export interface MemoryBudgetOptions {
  readonly totalBytes: number;
  /** Default 5,000. */
  readonly waitMs?: number;
}

interface Waiting {
  readonly spender: Spender;
  readonly bytes: number;
  readonly grant: () => void;
}

/**
 * Memory of one kind, for the process and for each of those for whom it is spent, accounted before it is spent. A half is the most for one, and for
 * all strangers together. So one who fills a share leaves as much for all others.
 */
export class MemoryBudget {
  readonly #totalBytes: number;
  readonly #shareBytes: number;
  readonly #waitMs: number;
  readonly #used = new Map<string, number>();
  #usedBytes = 0;
  #strangerBytes = 0;
  /** Those who wait, longest first. */
  #waiting: Waiting[] = [];

  constructor({ totalBytes, waitMs = WAIT_MS }: MemoryBudgetOptions) {
    this.#totalBytes = totalBytes;
    this.#shareBytes = shareOf(totalBytes);
    this.#waitMs = waitMs;
  }

  /** What is in use, by all or by one. */
  usedBytes(key?: string): number {
    return key === undefined ? this.#usedBytes : (this.#used.get(key) ?? 0);
  }

  /** Takes the bytes if there is room. */
  tryTake(spender: Spender, bytes: number): boolean {
    if (!this.#hasRoom(spender, bytes)) return false;
    this.#take(spender, bytes);
    return true;
  }

  /**
   * Takes the bytes as soon as there is room. What is larger than a share counts as a share: a message within its bounds is taken at some time.
   * @returns what was taken, to be given back.
   * @throws TandemError RATE_LIMITED when there is no room in time; what aborted the signal.
   */
  async take(spender: Spender, bytes: number, signal: AbortSignal): Promise<number> {
    const asked = Math.min(bytes, this.#shareBytes);
    signal.throwIfAborted();
    // Nobody overtakes others who wait for the same share.
    const isFirst = !this.#waiting.some((other) => other.spender.key === spender.key);
    if (isFirst && this.tryTake(spender, asked)) return asked;
    if (this.#waiting.length >= MAX_WAITING) throw noRoom();
    await this.#wait(spender, asked, signal);
    return asked;
  }

  give(spender: Spender, bytes: number): void {
    this.#take(spender, -bytes);
    this.#serve();
  }

  /** What one has taken is another's from now on: of a call whose caller has become known. */
  move(from: Spender, to: Spender, bytes: number): void {
    this.#take(to, bytes);
    this.give(from, bytes);
  }

  #wait(spender: Spender, bytes: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", leave);
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
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
      this.#waiting.push(waiting);
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

  #hasRoom({ key, isStranger }: Spender, bytes: number): boolean {
    if (this.#usedBytes + bytes > this.#totalBytes) return false;
    if (isStranger && this.#strangerBytes + bytes > this.#shareBytes) return false;
    return (this.#used.get(key) ?? 0) + bytes <= this.#shareBytes;
  }

  #take({ key, isStranger }: Spender, bytes: number): void {
    this.#usedBytes += bytes;
    if (isStranger) this.#strangerBytes += bytes;
    const used = (this.#used.get(key) ?? 0) + bytes;
    if (used === 0) this.#used.delete(key);
    else this.#used.set(key, used);
  }
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
    // It may have become another's meanwhile.
    this.#budget.move(spender, this.#spender, taken);
    this.#bytes += taken;
    return taken;
  }

  remove(bytes: number): void {
    if (this.#isOver) return;
    this.#bytes -= bytes;
    this.#budget.give(this.#spender, bytes);
  }

  /** From now on, and for what it has, it is another's. */
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

import { TandemError } from "../../domain/errors.ts";
import { type Caller, type CallerKind, callerKey } from "./callers.ts";

export interface LaneOptions {
  readonly connections: number;
  /** Most that wait for one caller. Default 1,000. */
  readonly maxWaiting?: number;
  /** Most that wait in all. Default 10,000. */
  readonly maxWaitingInAll?: number;
  /** Longest wait of a call in a line that does not move, milliseconds. Default 5,000. */
  readonly maxWaitMs?: number;
  /** Longest wait of a call in a line that moves, milliseconds. Default 60,000. */
  readonly maxMovingWaitMs?: number;
  /** Longest wait of a job, milliseconds: another job's longest statement. Default 90,000. */
  readonly maxJobWaitMs?: number;
  /** How long the judgement of a waiting call is believed, milliseconds. Default 2,000. */
  readonly judgeMs?: number;
}

/** A connection that may be taken from the pool. Dispose it when the connection is back. */
export type Place = Disposable;

/** How it stands with one kind of callers. */
export interface LaneState {
  /** Connections in use. */
  readonly held: number;
  readonly waiting: number;
  /** Longest present wait, milliseconds; 0: nobody waits. */
  readonly longestWaitMs: number;
}

/** Told who was given a connection, and after how long a wait, milliseconds. */
export type GrantListener = (caller: Caller, waitedMs: number) => void;

/** Share of the pool that one caller may hold at once. */
const SHARE = 0.3;
/** From so many shared connections on, carriers and the platform each keep one. */
const MIN_SHARED_TO_KEEP = 4;

/**
 * Deals the pool's connections out. One is kept for the work that everybody depends on. Of the
 * others, a carrier, a principal of the platform, and all jobs together hold at most three tenths
 * of the pool each. All carriers leave one to the platform, and the platform leaves one to the
 * carriers. Who cannot have one at once waits in its caller's line, and the lines are served in
 * turn.
 */
export class Lanes {
  readonly #options: Required<Omit<LaneOptions, "connections">>;
  readonly #own: number;
  readonly #shared: number;
  readonly #share: number;
  readonly #held = new Map<string, number>();
  readonly #heldByKind: Record<CallerKind, number> = { carrier: 0, platform: 0, jobs: 0, own: 0 };
  /** In the order in which they are to be served. */
  readonly #lines = new Map<string, Line>();
  readonly #listeners = new Set<GrantListener>();
  #waiting = 0;
  #grantedAt = Number.NEGATIVE_INFINITY;

  constructor({ connections, ...options }: LaneOptions) {
    this.#options = {
      maxWaiting: 1_000,
      maxWaitingInAll: 10_000,
      maxWaitMs: 5_000,
      maxMovingWaitMs: 60_000,
      maxJobWaitMs: 90_000,
      judgeMs: 2_000,
      ...options,
    };
    // A pool of one has none to spare: all take turns at it.
    this.#own = connections > 1 ? 1 : 0;
    this.#shared = connections - this.#own;
    this.#share = Math.max(1, Math.floor(connections * SHARE));
  }

  /** Most connections that one caller holds at once. */
  get share(): number {
    return this.#share;
  }

  /**
   * Waits for a connection.
   * @throws TandemError RATE_LIMITED when too much of this caller waits, STORE_UNAVAILABLE when too
   *   much waits in all or the time is over; an AbortError when the call has ended; what a
   *   judgement of the call rejects with.
   */
  async take(caller: Caller): Promise<Place> {
    const key = callerKey(caller);
    const { judged } = caller;
    // What it waited for before may have taken a minute.
    if (judged && performance.now() - judged.atMs > this.#options.judgeMs) await judged.again();
    if (this.#mayTake(caller, key)) return this.#grant(caller, key, 0);
    return this.#wait(caller, key);
  }

  /** How it stands, by kind of caller. */
  get state(): Readonly<Record<CallerKind, LaneState>> {
    const now = performance.now();
    const stateOf = (kind: CallerKind): LaneState => {
      const lines = [...this.#lines.values()].filter((line) => line.caller.kind === kind);
      const since = lines.flatMap(({ waiting }) => [...waiting].slice(0, 1).map(({ sinceMs }) => sinceMs));
      return {
        held: this.#heldByKind[kind],
        waiting: lines.reduce((sum, { waiting }) => sum + waiting.size, 0),
        longestWaitMs: since.length === 0 ? 0 : now - Math.min(...since),
      };
    };
    return { carrier: stateOf("carrier"), platform: stateOf("platform"), jobs: stateOf("jobs"), own: stateOf("own") };
  }

  /** Tells a listener of every connection that is given, until disposed. */
  watch(listener: GrantListener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  #mayTake({ kind }: Caller, key: string): boolean {
    if (kind === "own" && this.#own > 0) return this.#heldByKind.own < this.#own;
    if ((this.#held.get(key) ?? 0) >= this.#share) return false;
    return this.#freeShared > this.#keptFrom(kind);
  }

  get #freeShared(): number {
    const { carrier, platform, jobs, own } = this.#heldByKind;
    return this.#shared - carrier - platform - jobs - (this.#own > 0 ? 0 : own);
  }

  #keptFrom(kind: CallerKind): number {
    if (this.#shared < MIN_SHARED_TO_KEEP) return 0;
    const { carrier, platform } = this.#heldByKind;
    const forPlatform = kind !== "platform" && platform === 0 ? 1 : 0;
    const forCarriers = kind !== "carrier" && carrier === 0 ? 1 : 0;
    return forPlatform + forCarriers;
  }

  #grant(caller: Caller, key: string, waitedMs: number): Place {
    this.#held.set(key, (this.#held.get(key) ?? 0) + 1);
    this.#heldByKind[caller.kind]++;
    for (const listener of this.#listeners) listener(caller, waitedMs);
    this.#grantedAt = performance.now();
    let isGivenBack = false;
    return {
      [Symbol.dispose]: () => {
        if (isGivenBack) return;
        isGivenBack = true;
        const left = (this.#held.get(key) ?? 1) - 1;
        if (left > 0) this.#held.set(key, left);
        else this.#held.delete(key);
        this.#heldByKind[caller.kind]--;
        this.#serve();
      },
    };
  }

  #wait(caller: Caller, key: string): Promise<Place> {
    const line = this.#lines.get(key) ?? { caller, key, waiting: new Set(), movedAt: Number.NEGATIVE_INFINITY };
    this.#assertRoom(line);
    const { promise, resolve, reject } = Promise.withResolvers<Place>();
    const { signal, judged } = caller;
    const sinceMs = performance.now();
    const leave = () => {
      clearTimeout(timer);
      clearInterval(judging);
      signal?.removeEventListener("abort", abandon);
      if (!line.waiting.delete(waiting)) return;
      this.#waiting--;
      if (line.waiting.size === 0) this.#lines.delete(key);
    };
    const fail = (error: Error) => {
      leave();
      reject(error);
    };
    const abandon = () => fail(new CallEnded(signal?.reason));
    const lookAgain = () => {
      const leftMs = this.#leftMs(line, sinceMs);
      if (leftMs <= 0) fail(waitedTooLong());
      else timer = setTimeout(lookAgain, Math.ceil(leftMs));
    };
    let timer = setTimeout(lookAgain, this.#maxWaitMs(caller));
    // Who is put out while waiting is not served.
    const judging = judged && setInterval(() => void judged.again().catch(fail), this.#options.judgeMs);
    const grant = () => {
      leave();
      line.movedAt = performance.now();
      resolve(this.#grant(caller, key, performance.now() - sinceMs));
    };
    const waiting: Waiting = { sinceMs, grant };
    line.waiting.add(waiting);
    this.#lines.set(key, line);
    this.#waiting++;
    // What begins after its call has ended cleans up after it, and waits as long as others do.
    if (!signal?.aborted) signal?.addEventListener("abort", abandon, { once: true });
    return promise;
  }

  #maxWaitMs({ kind }: Caller): number {
    return kind === "jobs" ? this.#options.maxJobWaitMs : this.#options.maxWaitMs;
  }

  // A waiter in a moving line gets nearer, so a burst within the limits is served late, not
  // refused. A line that its own share holds back moves only by its own grants. Any other gets
  // nearer with whoever is served before it.
  #leftMs(line: Line, sinceMs: number): number {
    const { caller, key } = line;
    const now = performance.now();
    if (caller.kind === "jobs") return sinceMs + this.#options.maxJobWaitMs - now;
    const isInTurn = caller.kind !== "own" && (this.#held.get(key) ?? 0) < this.#share;
    const movedAt = Math.max(sinceMs, line.movedAt, isInTurn ? this.#grantedAt : 0);
    return Math.min(movedAt + this.#options.maxWaitMs, sinceMs + this.#options.maxMovingWaitMs) - now;
  }

  #assertRoom(line: Line): void {
    if (line.waiting.size >= this.#options.maxWaiting)
      throw new TandemError("RATE_LIMITED", "too many of your calls are waiting for the database: call again later");
    if (this.#waiting >= this.#options.maxWaitingInAll)
      throw new TandemError("STORE_UNAVAILABLE", "too many calls are waiting for the database: call again later");
  }

  // Whoever was served goes to the end; whoever may not be served now keeps the place.
  #serve(): void {
    for (let line = this.#nextLine(); line; line = this.#nextLine()) {
      const [first] = line.waiting;
      first?.grant();
      if (!this.#lines.delete(line.key)) continue;
      this.#lines.set(line.key, line);
    }
  }

  #nextLine(): Line | undefined {
    for (const line of this.#lines.values()) if (this.#mayTake(line.caller, line.key)) return line;
    return undefined;
  }
}

interface Line {
  readonly caller: Caller;
  readonly key: string;
  readonly waiting: Set<Waiting>;
  /** When one of it was last served, by performance.now(). */
  movedAt: number;
}

interface Waiting {
  readonly sinceMs: number;
  readonly grant: () => void;
}

/** A call has ended while it waited for a connection; its cause is why. */
class CallEnded extends Error {
  override readonly name = "AbortError";

  constructor(reason: unknown) {
    super("the call ended while it waited for the database", { cause: reason });
  }
}

function waitedTooLong(): TandemError {
  return new TandemError("STORE_UNAVAILABLE", "no database connection became free in time: call again");
}

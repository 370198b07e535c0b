import { type Database, systemTransaction } from "../store/database/database.ts";
import { every, Wake } from "../store/database/every.ts";
import { listWaitingCarriers } from "../store/records/quarantine.ts";

export interface ReleaseJobOptions {
  db: Database;
  /** Only carriers of this region, whose process it is; default: all. */
  region?: string | undefined;
  /** Judges one carrier's waiting records again; safe to run in several processes at once. */
  release: (carrierId: string, signal: AbortSignal) => Promise<number>;
  /** How often waiting records are looked for, milliseconds. Default 5,000. */
  intervalMs?: number;
  onError: (error: unknown) => void;
}

/** Longest rest between two looks although nothing was written, milliseconds. */
const QUIET_MS = 60_000;

/** Has quarantined records judged again when their carrier's numbers changed in any process. */
export class ReleaseQuarantinedJob implements AsyncDisposable {
  readonly #options: ReleaseJobOptions;
  readonly #stop = new AbortController();
  readonly #woken = new Set<string>();
  readonly #running: Promise<void>;
  readonly #intervalMs: number;
  #sweepAtMs: number;
  readonly #wake = new Wake();

  constructor(options: ReleaseJobOptions) {
    this.#options = options;
    this.#intervalMs = options.intervalMs ?? 5_000;
    this.#sweepAtMs = performance.now() + this.#intervalMs;
    this.#running = this.#run();
  }

  /** Has a carrier's waiting records judged at once. */
  wake(carrierId: string): void {
    this.#woken.add(carrierId);
    this.#wake.call();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  #run(): Promise<void> {
    const { signal } = this.#stop;
    const { onError, db } = this.#options;
    const intervalMs = this.#intervalMs;
    return every({ intervalMs, firstMs: intervalMs, signal, onError, wake: this.#wake, pulse: db.pulse }, async () => {
      const isIdle = await this.#turn(signal);
      return isIdle ? QUIET_MS : Math.max(1, this.#sweepAtMs - performance.now());
    });
  }

  // Those that were woken, and all others once an interval. Returns whether none was left.
  async #turn(signal: AbortSignal): Promise<boolean> {
    const woken = [...this.#woken];
    this.#woken.clear();
    await this.#releaseAll(woken, signal);
    if (signal.aborted || performance.now() < this.#sweepAtMs) return false;
    this.#sweepAtMs = performance.now() + this.#intervalMs;
    const waiting = await this.#findWaiting();
    await this.#releaseAll(waiting, signal);
    return waiting.length === 0;
  }

  // One carrier's trouble must not keep the others waiting.
  async #releaseAll(carrierIds: readonly string[], signal: AbortSignal): Promise<void> {
    for (const carrierId of carrierIds) {
      if (signal.aborted) return;
      try {
        await this.#options.release(carrierId, signal);
      } catch (error) {
        this.#options.onError(error);
      }
    }
  }

  async #findWaiting(): Promise<string[]> {
    const { db, region } = this.#options;
    const waiting = await systemTransaction(db, (tx) => listWaitingCarriers(tx, region));
    return [...new Set(waiting.map(({ carrierId }) => carrierId))];
  }
}

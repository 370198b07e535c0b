import { setTimeout as wait } from "node:timers/promises";
import { type Database, systemTransaction } from "../store/database.ts";
import { listWaitingCarriers } from "../store/quarantine.ts";

export interface ReleaseJobOptions {
  db: Database;
  /** Judges one carrier's waiting records again; safe to run in several processes at once. */
  release: (carrierId: string, signal: AbortSignal) => Promise<number>;
  /** How often waiting records are looked for, milliseconds. Default 5,000. */
  intervalMs?: number;
  onError: (error: unknown) => void;
}

/**
 * Looks for records in quarantine whose carrier's numbers have changed since they were judged, in whatever process that was, and has them judged
 * again. A change in this process does not wait for it: `wake` does the same for one carrier at once.
 */
export class ReleaseQuarantinedJob implements AsyncDisposable {
  readonly #options: ReleaseJobOptions;
  readonly #stop = new AbortController();
  readonly #woken = new Set<string>();
  readonly #running: Promise<void>;
  #wakeUp: AbortController = new AbortController();

  constructor(options: ReleaseJobOptions) {
    this.#options = options;
    this.#running = this.#run();
  }

  /** Has a carrier's waiting records judged at once. */
  wake(carrierId: string): void {
    this.#woken.add(carrierId);
    this.#wakeUp.abort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await wait(this.#options.intervalMs ?? 5_000, undefined, {
        signal: AbortSignal.any([signal, this.#wakeUp.signal]),
      }).catch(() => {});
      if (signal.aborted) break;
      this.#wakeUp = new AbortController();
      try {
        await this.#turn(signal);
      } catch (error) {
        this.#options.onError(error);
      }
    }
  }

  async #turn(signal: AbortSignal): Promise<void> {
    const woken = [...this.#woken];
    this.#woken.clear();
    const waiting = woken.length > 0 ? woken : await this.#findWaiting();
    for (const carrierId of waiting) {
      if (signal.aborted) return;
      await this.#options.release(carrierId, signal);
    }
  }

  async #findWaiting(): Promise<string[]> {
    const waiting = await systemTransaction(this.#options.db, listWaitingCarriers);
    return [...new Set(waiting.map(({ carrierId }) => carrierId))];
  }
}

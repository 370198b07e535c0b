import { randomUUID } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import type { DeliveryWatch } from "../domain/delivery-watch.ts";
import { type ErasureRunOptions, LEASE_S, runErasure } from "../erasure/run-erasure.ts";
import { asOwn } from "../store/database/callers.ts";
import { systemTransaction } from "../store/database/database.ts";
import { every, Wake } from "../store/database/every.ts";
import { LeaseLost, withLease } from "../store/database/job-lease.ts";
import { beat, forgetProcess } from "../store/database/serving-processes.ts";
import { areAnyUnwritten, findErasuresToRun } from "../store/privacy/erasures.ts";

export interface EraseJobOptions extends Omit<ErasureRunOptions, "signal" | "holder"> {
  /** What the process has read and not yet sent. */
  readonly deliveries: DeliveryWatch;
  /** How old what is read may be already when it is given out from memory, milliseconds. */
  readonly sharedAgeMs: number;
  /** Between two looks for something to do, milliseconds. Default 1,000. */
  readonly intervalMs?: number;
  /** Between two signs of life while an erasure is carried out, milliseconds. Default 10,000. */
  readonly beatMs?: number;
  readonly onError: (error: unknown) => void;
}

const JOB = "erase";
/** An erasure reaches every carrier. */
const ACROSS_CARRIERS = "";
/** Most erasures of one turn. */
const MOST = 100;
/** An idle process says this seldom that it lives; while erasures drain, with every turn. */
const IDLE_BEAT_MS = 10_000;

/** Carries erasures out, and tells how far back this process may still deliver. */
export class EraseJob implements AsyncDisposable {
  readonly #options: EraseJobOptions;
  readonly #stop = new AbortController();
  readonly #holder = randomUUID();
  readonly #wake = new Wake();
  #running: Promise<void> | undefined;
  #beatAtMs = 0;

  constructor(options: EraseJobOptions) {
    this.#options = options;
  }

  /** Says that this process serves. `mustFirst`: erasures must be done before anything is read. */
  async start(mustFirst: boolean): Promise<void> {
    await this.#beat(true);
    // Every process of a restored database does so first, or waits. Others' deliveries need not be
    // waited for: what this one reads from here on is erased.
    const { db, intervalMs = 1_000 } = this.#options;
    for (let isWaiting = mustFirst; isWaiting; ) {
      await this.#turn();
      isWaiting = await systemTransaction(db, areAnyUnwritten);
      if (isWaiting) await wait(intervalMs);
    }
    this.#running = this.#run();
  }

  /** Has a new erasure begun at once. */
  wake(): void {
    this.#wake.call();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await systemTransaction(this.#options.db, (tx) => forgetProcess(tx, this.#holder)).catch(this.#options.onError);
  }

  #run(): Promise<void> {
    const { signal } = this.#stop;
    const { intervalMs = 1_000 } = this.#options;
    const onError = (error: unknown) => signal.aborted || this.#options.onError(error);
    const { pulse } = this.#options.db;
    return every({ intervalMs, firstMs: intervalMs, signal, onError, wake: this.#wake, pulse }, async () => {
      const isIdle = await this.#turn();
      return isIdle ? Math.max(1, this.#beatAtMs - performance.now()) : intervalMs;
    });
  }

  /** @returns whether there was nothing to do. */
  async #turn(): Promise<boolean> {
    const { db } = this.#options;
    const waiting = await systemTransaction(db, (tx) => findErasuresToRun(tx, MOST));
    await this.#beat(waiting.length > 0);
    if (waiting.length === 0) return true;
    const failed: unknown[] = [];
    const request = { carrierId: ACROSS_CARRIERS, job: JOB, holder: this.#holder, ttlS: LEASE_S };
    await withLease(db, request, async (lease) => {
      for (const erasure of waiting) {
        const options = { ...this.#options, signal: this.#stop.signal, holder: this.#holder };
        await this.#alive(runErasure(options, lease, erasure)).catch((error: unknown) => {
          if (error instanceof LeaseLost || this.#stop.signal.aborted) throw error;
          // One that cannot be carried out must not keep others from it.
          failed.push(error);
        });
        await this.#beat(true);
      }
    });
    if (failed.length > 0) throw failed[0];
    return false;
  }

  // An erasure may take hours, and the silent are taken for dead, with what they may still deliver.
  async #alive(running: Promise<void>): Promise<void> {
    const stop = new AbortController();
    const { beatMs: intervalMs = IDLE_BEAT_MS, onError } = this.#options;
    const beating = every({ intervalMs, firstMs: intervalMs, signal: stop.signal, onError }, () => this.#beat(true));
    try {
      await running;
    } finally {
      stop.abort();
      await beating;
    }
  }

  async #beat(isAwaited: boolean): Promise<void> {
    const { db, deliveries, sharedAgeMs } = this.#options;
    if (!isAwaited && performance.now() < this.#beatAtMs) return;
    // However busy other jobs are: the deliveries of a silent process are forgotten.
    await asOwn("sign of life", () =>
      systemTransaction(db, (tx) => beat(tx, this.#holder, () => deliveries.oldestMs + sharedAgeMs)),
    );
    this.#beatAtMs = performance.now() + IDLE_BEAT_MS;
  }
}

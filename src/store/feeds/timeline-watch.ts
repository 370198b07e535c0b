import type { FeedId } from "../../domain/feed-id.ts";
import { asOwn } from "../database/callers.ts";
import { type Database, ownerTransaction, systemTransaction } from "../database/database.ts";
import { every, Wake } from "../database/every.ts";
import { mayReadTimeline, readServerState, readTimeline, type ServerState } from "../database/timeline.ts";
import { type PolledHead, pollFeedHeads } from "./feed-head.ts";
import { beginLostEpochs, type LostEntries } from "./lost-entries.ts";

/** What happens to the server beneath, for the log. */
export interface TimelineEvents {
  /** Another server has taken over: its history may lack what was acknowledged last. */
  onTimeline: (change: { before: bigint; now: bigint }) => void;
  /** A server answers whose history ended when another was promoted. */
  onOlderTimeline: (change: { newest: bigint; now: bigint }) => void;
  onLost: (lost: LostEntries) => void;
  /** A carrier is gone that had just been made. */
  onCarrierLost: (carrierId: string) => void;
  onError: (error: unknown) => void;
}

/** Longest time without a look although nothing was written, milliseconds. */
const QUIET_MS = 15_000;

export interface TimelineWatchOptions extends TimelineEvents {
  readonly db: Database;
  /** How far a replica that takes over may have been behind, milliseconds. */
  readonly replicaLagMs: number;
  /** Between two checks, milliseconds. Default 1,000. */
  readonly intervalMs?: number;
}

/**
 * Notices a failover: asks every second, and with every poll of the heads, which timeline the
 * server writes. When there is a new one, each feed that this process saw further than the new
 * server has it begins a new epoch.
 */
export class TimelineWatch implements AsyncDisposable {
  readonly #options: TimelineWatchOptions;
  readonly #stop = new AbortController();
  readonly #wake = new Wake();
  readonly #loop: Promise<void>;
  readonly #mayAsk: boolean;
  #state: ServerState;
  #isSettled = true;
  #older: bigint | undefined;
  readonly #listeners = new Set<() => void>();

  private constructor(options: TimelineWatchOptions, state: ServerState, mayAsk: boolean) {
    this.#options = options;
    this.#state = state;
    this.#mayAsk = mayAsk;
    options.db.heads.timeline = state.timeline;
    options.db.heads.onRefused = () => this.#unsettle();
    this.#loop = asOwn("timeline", () => this.#run());
  }

  /** Asks for the first time, and goes on asking until it is disposed of. */
  static async open(options: TimelineWatchOptions): Promise<TimelineWatch> {
    const { db } = options;
    const mayAsk = await ownerTransaction(db, mayReadTimeline);
    const state = await systemTransaction(db, (tx) => readServerState(tx, mayAsk));
    return new TimelineWatch(options, state, mayAsk);
  }

  /** Whether the server writes the timeline that was confirmed, as far as is known. */
  get answers(): boolean {
    const { confirmedTimeline } = this.#state;
    const now = this.#options.db.heads.timeline;
    return confirmedTimeline === 0n || now === undefined || now === confirmedTimeline;
  }

  /**
   * Calls a listener when the timeline may have been confirmed, or changed, until it is disposed
   * of.
   */
  watch(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Polls the heads of these carriers' feeds, and with them the timeline. */
  async pollHeads(carrierIds: readonly string[]): Promise<PolledHead[]> {
    const { db } = this.#options;
    const [timeline, heads] = await systemTransaction(db, async (tx) => {
      const before = this.#mayAsk ? await readTimeline(tx) : undefined;
      return [before, await pollFeedHeads(tx, carrierIds)] as const;
    });
    if (timeline === undefined) return heads;
    this.#take(timeline);
    // A head that has stepped back is not noted: whoever locks its row decides.
    for (const head of heads) db.heads.note(head.carrierId, head.feed as FeedId, { ...head, timeline });
    return heads;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#options.db.heads.onRefused = undefined;
    this.#stop.abort();
    await this.#loop;
  }

  #run(): Promise<void> {
    const { signal } = this.#stop;
    const { intervalMs = 1_000, onError } = this.#options;
    const { pulse } = this.#options.db;
    return every({ intervalMs, firstMs: intervalMs, signal, onError, wake: this.#wake, pulse }, () => this.#look());
  }

  /** @returns the longest rest until the next look, milliseconds. */
  async #look(): Promise<number> {
    const confirmedBefore = this.#state.confirmedTimeline;
    this.#state = await systemTransaction(this.#options.db, (tx) => readServerState(tx, this.#mayAsk));
    if (this.#state.confirmedTimeline !== confirmedBefore) this.#tell();
    if (this.#state.timeline !== undefined) this.#take(this.#state.timeline);
    await this.#settle();
    return QUIET_MS;
  }

  // Only the newest timeline counts: an older one is of a server that should no longer be there.
  #take(now: bigint): void {
    const { heads } = this.#options.db;
    const newest = heads.timeline ?? now;
    if (now < newest) {
      if (this.#older !== now) this.#options.onOlderTimeline({ newest, now });
      this.#older = now;
      return;
    }
    this.#older = undefined;
    heads.timeline = now;
    if (now === newest) return;
    this.#options.onTimeline({ before: newest, now });
    this.#tell();
    this.#unsettle();
  }

  #unsettle(): void {
    this.#isSettled = false;
    this.#wake.call();
  }

  // Tried again at each check until it has worked. Whoever is refused meanwhile has it checked once
  // more.
  async #settle(): Promise<void> {
    const { db, replicaLagMs } = this.#options;
    const { timeline } = db.heads;
    if (timeline === undefined || this.#isSettled) return;
    this.#isSettled = true;
    try {
      await beginLostEpochs({ db, timeline, replicaLagMs, events: this.#options });
    } catch (error) {
      this.#isSettled = false;
      throw error;
    }
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

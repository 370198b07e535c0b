import { randomUUID } from "node:crypto";
import type { FeedId } from "../domain/feed-id.ts";
import { RULE_VERSION } from "../domain/matching/result.ts";
import { type ReconcileOptions, reconcileSlice, type WorkLimit } from "../reconcile/reconcile-carrier.ts";
import { type Database, systemTransaction } from "../store/database/database.ts";
import { every } from "../store/database/every.ts";
import {
  listCarriersToReconcile,
  listSetAside,
  readIdleRest,
  settleIdleCarriers,
} from "../store/reconciliation/reconcile-progress.ts";

export interface ReconcileJobOptions {
  readonly db: Database;
  /** Only carriers of this region, whose process it is; undefined: all. */
  readonly region: string | undefined;
  /** Rest before a look at what was written, milliseconds. */
  readonly intervalMs: number;
  /** What is erased at a carrier. */
  readonly readErased?: ReconcileOptions["readErased"];
  readonly onAppended: (carrierId: string, feed: FeedId, headSequence: bigint) => void;
  readonly onError: (error: unknown) => void;
  /** Told after every round which carriers have calls that do not settle, and are set aside. */
  readonly onSetAside?: (carrierIds: readonly string[]) => void;
  /** What one carrier may have done of its work before the next one's turn. */
  readonly turnLimit?: WorkLimit;
}

/** Most carriers of one look. */
const MOST_CARRIERS = 1_000;
/** How far behind now may be what is said of carriers for which there is nothing to do, seconds. */
const IDLE_S = 15;
/** When one of them has to be moved, all are that are so old, seconds. */
const SETTLED_TOGETHER_S = 5;
const TURN_LIMIT: WorkLimit = { steps: 20, ms: 2_000 };
/** Milliseconds; doubles each time that the carrier fails again. */
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 600_000;

/** Reconciles carriers in short turns, each under its lease, until the signal aborts. */
export function runReconcile(options: ReconcileJobOptions, signal: AbortSignal): Promise<void> {
  const { db, region, intervalMs, onSetAside, onError } = options;
  const holder = randomUUID();
  const pauses = new Pauses();
  const reaches = new Map<string, number>();
  let settleAtMs = 0;
  return every({ intervalMs, signal, onError, pulse: db.pulse }, async () => {
    const { wasAny, isAllDone } = await workRound(options, { holder, pauses, reaches, signal });
    if (wasAny) await systemTransaction(db, (tx) => settleIdleCarriers(tx, RULE_VERSION, IDLE_S));
    else if (performance.now() >= settleAtMs)
      await systemTransaction(db, (tx) => settleIdleCarriers(tx, RULE_VERSION, SETTLED_TOGETHER_S));
    onSetAside?.(await systemTransaction(db, (tx) => listSetAside(tx, MOST_CARRIERS, region)));
    if (wasAny) return isAllDone ? intervalMs : 0;
    const { untilDueMs, untilIdleMs } = await systemTransaction(db, (tx) => readIdleRest(tx, IDLE_S, region));
    settleAtMs = performance.now() + untilIdleMs;
    return Math.max(intervalMs, Math.min(untilDueMs, untilIdleMs));
  });
}

/** What lasts from round to round. */
interface Round {
  readonly holder: string;
  readonly pauses: Pauses;
  /** How far turns reach at carriers whose work is not done, minutes. */
  readonly reaches: Map<string, number>;
  readonly signal: AbortSignal;
}

/** Gives each carrier that has something to do one turn, and says whether that is all. */
async function workRound(
  { db, region, readErased, onAppended, onError, turnLimit = TURN_LIMIT }: ReconcileJobOptions,
  { holder, pauses, reaches, signal }: Round,
): Promise<{ wasAny: boolean; isAllDone: boolean }> {
  const had = new Set(pauses.carriers());
  let isAllDone = true;
  while (!signal.aborted) {
    const carrierIds = await systemTransaction(db, (tx) =>
      listCarriersToReconcile(tx, RULE_VERSION, MOST_CARRIERS, { region, except: [...had] }),
    );
    if (carrierIds.length === 0) break;
    for (const carrierId of carrierIds) {
      if (signal.aborted) break;
      had.add(carrierId);
      // One carrier's trouble must not keep the others waiting.
      try {
        const reachMinutes = reaches.get(carrierId);
        const turns = { db, carrierId, holder, signal, readErased, onAppended, reachMinutes };
        const slice = await reconcileSlice(turns, turnLimit);
        // The next slice goes on as far as this one reached, and not from an hour again.
        if (slice?.isDone === false) {
          isAllDone = false;
          reaches.set(carrierId, slice.reachMinutes);
        } else reaches.delete(carrierId);
        pauses.end(carrierId);
      } catch (error) {
        // It may have been too much at once: the next try begins with an hour.
        reaches.delete(carrierId);
        pauses.begin(carrierId);
        onError(error);
      }
    }
  }
  return { wasAny: had.size > 0, isAllDone };
}

// Carriers whose turns fail.
class Pauses {
  readonly #paused = new Map<string, { pauseMs: number; untilMs: number }>();

  carriers(): string[] {
    const now = performance.now();
    return [...this.#paused].flatMap(([carrierId, { untilMs }]) => (untilMs > now ? [carrierId] : []));
  }

  begin(carrierId: string): void {
    const before = this.#paused.get(carrierId)?.pauseMs ?? FIRST_PAUSE_MS / 2;
    const pauseMs = Math.min(LONGEST_PAUSE_MS, before * 2);
    this.#paused.set(carrierId, { pauseMs, untilMs: performance.now() + pauseMs });
  }

  end(carrierId: string): void {
    this.#paused.delete(carrierId);
  }
}

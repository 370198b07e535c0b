import { randomUUID } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import { RULE_VERSION } from "../domain/matching/result.ts";
import { type ReconcileOptions, reconcileCarrier } from "../reconcile/reconcile-carrier.ts";
import { type Database, systemTransaction } from "../store/database.ts";
import { listCarriersToReconcile, settleIdleCarriers } from "../store/reconcile-progress.ts";
import type { Feed } from "../store/schema.ts";

export interface ReconcileJobOptions {
  readonly db: Database;
  /** Only carriers of this region, whose process it is; undefined: all. */
  readonly region: string | undefined;
  /** Rest between two looks for something to do, milliseconds. */
  readonly intervalMs: number;
  /** What is erased at a carrier. */
  readonly readErased?: ReconcileOptions["readErased"];
  readonly onAppended: (carrierId: string, feed: Feed, headSequence: bigint) => void;
  readonly onError: (error: unknown) => void;
}

/** Most carriers of one round. */
const MOST_CARRIERS = 1_000;
/** How far behind now may be what is said of carriers for which there is nothing to do, seconds. */
const IDLE_S = 15;

/**
 * Reconciles every carrier that has something to reconcile, one after the other, until the signal aborts. May run in every process: a lease for each
 * carrier keeps them out of each other's way.
 */
export async function runReconcile(options: ReconcileJobOptions, signal: AbortSignal): Promise<void> {
  const { db, region, intervalMs, readErased, onAppended, onError } = options;
  const holder = randomUUID();
  while (!signal.aborted) {
    try {
      for (const carrierId of await systemTransaction(db, (tx) =>
        listCarriersToReconcile(tx, RULE_VERSION, MOST_CARRIERS, region),
      )) {
        if (signal.aborted) return;
        // One carrier's trouble must not keep the others waiting.
        await reconcileCarrier({ db, carrierId, holder, signal, readErased, onAppended }).catch(onError);
      }
      await systemTransaction(db, (tx) => settleIdleCarriers(tx, RULE_VERSION, IDLE_S));
    } catch (error) {
      onError(error);
    }
    await wait(intervalMs, undefined, { signal }).catch(() => {});
  }
}

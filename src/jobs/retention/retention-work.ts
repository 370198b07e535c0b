import type { Micros } from "../../domain/time/instant.ts";
import type { Database } from "../../store/database/database.ts";
import type { Tx } from "../../store/database/run.ts";

/** One carrier's, or the platform's, retention at work. */
export interface RetentionWork {
  readonly db: Database;
  readonly now: Micros;
  readonly batchSize: number;
  readonly signal: AbortSignal;
  /** Runs a transaction that holds the lease, and rests after it. */
  readonly step: <T>(run: (tx: Tx) => Promise<T>) => Promise<T>;
  /** Rests as after a step that took so long. */
  readonly pause: (tookMs: number) => Promise<void>;
}

/** Repeats a delete until it takes fewer rows than it may. */
export async function drain(work: RetentionWork, some: (limit: number) => Promise<number>): Promise<void> {
  let isMore = true;
  while (isMore && !work.signal.aborted) isMore = (await some(work.batchSize)) >= work.batchSize;
}

import { utcDay } from "../domain/time/instant.ts";
import { wallMicros } from "../domain/time/wall-clock.ts";
import type { Database } from "../store/database/database.ts";
import { every } from "../store/database/every.ts";
import { countPartitionWeeksAhead, ensurePartitions } from "../store/database/partitions.ts";

/**
 * Fewer whole weeks with partitions than this, and somebody should look: a missing partition stops
 * ingest.
 */
const ALARM_WEEKS = 2;

export interface MakePartitionsOptions {
  readonly db: Database;
  /**
   * How long between two turns, milliseconds. Default six hours; start-up has made them already, so
   * the first turn is after one.
   */
  readonly intervalMs?: number;
  readonly onError: (error: unknown) => void;
  /** Told how many weeks are left when partitions run short. */
  readonly onShort: (weeksAhead: number) => void;
}

/**
 * Makes partitions ahead of time for as long as the process lives; several processes may do so at
 * once. Resolves when the signal aborts.
 */
export function runMakePartitions(options: MakePartitionsOptions, signal: AbortSignal): Promise<void> {
  const { db, intervalMs = 21_600_000, onError, onShort } = options;
  return every({ intervalMs, firstMs: intervalMs, signal, onError }, async () => {
    await ensurePartitions(db).catch(onError);
    const weeksAhead = await countPartitionWeeksAhead(db, utcDay(wallMicros())).catch(() => 0);
    if (weeksAhead < ALARM_WEEKS) onShort(weeksAhead);
  });
}

import { utcDay } from "../domain/time/instant.ts";
import { wallMicros } from "../domain/time/wall-clock.ts";
import type { Database } from "../store/database/database.ts";
import { every } from "../store/database/every.ts";
import { countPartitionWeeksAhead, ensurePartitions } from "../store/database/partitions.ts";

/** Fewer weeks ahead than this need attention: a missing partition stops ingest. */
const ALARM_WEEKS = 2;

export interface MakePartitionsOptions {
  readonly db: Database;
  /** Milliseconds. Default six hours; start-up makes them too, so the first turn is after one. */
  readonly intervalMs?: number;
  readonly onError: (error: unknown) => void;
  /** Told how many weeks are left when partitions run short. */
  readonly onShort: (weeksAhead: number) => void;
}

/** Makes partitions ahead of time, in every process. Resolves when the signal aborts. */
export function runMakePartitions(options: MakePartitionsOptions, signal: AbortSignal): Promise<void> {
  const { db, intervalMs = 21_600_000, onError, onShort } = options;
  return every({ intervalMs, firstMs: intervalMs, signal, onError }, async () => {
    await ensurePartitions(db).catch(onError);
    const weeksAhead = await countPartitionWeeksAhead(db, utcDay(wallMicros())).catch(() => 0);
    if (weeksAhead < ALARM_WEEKS) onShort(weeksAhead);
  });
}

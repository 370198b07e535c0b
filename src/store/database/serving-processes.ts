import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { readClock, readValue, run, type Tx } from "./run.ts";

/** A process that was silent for so long counts as dead, seconds. */
const DEAD_AFTER_S = 30;

/**
 * Says that a process lives, and since when it may still deliver what it read.
 * @param oldestReadMs how long ago the oldest of it was read, milliseconds. Asked once the clock
 *   was read, so a slow database makes it seem older, and never younger.
 */
export async function beat(tx: Tx, processId: string, oldestReadMs: () => number): Promise<void> {
  const clock = isoFromMicros(await readClock(tx));
  await run(tx)`
    INSERT INTO serving_process (process_id, beat_time, clear_time)
    VALUES (${processId}, clock_timestamp(), ${clock}::timestamptz - make_interval(secs => ${oldestReadMs() / 1_000}))
    ON CONFLICT (process_id) DO UPDATE SET beat_time = EXCLUDED.beat_time, clear_time = EXCLUDED.clear_time`;
}

export async function forgetProcess(tx: Tx, processId: string): Promise<void> {
  await run(tx)`DELETE FROM serving_process WHERE process_id = ${processId}`;
}

export function countServing(tx: Tx): Promise<number> {
  return readValue(tx)<number>`
    SELECT count(*)::int4 AS count FROM serving_process
    WHERE beat_time >= clock_timestamp() - make_interval(secs => ${DEAD_AFTER_S})`;
}

/** Whether no living process may still deliver what was read before then. Forgets dead ones. */
export async function areAllClear(tx: Tx, instant: Micros): Promise<boolean> {
  await run(tx)`
    DELETE FROM serving_process WHERE beat_time < clock_timestamp() - make_interval(secs => ${DEAD_AFTER_S})`;
  return readValue(tx)<boolean>`
    SELECT NOT EXISTS (SELECT FROM serving_process WHERE clear_time < ${isoFromMicros(instant)}::timestamptz) AS clear`;
}

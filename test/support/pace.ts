import { setTimeout as wait } from "node:timers/promises";

/**
 * Does something at a pace: a rest between two acts that are repeated until something else ends
 * them. It may last much longer than it should, and nothing may be concluded from it. Ends at once
 * when the signal is aborted.
 */
export async function pace(restMs: number, signal?: AbortSignal): Promise<void> {
  await wait(restMs, undefined, { signal }).catch(() => {});
}

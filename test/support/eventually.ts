import { expect, vi } from "vitest";

/**
 * How long a test waits for what must come, milliseconds. It ends only what hangs: on a machine
 * that is many times slower, everything has come by then. `expect.poll` waits as long, by
 * vitest.config.ts.
 */
export const EVENTUALLY_MS = 180_000;

/**
 * Waits until the clock of this process shows that so much time has passed since `sinceMs`. It may
 * be much more: nothing may be concluded from that.
 */
export async function untilPassed(ms: number, sinceMs: number): Promise<void> {
  await vi.waitFor(() => expect(performance.now() - sinceMs).toBeGreaterThan(ms), { timeout: ms + EVENTUALLY_MS });
}

/** Waits for a condition, which throws as long as it does not hold. */
export function eventually(condition: () => void | Promise<void>, timeoutMs = EVENTUALLY_MS): Promise<void> {
  return vi.waitFor(condition, { timeout: timeoutMs, interval: 20 });
}

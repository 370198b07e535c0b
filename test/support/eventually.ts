import { expect, vi } from "vitest";
import { EVENTUALLY_MS } from "./limits.ts";

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

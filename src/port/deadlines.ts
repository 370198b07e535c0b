import type { IncomingHttpHeaders } from "node:http";

/** Node's longest timer; a longer one would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;
const UNIT_MS: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 0.001, n: 0.000_001 };

/**
 * Removes a deadline that is further off than timers reach, 24 days: clients that want none send
 * the longest there is.
 */
export function forgetFarDeadline(headers: IncomingHttpHeaders): void {
  const [, count = "0", unit = ""] = /^(\d{1,8})([HMSmun])$/.exec(String(headers["grpc-timeout"])) ?? [];
  if (Number(count) * (UNIT_MS[unit] ?? 0) > MAX_TIMER_MS) delete headers["grpc-timeout"];
  if (/^\d{1,10}$/.test(String(headers["connect-timeout-ms"])) && Number(headers["connect-timeout-ms"]) > MAX_TIMER_MS)
    delete headers["connect-timeout-ms"];
}

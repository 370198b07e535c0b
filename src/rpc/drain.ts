import { once } from "node:events";
import { draining as drainingError } from "../domain/errors.ts";
import type { Port, PortResponse } from "../port/port.ts";
import type { HealthState } from "./health.ts";
import { toConnectError } from "./shared/errors.ts";

/** How much of the drain's time a call has to end by itself before its signal is aborted. */
const PATIENT_SHARE = 0.75;
/** How long connections without calls have to close in order, milliseconds. */
const GOODBYE_MS = 1_500;
/** How often a stream is asked whether its last bytes have left, milliseconds. */
export const SENT_POLL_MS = 5;

interface Drain {
  readonly port: Port;
  readonly health: HealthState;
  readonly calls: ReadonlySet<PortResponse>;
  readonly shutdown: AbortController;
  readonly draining: AbortController;
  readonly limitMs: number;
}

/**
 * Ends a server: it takes no new calls, gives those that run `limitMs` in all to end, and destroys
 * what is left.
 */
export async function drainServer({ port, health, calls, shutdown, draining, limitMs }: Drain): Promise<void> {
  health.stopServing();
  const reason = toConnectError(drainingError(), undefined, () => {});
  draining.abort(reason);
  port.stopAccepting();
  await untilEmpty(calls, limitMs * PATIENT_SHARE);
  shutdown.abort(reason);
  await untilEmpty(calls, limitMs * (1 - PATIENT_SHARE));
  if (calls.size === 0) await port.untilQuiet(GOODBYE_MS);
  await port.destroy();
}

async function untilEmpty(calls: ReadonlySet<PortResponse>, limitMs: number): Promise<void> {
  const deadline = AbortSignal.timeout(Math.round(limitMs));
  for (let [call] = calls; call && !deadline.aborted; [call] = calls) {
    await once(call, "close", { signal: deadline }).catch(() => {});
  }
}

import type { Meter } from "@opentelemetry/api";
import type { Logger } from "pino";
import { createGauge } from "../telemetry/instruments.ts";

/**
 * Tells of carriers that have calls which do not settle: how many in a metric, and which in the
 * log, each once.
 */
export function watchSetAside(meter: Meter, log: Logger): (carrierIds: readonly string[]) => void {
  let known: ReadonlySet<string> = new Set();
  createGauge(meter, "tandem_reconcile_carriers_set_aside").addCallback((observed) => observed.observe(known.size));
  return (carrierIds) => {
    for (const carrierId of carrierIds) {
      if (known.has(carrierId)) continue;
      log.warn({ carrierId }, "calls of a carrier do not settle and are set aside; see `tandem reconcile status`");
    }
    known = new Set(carrierIds);
  };
}

import type { Config } from "../config/config.ts";
import type { Database } from "../store/database/database.ts";
import { type Measuring, openMeasuring } from "../telemetry/measuring.ts";
import { openTracing, type Tracing } from "../telemetry/tracing.ts";
import { observeProcess } from "./observe-process.ts";
import { observeStore } from "./observe-store.ts";
import { Readiness } from "./readiness.ts";

/** What a process tells of itself. */
export interface Telemetry {
  readonly measuring: Measuring;
  /** Undefined: nothing is traced. */
  readonly tracing: Tracing | undefined;
  readonly readiness: Readiness;
}

/** Opens the ways that metrics and traces take, if any. They are closed with `opening`. */
export async function openTelemetry(
  config: Pick<Config, "metrics" | "telemetry">,
  opening: AsyncDisposableStack,
): Promise<Telemetry> {
  const readiness = new Readiness();
  const measuring = opening.use(await openMeasuring(config.metrics, config.telemetry, () => readiness.why));
  const tracing = await openTracing(config.telemetry);
  if (tracing) opening.use(tracing);
  return { measuring, tracing, readiness };
}

/** Tells from now on how the process and the carriers do, until disposed. */
export function observe(
  { measuring, readiness }: Telemetry,
  store: { readonly db: Database; readonly region: string | undefined; readonly onError: (error: unknown) => void },
): Disposable {
  const stack = new DisposableStack();
  if (!measuring.isOn) return stack;
  stack.use(observeProcess(measuring.meter, () => readiness.why === undefined));
  stack.use(observeStore(measuring.meter, store));
  return stack;
}

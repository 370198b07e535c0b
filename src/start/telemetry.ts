import { DiagLogLevel, diag } from "@opentelemetry/api";
import type { Logger } from "pino";
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
  log: Logger,
): Promise<Telemetry> {
  const readiness = new Readiness();
  const measuring = opening.use(await openMeasuring(config.metrics, config.telemetry, () => readiness.why));
  const tracing = await openTracing(config.telemetry);
  if (tracing) opening.use(tracing);
  if (config.telemetry.traces || config.telemetry.metrics) opening.use(logTroubles(log));
  return { measuring, tracing, readiness };
}

/** Least pause between two lines of the log on what could not be sent, milliseconds. */
const TROUBLES_MS = 60_000;

// A collector that is away would else be noticed by nobody.
function logTroubles(log: Logger): Disposable {
  let toldAt = Number.NEGATIVE_INFINITY;
  const tell = (trouble: string) => {
    if (performance.now() - toldAt < TROUBLES_MS) return;
    toldAt = performance.now();
    log.warn({ trouble: trouble.slice(0, 300) }, "traces or metrics could not be sent by OTLP");
  };
  const nothing = () => {};
  const logger = { error: tell, warn: tell, info: nothing, debug: nothing, verbose: nothing };
  diag.setLogger(logger, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  return { [Symbol.dispose]: () => diag.disable() };
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

import type { Meter } from "@opentelemetry/api";
import { EventLoopWatch } from "../telemetry/event-loop.ts";
import { createGauge } from "../telemetry/instruments.ts";

/** Tells how the process itself does, until disposed. */
export function observeProcess(meter: Meter, isReady: () => boolean): Disposable {
  const watch = new EventLoopWatch();
  createGauge(meter, "tandem_ready").addCallback((observed) => observed.observe(isReady() ? 1 : 0));
  createGauge(meter, "tandem_event_loop_delay_seconds").addCallback((observed) => {
    for (const [statistic, seconds] of Object.entries(watch.read() ?? {})) observed.observe(seconds, { statistic });
  });
  return watch;
}

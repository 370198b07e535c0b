import type { Meter } from "@opentelemetry/api";
import type { CallerKind } from "../store/database/callers.ts";
import type { LaneState, Lanes } from "../store/database/lanes.ts";
import { createGauge, createHistogram } from "../telemetry/instruments.ts";

/**
 * Measures who holds the pool's connections and who waits for one, until it is disposed. Labels:
 * lane, which is the kind of caller and never who it is.
 */
export function measureConnections(meter: Meter, lanes: Lanes, connections: number): Disposable {
  const held = createGauge(meter, "tandem_database_connections_held");
  const waiting = createGauge(meter, "tandem_database_connections_waited_for");
  const longest = createGauge(meter, "tandem_database_longest_wait_seconds");
  const waits = createHistogram(meter, "tandem_database_wait_seconds");
  createGauge(meter, "tandem_database_connections_limit").addCallback((observed) => observed.observe(connections));
  meter.addBatchObservableCallback(
    (observed) => {
      for (const [lane, state] of Object.entries(lanes.state) as [CallerKind, LaneState][]) {
        observed.observe(held, state.held, { lane });
        observed.observe(waiting, state.waiting, { lane });
        observed.observe(longest, state.longestWaitMs / 1_000, { lane });
      }
    },
    [held, waiting, longest],
  );
  return lanes.watch(({ kind }, waitedMs) => waits.record(waitedMs / 1_000, { lane: kind }));
}

import type { Meter } from "@opentelemetry/api";
import type { CallerKind } from "../store/database/callers.ts";
import type { LaneState, Lanes } from "../store/database/lanes.ts";

/**
 * Measures who holds the pool's connections and who waits for one, until it is disposed. Labels:
 * lane, which is the kind of caller and never who it is.
 */
export function measureConnections(meter: Meter, lanes: Lanes): Disposable {
  const held = meter.createObservableGauge("tandem_database_connections_held", {
    description: "Database connections in use, by kind of caller",
  });
  const waiting = meter.createObservableGauge("tandem_database_connections_waited_for", {
    description: "Waits for a database connection at the moment, by kind of caller",
  });
  const longest = meter.createObservableGauge("tandem_database_longest_wait_seconds", {
    description: "How long the one has waited that waits for longest at the moment, by kind of caller",
  });
  const waits = meter.createHistogram("tandem_database_wait_seconds", {
    description: "How long a database connection was waited for, by kind of caller",
    advice: { explicitBucketBoundaries: [0, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5] },
  });
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

import type { Counter, Histogram, Meter, UpDownCounter } from "@opentelemetry/api";
import type { VerdictCounts } from "../../domain/calls/verdict.ts";

/**
 * What the server counts. Labels are of few values: methods, codes, feeds; never a carrier, a
 * number or an id.
 */
export interface Metrics {
  /** Calls that ended. Labels: method, code. */
  readonly calls: Counter;
  /** How long unary calls took, seconds. Labels: method. */
  readonly callDuration: Histogram;
  /** Streams that live. Labels: method. */
  readonly liveStreams: UpDownCounter;
  /** Records acknowledged after their commit. Labels: method, verdict. */
  readonly recordsAcknowledged: Counter;
  /** Records sent on feed streams. Labels: method. */
  readonly recordsSent: Counter;
}

/** Makes the instruments. */
export function createMetrics(meter: Meter): Metrics {
  return {
    calls: meter.createCounter("tandem_calls", { description: "Calls that ended, by method and status code" }),
    callDuration: meter.createHistogram("tandem_call_duration_seconds", {
      description: "How long unary calls took",
      advice: { explicitBucketBoundaries: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] },
    }),
    liveStreams: meter.createUpDownCounter("tandem_live_streams", { description: "Streams that live, by method" }),
    recordsAcknowledged: meter.createCounter("tandem_records_acknowledged", {
      description: "Uploaded records acknowledged after their commit, by method and verdict",
    }),
    recordsSent: meter.createCounter("tandem_records_sent", { description: "Records sent on feed streams, by method" }),
  };
}

/** Counts records that were acknowledged after their commit. */
export function countAcknowledged(metrics: Metrics, method: string, counts: VerdictCounts): void {
  for (const [verdict, count] of Object.entries(counts)) {
    if (count > 0) metrics.recordsAcknowledged.add(count, { method, verdict });
  }
}

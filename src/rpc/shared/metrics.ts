import type { Counter, Histogram, Meter, UpDownCounter } from "@opentelemetry/api";
import type { VerdictCounts } from "../../domain/calls/verdict.ts";
import { createCounter, createHistogram, createLevel } from "../../telemetry/instruments.ts";

/**
 * What the server counts. Labels are of few values: methods, codes, feeds; never a carrier, a
 * number or an id.
 */
export interface Metrics {
  /** Calls that ended. Labels: method, code. */
  readonly calls: Counter;
  /** How long unary calls took, seconds. Labels: method. */
  readonly callDuration: Histogram;
  /** How long calls took, seconds, by the conventions for RPC; no stream that lives on. */
  readonly serverCallDuration: Histogram;
  /** Streams that live. Labels: method. */
  readonly liveStreams: UpDownCounter;
  /** Records acknowledged after their commit. Labels: method, verdict. */
  readonly recordsAcknowledged: Counter;
  /** Records sent on feed streams. Labels: method. */
  readonly recordsSent: Counter;
  /** How old a page's newest record was when it was sent, seconds. Labels: method. */
  readonly deliveryDelay: Histogram;
}

/** Makes the instruments. */
export function createMetrics(meter: Meter): Metrics {
  return {
    calls: createCounter(meter, "tandem_calls"),
    callDuration: createHistogram(meter, "tandem_call_duration_seconds"),
    serverCallDuration: createHistogram(meter, "rpc.server.call.duration"),
    liveStreams: createLevel(meter, "tandem_live_streams"),
    recordsAcknowledged: createCounter(meter, "tandem_records_acknowledged"),
    recordsSent: createCounter(meter, "tandem_records_sent"),
    deliveryDelay: createHistogram(meter, "tandem_delivery_delay_seconds"),
  };
}

/** Counts records that were acknowledged after their commit. */
export function countAcknowledged(metrics: Metrics, method: string, counts: VerdictCounts): void {
  for (const [verdict, count] of Object.entries(counts)) {
    if (count > 0) metrics.recordsAcknowledged.add(count, { method, verdict });
  }
}

import type { Counter, Histogram, Meter, ObservableGauge, UpDownCounter } from "@opentelemetry/api";
import { type CounterName, factsOf, type GaugeName, type HistogramName, type MetricName } from "./catalogue.ts";

// Instruments as the catalogue describes them.

export function createCounter(meter: Meter, name: CounterName): Counter {
  return meter.createCounter(name, optionsOf(name));
}

/** For what is counted up and down by events. Of what is read anew each time: `createGauge`. */
export function createLevel(meter: Meter, name: GaugeName): UpDownCounter {
  return meter.createUpDownCounter(name, optionsOf(name));
}

/** Observable: a carrier that is gone disappears. Any other gauge would keep its last value. */
export function createGauge(meter: Meter, name: GaugeName): ObservableGauge {
  return meter.createObservableGauge(name, optionsOf(name));
}

export function createHistogram(meter: Meter, name: HistogramName): Histogram {
  return meter.createHistogram(name, optionsOf(name));
}

function optionsOf(name: MetricName) {
  const { meaning, unit, buckets } = factsOf(name);
  return {
    description: meaning,
    ...(unit && { unit }),
    ...(buckets && { advice: { explicitBucketBoundaries: [...buckets] } }),
  };
}

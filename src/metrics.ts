import { createNoopMeter, type Meter } from "@opentelemetry/api";
import { PrometheusExporter } from "@opentelemetry/exporter-prometheus";
import { MeterProvider } from "@opentelemetry/sdk-metrics";

/** Where metrics go. */
export interface MetricsEndpoint extends AsyncDisposable {
  readonly meter: Meter;
}

/** Serves metrics to Prometheus at /metrics; without an address, nothing is measured. */
export async function openMetrics(address: { host: string; port: number } | undefined): Promise<MetricsEndpoint> {
  if (!address) return { meter: createNoopMeter(), [Symbol.asyncDispose]: async () => {} };
  const exporter = new PrometheusExporter({
    ...address,
    preventServerStart: true,
    withoutScopeInfo: true,
    withoutTargetInfo: true,
  });
  const provider = new MeterProvider({ readers: [exporter] });
  await exporter.startServer();
  return { meter: provider.getMeter("tandem"), [Symbol.asyncDispose]: () => provider.shutdown() };
}

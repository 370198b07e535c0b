import { createNoopMeter, type Meter } from "@opentelemetry/api";
import type { MetricReader } from "@opentelemetry/sdk-metrics";
import { openDoors } from "./doors.ts";
import type { MetricsExport, TelemetryConfig } from "./settings.ts";

/** Where metrics go. */
export interface Measuring extends AsyncDisposable {
  readonly meter: Meter;
  /** Whether anything is measured. Without it no gauge need read the database. */
  readonly isOn: boolean;
}

/**
 * Most sets of labels of one metric. Beyond it, further sets become one, with the label
 * `otel_metric_overflow`: an alert watches it. Carriers times consumers have to stay below.
 */
const MOST_SETS = 20_000;

/**
 * Serves /metrics, /livez and /readyz at an address, and sends metrics by OTLP, each if asked to.
 * If neither is, nothing is measured and nothing of the SDK is loaded.
 * @param notReady says why the process does not serve; undefined: it serves.
 */
export async function openMeasuring(
  address: { readonly host: string; readonly port: number } | undefined,
  { metrics: sent, resource }: Pick<TelemetryConfig, "metrics" | "resource">,
  notReady: () => string | undefined,
): Promise<Measuring> {
  if (!address && !sent) return { meter: createNoopMeter(), isOn: false, [Symbol.asyncDispose]: async () => {} };
  await using opening = new AsyncDisposableStack();
  const { MeterProvider } = await import("@opentelemetry/sdk-metrics");
  const { resourceFromAttributes } = await import("@opentelemetry/resources");
  const readers: MetricReader[] = [];
  if (address) {
    const { PrometheusExporter } = await import("@opentelemetry/exporter-prometheus");
    const exporter = new PrometheusExporter({
      preventServerStart: true,
      withoutScopeInfo: true,
      withoutTargetInfo: true,
    });
    readers.push(exporter);
    opening.use(
      await openDoors({
        ...address,
        notReady,
        answerMetrics: (request, response) => exporter.getMetricsRequestHandler(request, response),
      }),
    );
  }
  if (sent) readers.push(await createSender(sent));
  const provider = new MeterProvider({
    readers,
    resource: resourceFromAttributes(resource),
    views: [{ instrumentName: "*", aggregationCardinalityLimit: MOST_SETS }],
  });
  // A collector that is away must not hold up the end.
  opening.defer(() => provider.shutdown({ timeoutMillis: 5_000 }).catch(() => {}));
  const resources = opening.move();
  return { meter: provider.getMeter("tandem"), isOn: true, [Symbol.asyncDispose]: () => resources.disposeAsync() };
}

async function createSender({ url, intervalMs, timeoutMs }: MetricsExport): Promise<MetricReader> {
  const { PeriodicExportingMetricReader } = await import("@opentelemetry/sdk-metrics");
  const { OTLPMetricExporter } = await import("@opentelemetry/exporter-metrics-otlp-proto");
  return new PeriodicExportingMetricReader({
    exporter: new OTLPMetricExporter({ url }),
    exportIntervalMillis: intervalMs,
    exportTimeoutMillis: timeoutMs,
  });
}

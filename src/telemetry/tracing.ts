import {
  type Context,
  context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  type SpanOptions,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import type { Sampler, TelemetryConfig } from "./settings.ts";

/** Where spans come from. Nobody has one while tracing is off. */
export interface Tracing extends AsyncDisposable {
  readonly tracer: Tracer;
  /** The context of a caller's span, as its headers name it. */
  readonly parentOf: (headers: Headers) => Context;
}

/**
 * Opens what sends traces by OTLP, if it is asked for; else it loads nothing of the SDK and returns
 * undefined.
 */
export async function openTracing({
  traces,
  resource,
}: Pick<TelemetryConfig, "traces" | "resource">): Promise<Tracing | undefined> {
  if (!traces) return undefined;
  const { BatchSpanProcessor, TracerProvider } = await import("@opentelemetry/sdk-trace");
  const { OTLPTraceExporter } = await import("@opentelemetry/exporter-trace-otlp-proto");
  const { W3CTraceContextPropagator } = await import("@opentelemetry/core");
  const { resourceFromAttributes } = await import("@opentelemetry/resources");
  const { AsyncLocalStorageContextManager } = await import("@opentelemetry/context-async-hooks");
  // Fails if there is one already, of whoever runs Tandem in a process of their own: as good.
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const propagator = new W3CTraceContextPropagator();
  const provider = new TracerProvider({
    resource: resourceFromAttributes(resource),
    sampler: await createSampler(traces.sampler),
    spanLimits: { attributeCountLimit: 32, attributeValueLengthLimit: 256, linkCountLimit: 32, eventCountLimit: 8 },
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: new OTLPTraceExporter({ url: traces.url }),
        maxQueueSize: traces.maxQueueSize,
        maxExportBatchSize: traces.maxExportBatchSize,
        scheduledDelayMillis: traces.scheduledDelayMs,
        exportTimeoutMillis: traces.exportTimeoutMs,
      }),
    ],
  });
  return {
    tracer: provider.getTracer("tandem"),
    parentOf: (headers) => propagator.extract(ROOT_CONTEXT, headers, TRACEPARENT),
    // A collector that is away must not hold up the end.
    [Symbol.asyncDispose]: () => withinLimit(provider.shutdown().catch(() => {})),
  };
}

// Only which trace it is: tracestate and baggage are texts of others.
const TRACEPARENT = {
  keys: () => ["traceparent"],
  get: (headers: Headers, name: string) => (name === "traceparent" ? (headers.get(name) ?? undefined) : undefined),
};

/** Longest time for the last spans to leave, milliseconds. */
const SHUTDOWN_MS = 5_000;

async function withinLimit(work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, SHUTDOWN_MS);
  });
  await Promise.race([work, limit]).finally(() => clearTimeout(timer));
}

async function createSampler({ ratio, asksParent }: Sampler) {
  const { ParentBasedSampler, TraceIdRatioBasedSampler } = await import("@opentelemetry/sdk-trace");
  const root = new TraceIdRatioBasedSampler(ratio);
  return asksParent ? new ParentBasedSampler({ root }) : root;
}

/** A span of our own work, in a trace of its own that names the present one by a link. */
export function startLinked(tracer: Tracer, name: string, options: SpanOptions): Span {
  const present = trace.getSpanContext(context.active());
  const links = present ? [{ context: present }] : [];
  return tracer.startSpan(name, { ...options, kind: SpanKind.INTERNAL, root: true, links });
}

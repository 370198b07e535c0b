import { randomUUID } from "node:crypto";

/** What the standard variables OTEL_* ask for. Without them nothing is sent. */
export interface TelemetryConfig {
  /** Undefined: no traces are made. */
  readonly traces: TracesExport | undefined;
  /** Undefined: no metrics are sent by OTLP. */
  readonly metrics: MetricsExport | undefined;
  /** What the process is called, with what OTEL_RESOURCE_ATTRIBUTES adds. */
  readonly resource: Readonly<Record<string, string>>;
}

export interface TracesExport {
  readonly url: string;
  readonly sampler: Sampler;
  /** As OTEL_BSP_*: how many spans wait at most and go at once, and for how long, milliseconds. */
  readonly maxQueueSize: number;
  readonly maxExportBatchSize: number;
  readonly scheduledDelayMs: number;
  readonly exportTimeoutMs: number;
}

export interface Sampler {
  /** Whether a call whose caller has decided is decided likewise. */
  readonly asksParent: boolean;
  /** Which share of the others is kept, 0 to 1. */
  readonly ratio: number;
}

export interface MetricsExport {
  readonly url: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
}

type Env = Readonly<Record<string, string | undefined>>;
type Signal = "TRACES" | "METRICS";

/**
 * Reads the standard variables. The exporters themselves read OTEL_EXPORTER_OTLP_HEADERS, _TIMEOUT,
 * _COMPRESSION, _CERTIFICATE, _CLIENT_KEY and _CLIENT_CERTIFICATE.
 * @param mistakes gets what is wrong, by variable.
 */
export function readTelemetry(env: Env, mistakes: string[]): TelemetryConfig {
  const reader = new Reader(env, mistakes);
  const isDisabled = reader.choice("OTEL_SDK_DISABLED", ["true", "false"], "false") === "true";
  const tracesUrl = isDisabled ? undefined : reader.url("TRACES", ["otlp", "none"]);
  const metricsUrl = isDisabled ? undefined : reader.url("METRICS", ["otlp", "prometheus", "none"]);
  return {
    traces: tracesUrl === undefined ? undefined : { url: tracesUrl, sampler: reader.sampler(), ...reader.batches() },
    metrics:
      metricsUrl === undefined
        ? undefined
        : {
            url: metricsUrl,
            intervalMs: reader.integer("OTEL_METRIC_EXPORT_INTERVAL", 60_000),
            timeoutMs: reader.integer("OTEL_METRIC_EXPORT_TIMEOUT", 30_000),
          },
    resource: reader.resource(),
  };
}

const SAMPLERS = [
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio",
  "always_on",
  "always_off",
  "traceidratio",
] as const;

class Reader {
  readonly #env: Env;
  readonly #mistakes: string[];

  constructor(env: Env, mistakes: string[]) {
    this.#env = env;
    this.#mistakes = mistakes;
  }

  /** Where a signal goes: nowhere (undefined) unless an endpoint is named or it is asked for. */
  url(signal: Signal, exporters: readonly string[]): string | undefined {
    const own = this.#text(`OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`);
    const common = this.#text("OTEL_EXPORTER_OTLP_ENDPOINT");
    const isNamed = own !== undefined || common !== undefined;
    const exporter = this.choice(`OTEL_${signal}_EXPORTER`, exporters, isNamed ? "otlp" : "none");
    if (exporter !== "otlp") return undefined;
    for (const variable of [`OTEL_EXPORTER_OTLP_${signal}_PROTOCOL`, "OTEL_EXPORTER_OTLP_PROTOCOL"])
      this.choice(variable, ["http/protobuf"], "http/protobuf");
    const variable = own === undefined ? "OTEL_EXPORTER_OTLP_ENDPOINT" : `OTEL_EXPORTER_OTLP_${signal}_ENDPOINT`;
    const url = URL.parse(own ?? common ?? "http://localhost:4318");
    if (!url || !/^https?:$/.test(url.protocol)) {
      this.#mistakes.push(`${variable}: expected http://host:port or https://host:port`);
      return undefined;
    }
    // Only the common endpoint is completed; a signal's own is taken as it stands.
    if (own === undefined) url.pathname = `${url.pathname.replace(/\/$/, "")}/v1/${signal.toLowerCase()}`;
    return url.href;
  }

  sampler(): Sampler {
    const name = this.choice("OTEL_TRACES_SAMPLER", SAMPLERS, "parentbased_always_on");
    return { asksParent: name.startsWith("parentbased_"), ratio: this.#ratioOf(name) };
  }

  #ratioOf(sampler: string): number {
    if (sampler.endsWith("always_on")) return 1;
    if (sampler.endsWith("always_off")) return 0;
    const given = this.#text("OTEL_TRACES_SAMPLER_ARG") ?? "1";
    const ratio = Number(given);
    if (ratio >= 0 && ratio <= 1) return ratio;
    this.#mistakes.push("OTEL_TRACES_SAMPLER_ARG: expected a number from 0 to 1");
    return 1;
  }

  batches(): Omit<TracesExport, "url" | "sampler"> {
    const maxQueueSize = this.integer("OTEL_BSP_MAX_QUEUE_SIZE", 2_048);
    return {
      maxQueueSize,
      maxExportBatchSize: Math.min(this.integer("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512), maxQueueSize),
      scheduledDelayMs: this.integer("OTEL_BSP_SCHEDULE_DELAY", 5_000),
      exportTimeoutMs: this.integer("OTEL_BSP_EXPORT_TIMEOUT", 30_000),
    };
  }

  resource(): Record<string, string> {
    const attributes: Record<string, string> = { "service.name": "tandem", "service.instance.id": randomUUID() };
    for (const pair of (this.#text("OTEL_RESOURCE_ATTRIBUTES") ?? "").split(",").filter((text) => text.trim() !== "")) {
      const [name = "", value] = pair.split("=", 2).map((text) => text.trim());
      if (name === "" || value === undefined) {
        this.#mistakes.push("OTEL_RESOURCE_ATTRIBUTES: expected name=value,name=value");
        continue;
      }
      attributes[decoded(name)] = decoded(value);
    }
    const serviceName = this.#text("OTEL_SERVICE_NAME");
    return serviceName === undefined ? attributes : { ...attributes, "service.name": serviceName };
  }

  choice<const Values extends readonly string[]>(variable: string, values: Values, fallback: string): Values[number] {
    const given = this.#text(variable) ?? fallback;
    if (values.includes(given)) return given;
    this.#mistakes.push(`${variable}: expected ${values.join(", ")}`);
    return fallback;
  }

  integer(variable: string, fallback: number): number {
    const given = this.#text(variable);
    if (given === undefined) return fallback;
    const value = Number(given);
    if (Number.isSafeInteger(value) && value >= 1 && value <= 86_400_000) return value;
    this.#mistakes.push(`${variable}: expected a whole number from 1 to 86,400,000`);
    return fallback;
  }

  #text(variable: string): string | undefined {
    const given = this.#env[variable]?.trim();
    // Set and empty means not set, as the OpenTelemetry specification has it too.
    return given === "" ? undefined : given;
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

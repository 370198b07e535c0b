import { describe, expect, test } from "vitest";
import { readTelemetry } from "./settings.ts";

function read(env: Record<string, string>) {
  const mistakes: string[] = [];
  return { ...readTelemetry(env, mistakes), mistakes };
}

test("without an endpoint nothing is sent", () => {
  expect(read({})).toMatchObject({ traces: undefined, metrics: undefined, mistakes: [] });
  expect(read({ OTEL_SERVICE_NAME: "exchange" }).resource).toMatchObject({ "service.name": "exchange" });
});

describe("the endpoints", () => {
  test("the common one is completed by the signal's path", () => {
    const { traces, metrics } = read({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318/base/" });
    expect(traces?.url).toBe("http://collector:4318/base/v1/traces");
    expect(metrics?.url).toBe("http://collector:4318/base/v1/metrics");
  });

  test("a signal's own is taken as it stands, for this signal alone", () => {
    const { traces, metrics } = read({ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "https://collector/in" });
    expect(traces?.url).toBe("https://collector/in");
    expect(metrics).toBeUndefined();
  });

  test.each([[{ OTEL_SDK_DISABLED: "true" }], [{ OTEL_TRACES_EXPORTER: "none", OTEL_METRICS_EXPORTER: "prometheus" }]])(
    "are not used with %j",
    (env: Record<string, string>) => {
      const found = read({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318", ...env });
      expect(found).toMatchObject({ traces: undefined, metrics: undefined, mistakes: [] });
    },
  );
});

test("a sampler asks the parent if it is said to, and keeps a share of the others", () => {
  const env = { OTEL_TRACES_EXPORTER: "otlp", OTEL_TRACES_SAMPLER_ARG: "0.25" };
  expect(read(env).traces?.sampler).toEqual({ asksParent: true, ratio: 1 });
  const samplerOf = (name: string) => read({ ...env, OTEL_TRACES_SAMPLER: name }).traces?.sampler;
  expect(samplerOf("parentbased_traceidratio")).toEqual({ asksParent: true, ratio: 0.25 });
  expect(samplerOf("traceidratio")).toEqual({ asksParent: false, ratio: 0.25 });
  expect(samplerOf("always_off")).toEqual({ asksParent: false, ratio: 0 });
});

test("attributes of the resource are read, percent-decoded, and the service's name wins", () => {
  const { resource } = read({ OTEL_RESOURCE_ATTRIBUTES: "a=1%2C2,service.name=x, b = c", OTEL_SERVICE_NAME: "y" });
  expect(resource).toMatchObject({ a: "1,2", b: "c", "service.name": "y" });
});

test.each([
  [{ OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" }, "OTEL_EXPORTER_OTLP_PROTOCOL: expected http/protobuf"],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: "collector:4318" }, "OTEL_EXPORTER_OTLP_ENDPOINT: expected http://host:port"],
  [{ OTEL_TRACES_EXPORTER: "jaeger" }, "OTEL_TRACES_EXPORTER: expected otlp, none"],
  [{ OTEL_TRACES_SAMPLER: "rare" }, "OTEL_TRACES_SAMPLER: expected"],
  [{ OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "2" }, "OTEL_TRACES_SAMPLER_ARG: expected a number"],
  [{ OTEL_BSP_MAX_QUEUE_SIZE: "0" }, "OTEL_BSP_MAX_QUEUE_SIZE: expected a whole number"],
  [{ OTEL_RESOURCE_ATTRIBUTES: "nothing" }, "OTEL_RESOURCE_ATTRIBUTES: expected name=value"],
])("a mistake names its variable and what was expected: %j", (env: Record<string, string>, mistake) => {
  const { mistakes } = read({ OTEL_EXPORTER_OTLP_ENDPOINT: "http://collector:4318", ...env });
  expect(mistakes).toContainEqual(expect.stringContaining(mistake));
});

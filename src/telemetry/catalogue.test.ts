import {
  ATTR_DB_OPERATION_NAME,
  ATTR_DB_SYSTEM_NAME,
  ATTR_ERROR_TYPE,
  ATTR_RPC_METHOD,
  ATTR_RPC_STATUS_CODE,
  ATTR_RPC_SYSTEM_NAME,
  DB_SYSTEM_NAME_VALUE_POSTGRESQL,
  METRIC_RPC_SERVER_CALL_DURATION,
} from "@opentelemetry/semantic-conventions";
import { expect, test } from "vitest";
import { factsOf, METRICS, type MetricName } from "./catalogue.ts";
import { scrapedName, sentName } from "./scraped-names.ts";

const names = Object.keys(METRICS) as MetricName[];

test("what has a name in OpenTelemetry's conventions has that name", () => {
  expect(names).toContain(METRIC_RPC_SERVER_CALL_DURATION);
  expect(factsOf(METRIC_RPC_SERVER_CALL_DURATION).labels).toEqual([
    ATTR_RPC_SYSTEM_NAME,
    ATTR_RPC_METHOD,
    ATTR_RPC_STATUS_CODE,
    ATTR_ERROR_TYPE,
  ]);
  // Of the span of a COMMIT: src/upload/batch-traces.ts.
  expect([ATTR_DB_SYSTEM_NAME, DB_SYSTEM_NAME_VALUE_POSTGRESQL, ATTR_DB_OPERATION_NAME]).toEqual([
    "db.system.name",
    "postgresql",
    "db.operation.name",
  ]);
});

test("each histogram says where its buckets end, in ascending order, and others have none", () => {
  for (const name of names) {
    const { kind, buckets } = factsOf(name);
    expect([name, buckets !== undefined]).toEqual([name, kind === "histogram"]);
    expect([...(buckets ?? [])].sort((left, right) => left - right)).toEqual(buckets ?? []);
  }
});

test("whatever is in seconds says so in its unit, and in the name that Prometheus shows where it is sent", () => {
  for (const name of names) {
    const isSeconds = factsOf(name).unit === "s";
    expect([name, sentName(name).endsWith("_seconds")]).toEqual([name, isSeconds]);
  }
  expect(sentName("rpc.server.call.duration")).toBe("rpc_server_call_duration_seconds");
  expect(scrapedName("rpc.server.call.duration")).toBe("rpc_server_call_duration");
  expect([scrapedName("tandem_calls"), sentName("tandem_calls")]).toEqual(["tandem_calls_total", "tandem_calls_total"]);
});

test("no label names whom or what it must not: a number, a customer, a record, a cursor or a token", () => {
  const labels = new Set(names.flatMap((name) => factsOf(name).labels));
  expect(
    [...labels].filter((label) => /number|phone|customer|record|cursor|token|upload|identity/.test(label)),
  ).toEqual([]);
});

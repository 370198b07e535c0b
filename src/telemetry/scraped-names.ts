import { factsOf, type MetricName } from "./catalogue.ts";

// Two ways lead to Prometheus, and each names metrics in its own manner.

/** What a metric is called at /metrics: a histogram's samples add `_bucket`, `_sum`, `_count`. */
export function scrapedName(name: MetricName): string {
  const total = factsOf(name).kind === "counter" ? "_total" : "";
  return `${name.replaceAll(".", "_")}${total}`;
}

/** What it is called where Prometheus gets it by OTLP, which writes units into names. */
export function sentName(name: MetricName): string {
  const { kind, unit } = factsOf(name);
  const plain = name.replaceAll(".", "_");
  const seconds = unit === "s" && !plain.endsWith("_seconds") ? "_seconds" : "";
  return `${plain}${seconds}${kind === "counter" ? "_total" : ""}`;
}

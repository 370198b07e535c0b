/** A panel of the dashboard; `{{name}}` in a query is a metric of src/telemetry/catalogue.ts. */
export interface Panel {
  readonly title: string;
  readonly unit: "s" | "short" | "ops" | "none";
  readonly queries: readonly { readonly expr: string; readonly legend: string }[];
}

/** Rows of panels, each under a heading. */
export const ROWS: readonly { readonly title: string; readonly panels: readonly Panel[] }[] = [
  {
    title: "Service",
    panels: [
      { title: "Processes that serve", unit: "none", queries: [{ expr: "{{tandem_ready}}", legend: "{{instance}}" }] },
      {
        title: "Calls that ended",
        unit: "ops",
        queries: [{ expr: "sum by (code) (rate({{tandem_calls}}[5m]))", legend: "{{code}}" }],
      },
      {
        title: "Share of calls that fail by the server's fault",
        unit: "none",
        queries: [
          {
            expr: 'sum(rate({{rpc.server.call.duration}}_count{error_type!=""}[5m])) / sum(rate({{rpc.server.call.duration}}_count[5m]))',
            legend: "faults",
          },
        ],
      },
      {
        title: "Duration of calls, 99th percentile",
        unit: "s",
        queries: [quantile("{{rpc.server.call.duration}}", "rpc_method")],
      },
      {
        title: "Duration of unary calls, 99th percentile",
        unit: "s",
        queries: [quantile("{{tandem_call_duration_seconds}}", "method")],
      },
      {
        title: "Live streams",
        unit: "none",
        queries: [{ expr: "sum by (method) ({{tandem_live_streams}})", legend: "{{method}}" }],
      },
    ],
  },
  {
    title: "Carriers",
    panels: [
      {
        title: "Age of the newest entry",
        unit: "s",
        queries: [
          { expr: "max by (carrier, feed) ({{tandem_feed_newest_entry_age_seconds}})", legend: "{{carrier}} {{feed}}" },
        ],
      },
      {
        title: "Consumers: records behind",
        unit: "short",
        queries: [
          { expr: "max by (carrier, consumer) ({{tandem_consumer_lag_records}})", legend: "{{carrier}} {{consumer}}" },
        ],
      },
      {
        title: "Consumers: time behind",
        unit: "s",
        queries: [
          { expr: "max by (carrier, consumer) ({{tandem_consumer_lag_seconds}})", legend: "{{carrier}} {{consumer}}" },
        ],
      },
      {
        title: "Age of records when a stream sent them, 99th percentile",
        unit: "s",
        queries: [quantile("{{tandem_delivery_delay_seconds}}", "method")],
      },
      {
        title: "Records sent on feeds",
        unit: "ops",
        queries: [{ expr: "sum by (method) (rate({{tandem_records_sent}}[5m]))", legend: "{{method}}" }],
      },
    ],
  },
  {
    title: "Uploads",
    panels: [
      {
        title: "Records by verdict",
        unit: "ops",
        queries: [{ expr: "sum by (verdict) (rate({{tandem_records_acknowledged}}[5m]))", legend: "{{verdict}}" }],
      },
      {
        title: "Duration of commits, 99th percentile",
        unit: "s",
        queries: [quantile("{{tandem_commit_duration_seconds}}", "kind")],
      },
      {
        title: "Records of a commit, median",
        unit: "short",
        queries: [quantile("{{tandem_commit_records}}", "kind", 0.5)],
      },
      {
        title: "Records of a batch, median",
        unit: "short",
        queries: [quantile("{{tandem_upload_batch_records}}", "kind", 0.5)],
      },
    ],
  },
  {
    title: "Reconciliation",
    panels: [
      {
        title: "Records that wait",
        unit: "short",
        queries: [
          { expr: "max by (carrier, feed) ({{tandem_reconcile_backlog_records}})", legend: "{{carrier}} {{feed}}" },
        ],
      },
      {
        title: "For how long they have waited",
        unit: "s",
        queries: [{ expr: "max by (carrier) ({{tandem_reconcile_age_seconds}})", legend: "{{carrier}}" }],
      },
      {
        title: "Carriers with calls set aside",
        unit: "none",
        queries: [{ expr: "max({{tandem_reconcile_carriers_set_aside}})", legend: "carriers" }],
      },
    ],
  },
  {
    title: "Database and process",
    panels: [
      {
        title: "Connections in use",
        unit: "none",
        queries: [
          { expr: "sum by (lane) ({{tandem_database_connections_held}})", legend: "{{lane}}" },
          { expr: "sum({{tandem_database_connections_limit}})", legend: "most" },
        ],
      },
      {
        title: "Waits for a connection",
        unit: "none",
        queries: [{ expr: "sum by (lane) ({{tandem_database_connections_waited_for}})", legend: "{{lane}}" }],
      },
      {
        title: "Longest present wait",
        unit: "s",
        queries: [{ expr: "max by (lane) ({{tandem_database_longest_wait_seconds}})", legend: "{{lane}}" }],
      },
      {
        title: "Wait for a connection, 99th percentile",
        unit: "s",
        queries: [quantile("{{tandem_database_wait_seconds}}", "lane")],
      },
      {
        title: "Event loop: how late",
        unit: "s",
        queries: [
          {
            expr: "max by (instance, statistic) ({{tandem_event_loop_delay_seconds}})",
            legend: "{{instance}} {{statistic}}",
          },
        ],
      },
      {
        title: "Weeks of partitions ahead",
        unit: "none",
        queries: [{ expr: "min({{tandem_partitions_ahead}})", legend: "weeks" }],
      },
      {
        title: "Looks at the database that failed",
        unit: "ops",
        queries: [{ expr: "sum by (what) (rate({{tandem_observation_failures}}[5m]))", legend: "{{what}}" }],
      },
    ],
  },
];

function quantile(histogram: string, label: string, of = 0.99) {
  const expr = `histogram_quantile(${of}, sum by (le, ${label}) (rate(${histogram}_bucket[5m])))`;
  return { expr, legend: `{{${label}}}` };
}

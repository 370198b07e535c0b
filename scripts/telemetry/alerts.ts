/** An alert; `{{name}}` in its expression is a metric of src/telemetry/catalogue.ts. */
export interface Alert {
  readonly name: string;
  readonly expr: string;
  /** How long it has to hold, as Prometheus writes spans. */
  readonly for: string;
  readonly severity: "critical" | "warning";
  readonly summary: string;
}

// Several processes tell the same of the database: the largest counts. docs/operations.md says of
// each alert what to do; a test holds the two together.

export const ALERTS: readonly Alert[] = [
  {
    name: "TandemNotReady",
    expr: "{{tandem_ready}} == 0",
    for: "2m",
    severity: "critical",
    summary: "A process of Tandem has not served for two minutes.",
  },
  {
    name: "TandemAbsent",
    expr: "absent({{tandem_ready}})",
    for: "5m",
    severity: "critical",
    summary: "No process of Tandem tells Prometheus anything.",
  },
  {
    name: "TandemPartitionsRunShort",
    expr: "min({{tandem_partitions_ahead}}) < 2",
    for: "10m",
    severity: "critical",
    summary: "Partitions are made for less than two weeks ahead: ingest will stop.",
  },
  {
    name: "TandemNotObserved",
    expr: "increase({{tandem_observation_failures}}[15m]) > 3",
    for: "5m",
    severity: "warning",
    summary: "What the gauges tell of the database could not be read, so lags and ages are missing.",
  },
  {
    name: "TandemCarrierStoppedReporting",
    expr: 'max by (carrier) ({{tandem_feed_newest_entry_age_seconds}}{feed="durations"}) > 86400',
    for: "15m",
    severity: "warning",
    summary: "The carrier {{ $labels.carrier }} has sent no duration for a day.",
  },
  {
    name: "TandemPlatformStoppedReporting",
    expr: 'min({{tandem_feed_newest_entry_age_seconds}}{feed="cdrs"}) > 3600',
    for: "15m",
    severity: "critical",
    summary: "The platform has sent no call detail record of any carrier for an hour.",
  },
  {
    name: "TandemConsumerBehind",
    expr: "max by (carrier, consumer) ({{tandem_consumer_lag_seconds}}) > 3600",
    for: "15m",
    severity: "warning",
    summary: "The consumer {{ $labels.consumer }} of {{ $labels.carrier }} is over an hour behind.",
  },
  {
    name: "TandemReconciliationBehind",
    expr: "max by (carrier) ({{tandem_reconcile_age_seconds}}) > 900 and on (carrier) max by (carrier) ({{tandem_reconcile_backlog_records}}) > 0",
    for: "15m",
    severity: "warning",
    summary: "Records of {{ $labels.carrier }} have waited for reconciliation for a quarter of an hour.",
  },
  {
    name: "TandemReconciliationSetAside",
    expr: "max({{tandem_reconcile_carriers_set_aside}}) > 0",
    for: "10m",
    severity: "warning",
    summary: "Calls of a carrier do not settle and are set aside.",
  },
  {
    name: "TandemRecordsRefused",
    expr:
      'sum by (method) (rate({{tandem_records_acknowledged}}{verdict=~"rejected|quarantined|conflict"}[15m]))' +
      " / sum by (method) (rate({{tandem_records_acknowledged}}[15m])) > 0.1",
    for: "15m",
    severity: "warning",
    summary: "More than a tenth of the records of {{ $labels.method }} are refused or quarantined.",
  },
  {
    name: "TandemCallsFail",
    expr:
      'sum(rate({{rpc.server.call.duration}}_count{error_type!=""}[5m]))' +
      " / sum(rate({{rpc.server.call.duration}}_count[5m])) > 0.01",
    for: "10m",
    severity: "critical",
    summary: "More than one call in a hundred fails by the server's fault.",
  },
  {
    name: "TandemCallsSlow",
    expr: "histogram_quantile(0.99, sum by (le, rpc_method) (rate({{rpc.server.call.duration}}_bucket[5m]))) > 2.5",
    for: "10m",
    severity: "warning",
    summary: "One call in a hundred of {{ $labels.rpc_method }} takes over 2.5 s.",
  },
  {
    name: "TandemCommitsSlow",
    expr: "histogram_quantile(0.99, sum by (le, kind) (rate({{tandem_commit_duration_seconds}}_bucket[5m]))) > 1",
    for: "10m",
    severity: "warning",
    summary: "One commit in a hundred of {{ $labels.kind }} records takes over a second.",
  },
  {
    name: "TandemWaitsForConnections",
    expr: "max by (lane) ({{tandem_database_longest_wait_seconds}}) > 2",
    for: "5m",
    severity: "warning",
    summary: "Work of the lane {{ $labels.lane }} waits for database connections.",
  },
  {
    name: "TandemEventLoopLate",
    expr: '{{tandem_event_loop_delay_seconds}}{statistic="p99"} > 0.25',
    for: "10m",
    severity: "warning",
    summary: "A process comes to its work over a quarter of a second late.",
  },
  {
    name: "TandemMetricsOverflow",
    expr: 'count({otel_metric_overflow="true"}) > 0',
    for: "10m",
    severity: "warning",
    summary: "A metric has more sets of labels than are kept: some carriers or consumers are not told apart.",
  },
];

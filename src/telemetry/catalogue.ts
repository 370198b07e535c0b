/** What one metric is: everything else that names metrics is made of this table or held to it. */
export interface MetricFacts {
  readonly kind: "counter" | "gauge" | "histogram";
  readonly labels: readonly string[];
  readonly meaning: string;
  /** UCUM. Undefined: a number of things. */
  readonly unit?: "s";
  /** Upper bounds of a histogram's buckets. Without them all calls below 5 s would be in one. */
  readonly buckets?: readonly number[];
}

/** Of what is over within seconds. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Those that the conventions for RPC ask for. */
const CALL_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10];
const WAIT_SECONDS = [0, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
/** From a live reader to one that was away for weeks. */
const LAG_SECONDS = [0.05, 0.1, 0.25, 0.5, 1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400, 604_800, 2_592_000];
const RECORDS = [1, 10, 50, 100, 250, 500, 1_000, 2_000, 4_000, 8_000];

/**
 * Every metric, by its OpenTelemetry name. Labels take few values. A carrier's id and a consumer's
 * name may be labels; a phone number, a customer, a record's id, a cursor or a token never is.
 */
export const METRICS = {
  "rpc.server.call.duration": {
    kind: "histogram",
    labels: ["rpc.system.name", "rpc.method", "rpc.status_code", "error.type"],
    meaning: "How long calls took, by the conventions for RPC. Feeds, watches and uploads are not in it: they live on",
    unit: "s",
    buckets: CALL_SECONDS,
  },
  tandem_calls: {
    kind: "counter",
    labels: ["method", "code"],
    meaning: "Calls that ended, streams among them, by method and status code",
  },
  tandem_call_duration_seconds: {
    kind: "histogram",
    labels: ["method"],
    meaning: "How long unary calls took",
    unit: "s",
    buckets: SECONDS,
  },
  tandem_live_streams: { kind: "gauge", labels: ["method"], meaning: "Streams that live, by method" },
  tandem_records_acknowledged: {
    kind: "counter",
    labels: ["method", "verdict"],
    meaning: "Uploaded records acknowledged after their commit, by method and verdict",
  },
  tandem_records_sent: { kind: "counter", labels: ["method"], meaning: "Records sent on feed streams, by method" },
  tandem_delivery_delay_seconds: {
    kind: "histogram",
    labels: ["method"],
    meaning: "How old the newest record of a page was when a feed stream sent it",
    unit: "s",
    buckets: LAG_SECONDS,
  },
  tandem_commit_duration_seconds: {
    kind: "histogram",
    labels: ["kind"],
    meaning: "How long the transaction took that stored uploaded records, with its wait for a connection",
    unit: "s",
    buckets: SECONDS,
  },
  tandem_commit_records: {
    kind: "histogram",
    labels: ["kind"],
    meaning: "How many uploaded records shared a transaction",
    buckets: RECORDS,
  },
  tandem_upload_batch_records: {
    kind: "histogram",
    labels: ["kind"],
    meaning: "How many records an upload's batch had",
    buckets: RECORDS,
  },
  tandem_database_connections_held: {
    kind: "gauge",
    labels: ["lane"],
    meaning: "Database connections in use, by kind of caller",
  },
  tandem_database_connections_limit: {
    kind: "gauge",
    labels: [],
    meaning: "Most database connections of this process",
  },
  tandem_database_connections_waited_for: {
    kind: "gauge",
    labels: ["lane"],
    meaning: "Waits for a database connection at the moment, by kind of caller",
  },
  tandem_database_longest_wait_seconds: {
    kind: "gauge",
    labels: ["lane"],
    meaning: "How long the one has waited that waits for longest at the moment, by kind of caller",
    unit: "s",
  },
  tandem_database_wait_seconds: {
    kind: "histogram",
    labels: ["lane"],
    meaning: "How long a database connection was waited for, by kind of caller",
    unit: "s",
    buckets: WAIT_SECONDS,
  },
  tandem_ready: { kind: "gauge", labels: [], meaning: "1 while this process serves, as /readyz says; else 0" },
  tandem_event_loop_delay_seconds: {
    kind: "gauge",
    labels: ["statistic"],
    meaning: "How late the process came to its work in the last seconds: p50, p99, max",
    unit: "s",
  },
  tandem_feed_newest_entry_age_seconds: {
    kind: "gauge",
    labels: ["carrier", "feed"],
    meaning: "Age of the newest entry of a carrier's feed; a feed that never had one is not there",
    unit: "s",
  },
  tandem_consumer_lag_records: {
    kind: "gauge",
    labels: ["carrier", "consumer"],
    meaning: "Records that a named consumer of CDRs has not committed yet",
  },
  tandem_consumer_lag_seconds: {
    kind: "gauge",
    labels: ["carrier", "consumer"],
    meaning: "Age of the oldest record that a named consumer of CDRs has not committed yet; 0: it has all",
    unit: "s",
  },
  tandem_reconcile_backlog_records: {
    kind: "gauge",
    labels: ["carrier", "feed"],
    meaning: "Records of a carrier's feed that reconciliation has not judged yet",
  },
  tandem_reconcile_age_seconds: {
    kind: "gauge",
    labels: ["carrier"],
    meaning: "For how long a carrier's records have waited for reconciliation; 0: none waits",
    unit: "s",
  },
  tandem_reconcile_carriers_set_aside: {
    kind: "gauge",
    labels: [],
    meaning: "Carriers of which minutes are set aside, because their calls do not settle",
  },
  tandem_partitions_ahead: {
    kind: "gauge",
    labels: [],
    meaning: "Whole weeks from now for which every table has its partition; at 0 ingest stops at the week's end",
  },
  tandem_observation_failures: {
    kind: "counter",
    labels: ["what"],
    meaning: "Times that what the gauges tell of the database could not be read; they are missing meanwhile",
  },
} as const satisfies Readonly<Record<string, MetricFacts>>;

export type MetricName = keyof typeof METRICS;
type NameOf<Kind extends MetricFacts["kind"]> = {
  [Name in MetricName]: (typeof METRICS)[Name]["kind"] extends Kind ? Name : never;
}[MetricName];
export type CounterName = NameOf<"counter">;
export type GaugeName = NameOf<"gauge">;
export type HistogramName = NameOf<"histogram">;

/** A metric's facts, in their widest type. */
export function factsOf(name: MetricName): MetricFacts {
  return METRICS[name];
}

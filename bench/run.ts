// npm run bench: what Tandem promises of its speed, measured in one run. --json prints one object;
// --quick is for a smoke test, its figures mean little. --against DIR compares with another build:
// [--only MEASURE,...] (upload, backfill and live), [--rounds N] (5).
// --streams N: how many are idle (1000). --proxies: only the live feed behind nginx and HAProxy.
import { fork } from "node:child_process";
import { cpus } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { PROXIES, type ProxyName } from "../test/support/proxies.ts";
import { measureAgainst } from "./against.ts";
import { measureBackfill } from "./backfill.ts";
import { measureFilled } from "./filled.ts";
import { measureFollow } from "./follow.ts";
import { measureIdleServer } from "./idle-server.ts";
import { measureIdleStreams } from "./idle-streams.ts";
import { measureLive, measureLiveBehind } from "./live.ts";
import { measurePeers, type PeerFigures } from "./peers/measure.ts";
import { measureReconcile } from "./reconcile.ts";
import { measureWorkers } from "./reconcile-workers.ts";
import { measureRetention } from "./retention.ts";
import { median } from "./statistics.ts";
import { measureIngests, measureUploads } from "./upload.ts";
import { measureUsage } from "./usage.ts";
import { measureVerify } from "./verify.ts";

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean" },
    quick: { type: "boolean" },
    only: { type: "string" },
    against: { type: "string" },
    rounds: { type: "string", default: "5" },
    streams: { type: "string", default: "1000" },
    proxies: { type: "boolean" },
  },
});
const quick = options.quick ?? false;

const MEASURES = {
  async upload() {
    const rounds = await measureUploads(quick ? 1 : 5, quick ? 5_000 : 60_000);
    const cpu = (part: "server" | "postgres" | "client") => median(rounds.map((each) => each.uploadCpuMicros[part]));
    return {
      upload_over_copy: median(rounds.map((each) => each.uploadPerSecond / each.copyPerSecond)),
      upload_records_per_second: median(rounds.map((each) => each.uploadPerSecond)),
      copy_rows_per_second: median(rounds.map((each) => each.copyPerSecond)),
      upload_server_cpu_us: cpu("server"),
      upload_postgres_cpu_us: cpu("postgres"),
      upload_client_cpu_us: cpu("client"),
      upload_cpu_us: median(rounds.map(({ uploadCpuMicros: { server, postgres } }) => server + postgres)),
      copy_postgres_cpu_us: median(rounds.map((each) => each.copyCpuMicros.postgres)),
    };
  },
  async filled() {
    const { blocksRead, ...figures } = await measureFilled(
      quick ? 40_000 : 20_000_000,
      quick ? 1 : 5,
      quick ? 3_000 : 30_000,
    );
    const blocks = Object.entries(blocksRead).map(([name, each]) => [`filled_blocks_${name}`, each] as const);
    return {
      filled_rows: figures.storedRows,
      filled_over_empty: figures.inOrder.rate,
      filled_random_over_empty: figures.random.rate,
      filled_postgres_cpu_over_empty: figures.inOrder.postgresCpu,
      filled_random_postgres_cpu_over_empty: figures.random.postgresCpu,
      ...Object.fromEntries(blocks),
    };
  },
  async ingest() {
    const rounds = await measureIngests(quick ? 1 : 3, quick ? 3_000 : 20_000);
    const server = median(rounds.map((each) => each.uploadCpuMicros.server));
    const postgres = median(rounds.map((each) => each.uploadCpuMicros.postgres));
    return {
      ingest_records_per_second: median(rounds.map((each) => each.uploadPerSecond)),
      ingest_server_cpu_us: server,
      ingest_postgres_cpu_us: postgres,
      ingest_cpu_us: server + postgres,
    };
  },
  async backfill() {
    const rounds = await measureBackfill(quick ? 1 : 5, quick ? 5_000 : 200_000);
    const of = (figure: (round: (typeof rounds)[number]) => number) => median(rounds.map(figure));
    return {
      backfill_over_memory: of(({ backfill, memory }) => backfill.recordsPerSecond / memory.recordsPerSecond),
      backfill_records_per_second: of(({ backfill }) => backfill.recordsPerSecond),
      memory_records_per_second: of(({ memory }) => memory.recordsPerSecond),
      backfill_cpu_us: of(({ backfill }) => backfill.cpuMicros),
      memory_cpu_us: of(({ memory }) => memory.cpuMicros),
      backfill_cpu_over_memory: of(({ backfill, memory }) => backfill.cpuMicros / memory.cpuMicros),
    };
  },
  async live() {
    const { same, other, ...figures } = await measureLive(quick ? 2 : 20);
    return {
      live_p50_ms: same.p50Ms,
      live_p99_ms: same.p99Ms,
      live_other_p50_ms: other.p50Ms,
      live_other_p99_ms: other.p99Ms,
      live_other_over_same_p99: other.p99Ms / same.p99Ms,
      live_records_per_second: figures.recordsPerSecond,
      live_servers_cpu_us: figures.serversCpuMicros,
      live_postgres_cpu_us: figures.postgresCpuMicros,
    };
  },
  async idle() {
    const { kib, statementsPerSecond } = await measureIdleStreams(
      quick ? 160 : Number(options.streams),
      quick ? 2 : 15,
    );
    return {
      idle_stream_kib: kib,
      idle_statements_over_one: statementsPerSecond.all / statementsPerSecond.one,
      idle_statements_per_second: statementsPerSecond.all,
    };
  },
  async "idle-server"() {
    const figures = await measureIdleServer(quick ? 5 : 60);
    return {
      idle_server_cpu_ms: figures.serverCpuMs,
      idle_server_postgres_cpu_ms: figures.postgresCpuMs,
      idle_server_all_cpu_ms: figures.serverCpuMs + figures.postgresCpuMs,
    };
  },
  async reconcile() {
    const figures = await measureReconcile(quick ? 1 : 100);
    return {
      reconcile_calls_per_second: figures.callsPerSecond,
      reconcile_growth: figures.growth,
      reconcile_server_cpu_us: figures.serverCpuMicros,
      reconcile_postgres_cpu_us: figures.postgresCpuMicros,
      reconcile_cpu_over_join: (figures.serverCpuMicros + figures.postgresCpuMicros) / figures.joinCpuMicros,
      reconcile_join_cpu_us: figures.joinCpuMicros,
    };
  },
  async "reconcile-workers"() {
    const figures = await measureWorkers(quick ? 1 : 3, quick ? 500 : 25_000);
    return {
      workers_cpu_over_one: figures.cpuOverOne,
      workers_rate_over_one: figures.rateOverOne,
      workers_lock_waits: figures.waits,
      workers_busy: figures.busy,
    };
  },
  async usage() {
    const figures = await measureUsage(quick ? 20_000 : 1_000_000);
    return {
      usage_calls_over_sums: figures.callsMs / figures.manyMs,
      usage_growth: figures.manyMs / figures.fewMs,
      usage_ms: figures.manyMs,
      usage_calls_ms: figures.callsMs,
      usage_ported_ms: figures.portedMs,
      usage_moved_ms: figures.movedMs,
      usage_fill_us: figures.fillMicros,
      summary_calls_over_sums: figures.callsSummaryMs / figures.summaryMs,
      summary_growth: figures.summaryMs / figures.fewSummaryMs,
      summary_ms: figures.summaryMs,
      summary_few_ms: figures.fewSummaryMs,
      summary_calls_ms: figures.callsSummaryMs,
      discrepancies_ms: figures.discrepanciesMs,
    };
  },
  async retention() {
    const figures = await measureRetention(quick ? 12_000 : 1_000_000, quick ? 500 : 20_000);
    return {
      retention_write_p99_ratio: figures.writeP99Ms / figures.writeBaselineP99Ms,
      retention_read_p99_ratio: figures.readP99Ms / figures.readBaselineP99Ms,
      retention_write_p99_ms: figures.writeP99Ms,
      retention_read_p99_ms: figures.readP99Ms,
      retention_seconds: figures.seconds,
      retention_deleted_records: figures.deletedRecords,
      retention_left_records: figures.leftRecords,
      retention_dropped_partitions: figures.droppedPartitions,
      retention_mib_before: figures.bytesBefore / 2 ** 20,
      retention_mib_after: figures.bytesAfter / 2 ** 20,
    };
  },
  async follow() {
    const figures = await measureFollow(quick ? 6_000 : 300_000, quick ? 4_000 : 20_000);
    return {
      follow_growth: figures.growth,
      follow_pages_growth: figures.pagesGrowth,
      follow_most_rows: figures.mostRows,
      follow_list_growth: figures.listGrowth,
      follow_list_most_rows: figures.listMostRows,
    };
  },
  async peers() {
    const peers = await measurePeers(quick ? 1 : 5, quick ? 5_000 : 60_000);
    const figures = Object.entries(peers).flatMap(([name, each]) => [
      [`peer_${name}_per_second`, each.recordsPerSecond],
      [`peer_${name}_cpu_us`, each.cpuMicros],
      [`upload_over_${name}`, each.tandemOver],
    ]);
    printPeers(Object.values(peers));
    return Object.fromEntries(figures) as Figures;
  },
  async verify() {
    const figures = await measureVerify(quick ? 20_000 : 5_000_000);
    return {
      verify_rows: figures.rows,
      verify_unanalyzed_seconds: figures.unanalyzedSeconds,
      verify_analyzed_seconds: figures.analyzedSeconds,
      verify_unanalyzed_over_analyzed: figures.unanalyzedSeconds / figures.analyzedSeconds,
    };
  },
};
type Name = keyof typeof MEASURES;
type Figures = Record<string, number>;

const JSON_FIGURES = [
  "upload_over_copy",
  "upload_records_per_second",
  "upload_over_jetstream_atomic",
  "upload_over_jetstream_deduplicated",
  "filled_over_empty",
  "filled_random_over_empty",
  "ingest_records_per_second",
  "ingest_cpu_us",
  "backfill_over_memory",
  "backfill_records_per_second",
  "backfill_cpu_over_memory",
  "live_p50_ms",
  "live_p99_ms",
  "live_other_over_same_p99",
  "idle_stream_kib",
  "idle_statements_over_one",
  "idle_server_all_cpu_ms",
  "reconcile_calls_per_second",
  "reconcile_growth",
  "reconcile_cpu_over_join",
  "workers_cpu_over_one",
  "usage_calls_over_sums",
  "usage_growth",
  "usage_ms",
  "summary_growth",
  "summary_ms",
  "retention_write_p99_ratio",
  "retention_read_p99_ratio",
  "follow_growth",
  "verify_unanalyzed_over_analyzed",
];

// As `npm start` runs it: with a young generation that holds a few batches, what lives for one
// commit is not moved about.
const SERVER_FLAGS = ["--max-semi-space-size=64"];

if (options.against !== undefined) {
  await measureAgainst({
    directory: options.against,
    measures: options.only?.split(",") ?? ["upload", "backfill", "live"],
    rounds: Number(options.rounds),
    args: [...(quick ? ["--quick"] : []), "--streams", options.streams],
  });
} else if (options.proxies) {
  for (const name of PROXIES) await printBehind(name);
} else if (options.only !== undefined) {
  const figures = await MEASURES[options.only as Name]();
  // By hand there is nobody to send it to.
  if (process.send) process.send(figures, () => process.exit(0));
  else process.stdout.write(`${JSON.stringify(figures, undefined, 2)}\n`);
} else await main();

async function main(): Promise<void> {
  const figures: Figures = {};
  for (const name of Object.keys(MEASURES) as Name[]) {
    if (!options.json) process.stderr.write(`measuring ${name} ...\n`);
    Object.assign(figures, await measureApart(name));
  }
  if (options.json) {
    const told = JSON_FIGURES.map((name) => [name, round(figures[name] ?? Number.NaN)]);
    process.stdout.write(`${JSON.stringify(Object.fromEntries(told))}\n`);
  } else printTable(figures);
}

// Each in a process of its own, so that none begins with the heap that another left.
async function measureApart(name: Name): Promise<Figures> {
  const args = ["--only", name, ...(quick ? ["--quick"] : [])];
  const child = fork(fileURLToPath(import.meta.url), args, { execArgv: [...SERVER_FLAGS] });
  return new Promise((resolve, reject) => {
    child.once("message", (figures) => resolve(figures as Figures));
    child.once("exit", (code) => reject(new Error(`measuring ${name} ended with ${code}`)));
  });
}

function printPeers(peers: readonly PeerFigures[]): void {
  for (const { name, lacks, recordsPerSecond, cpuMicros, tandemOver } of peers) {
    const rate = `${Math.round(recordsPerSecond).toLocaleString("en")} records/s, ${cpuMicros.toFixed(1)} µs of CPU a record`;
    const beside = lacks && `; Tandem's rate over it ${tandemOver.toFixed(2)}. ${lacks}`;
    process.stderr.write(`${name}: ${rate}${beside}\n`);
  }
}

async function printBehind(name: ProxyName): Promise<void> {
  const found = await measureLiveBehind(name, quick ? 2 : 20);
  const told = found
    ? `p99 ${round(found.proxied.p99Ms)} ms, p50 ${round(found.proxied.p50Ms)} ms; without it ${round(found.direct.p99Ms)} and ${round(found.direct.p50Ms)} ms`
    : "it is not installed";
  process.stdout.write(`live feed by Connect over HTTP/1.1 behind ${name}: ${told}\n`);
}

function printTable(figures: Figures): void {
  const show: Show = (name, unit = "") =>
    `${round(figures[name] ?? Number.NaN).toLocaleString("en", { maximumFractionDigits: 2 })}${unit}`;
  const lines = [...recordLines(show), ...callLines(show)];
  const width = Math.max(...lines.map(([label]) => label.length));
  for (const [label, value] of lines) process.stdout.write(`${label.padEnd(width)}  ${value}\n`);
  process.stdout.write(`on ${cpus().length} x ${cpus()[0]?.model ?? "unknown CPU"}, Node ${process.version}\n`);
}

type Show = (name: string, unit?: string) => string;
type Line = [label: string, value: string];

/** Records that come and go. */
function recordLines(show: Show): Line[] {
  return [
    ["durable uploads, four at once", show("upload_records_per_second", " records/s")],
    ["  raw COPY of the same rows, one connection", show("copy_rows_per_second", " rows/s")],
    [
      "  into a store that is full over an empty one: ids in order; random",
      `${show("filled_over_empty")}; ${show("filled_random_over_empty")} (${show("filled_rows")} rows)`,
    ],
    ["  upload over COPY (to be 0.5 at least)", show("upload_over_copy")],
    [
      "  CPU for a record: server + PostgreSQL + client",
      `${show("upload_server_cpu_us")} + ${show("upload_postgres_cpu_us")} + ${show("upload_client_cpu_us")} µs`,
    ],
    ["  CPU for a row of COPY: PostgreSQL", show("copy_postgres_cpu_us", " µs")],
    ["IngestCdrs, four at once", show("ingest_records_per_second", " records/s")],
    [
      "  CPU for a record: server + PostgreSQL",
      `${show("ingest_server_cpu_us")} + ${show("ingest_postgres_cpu_us")} µs`,
    ],
    ["backfill of stored CDRs", show("backfill_records_per_second", " records/s")],
    ["  connect-node, the same messages from memory", show("memory_records_per_second", " records/s")],
    ["  backfill over memory (to be 0.8 at least)", show("backfill_over_memory")],
    ["  CPU for a record, over memory (to be 1.25 at most)", show("backfill_cpu_over_memory")],
    ["live feed, COMMIT to client, p50", show("live_p50_ms", " ms")],
    ["live feed, COMMIT to client, p99", show("live_p99_ms", " ms")],
    ["  at another process, p99", show("live_other_p99_ms", " ms")],
    ["  over the same process (to be 1.5 at most)", show("live_other_over_same_p99")],
    ["  at", show("live_records_per_second", " records/s")],
    ["an idle feed stream", show("idle_stream_kib", " KiB")],
    ["  statements of all over those of one (to be 1.2 at most)", show("idle_statements_over_one")],
    ["an idle server with 200 carriers, CPU a minute", show("idle_server_all_cpu_ms", " ms")],
  ];
}

/** What is made of records, and how they leave. */
function callLines(show: Show): Line[] {
  return [
    ["reconciliation from nothing, one worker", show("reconcile_calls_per_second", " calls/s")],
    [
      "  CPU for a call: server + PostgreSQL",
      `${show("reconcile_server_cpu_us")} + ${show("reconcile_postgres_cpu_us")} µs`,
    ],
    ["  a new hour after 1,000,000 calls over one after none (to be 1.2 at most)", show("reconcile_growth")],
    ["  over one statement that joins and inserts the same (to be 2 at most)", show("reconcile_cpu_over_join")],
    ["two workers at one carrier, CPU for a call over one's (to be 1.1 at most)", show("workers_cpu_over_one")],
    ["  rate over one's", show("workers_rate_over_one")],
    ["  share of time that they wait for each other's locks (to be 0.05 at most)", show("workers_lock_waits")],
    ["  share of two cores that they and PostgreSQL keep busy", show("workers_busy")],
    ["usage of a month by day, 1,000,000 calls of 10,000 numbers", show("usage_ms", " ms")],
    ["  its calls read one by one, over that (to be 100 at least)", show("usage_calls_over_sums")],
    ["  over that of 10,000 calls (to be 1.5 at most)", show("usage_growth")],
    [
      "  beside 100 numbers just ported for the past; until they are moved",
      `${show("usage_ported_ms", " ms")}; ${show("usage_moved_ms", " ms")}`,
    ],
    ["  a zone filled anew, for a call", show("usage_fill_us", " µs")],
    ["  the summary of the month's reconciliation", show("summary_ms", " ms")],
    ["  the first page of its discrepancies", show("discrepancies_ms", " ms")],
    ["retention, an upload's p99 during it over before (to be 2 at most)", show("retention_write_p99_ratio")],
    ["  a list's p99 during it over before (to be 2 at most)", show("retention_read_p99_ratio")],
    [
      "  took",
      `${show("retention_seconds", " s")} for ${show("retention_deleted_records")} records, ${show("retention_left_records")} left over`,
    ],
    [
      "  space before and after",
      `${show("retention_mib_before", " MiB")} > ${show("retention_mib_after", " MiB")}, ${show("retention_dropped_partitions")} partitions dropped`,
    ],
    [
      "a new carrier among others: rows read by the feed's last page over its first (to be 1.5 at most)",
      show("follow_growth"),
    ],
    ["  by a list's last page over its first", show("follow_list_growth")],
    ["tandem verify, never analyzed over analyzed (to be 2 at most)", show("verify_unanalyzed_over_analyzed")],
    ["  took", `${show("verify_unanalyzed_seconds", " s")} for ${show("verify_rows")} rows`],
  ];
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}

import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeTelemetryFiles } from "../../scripts/telemetry/files.ts";
import { Health } from "../../src/gen/grpc/health/v1/health_pb.js";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { carrierTransaction } from "../../src/store/database/database.ts";
import { factsOf, METRICS, type MetricName } from "../../src/telemetry/catalogue.ts";
import { scrapedName } from "../../src/telemetry/scraped-names.ts";
import { eventually } from "../support/eventually.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { EARLIEST, HEAD, ingest, NUMBER, readAll } from "../support/feed.ts";
import { filledBuckets, metricOf, type Sample, samplesNamed, samplesOf } from "../support/scrape.ts";
import { findFreePort } from "../support/server-process.ts";
import { cdrOf, durationOf, someRecords } from "../support/upload-kinds.ts";

/** So many that their commit takes much longer than that of one. */
const MANY = 1_500;

let exchange: Exchange;
let port: number;

beforeAll(async () => {
  port = await findFreePort();
  exchange = await startExchange({ metricsPort: port, reconcileIntervalMs: 10 });
  await exchange.addCarrier("acme");
  await exchange.assignNumbers("acme", [NUMBER]);
  await tellStory();
});
afterAll(() => exchange[Symbol.asyncDispose]());

const scrape = async () => samplesOf(await (await fetch(`http://127.0.0.1:${port}/metrics`)).text());

test("each metric is there, with its labels and no others", async () => {
  // What the gauges tell of the database is believed for ten seconds.
  await expect.poll(async () => namesOf(await scrape())).toEqual(expect.arrayContaining(allNames()));
  const samples = await scrape();
  for (const name of Object.keys(METRICS) as MetricName[]) {
    const { labels } = factsOf(name);
    const known = [...labels, "le"].map((label) => label.replaceAll(".", "_"));
    for (const sample of samplesNamed(samples, scrapedName(name)))
      expect([name, Object.keys(sample.labels).filter((label) => !known.includes(label))]).toEqual([name, []]);
  }
  // Whoever adds a metric describes it.
  const told = new Set(allNames());
  expect(namesOf(samples).filter((name) => !told.has(name))).toEqual([]);
});

test("each metric of the dashboard and of the alert rules is there", async () => {
  const told = new Set(namesOf(await scrape()));
  const scraped = makeTelemetryFiles().filter(({ path }) => !path.includes("-otlp"));
  expect(scraped).toHaveLength(2);
  for (const { path, metrics } of scraped)
    expect([path, [...metrics].filter((name) => !told.has(name))]).toEqual([path, []]);
  // And nothing is measured that nobody sees.
  const shown = scraped.find(({ path }) => path.includes("grafana"))?.metrics;
  expect(allNames().filter((name) => !shown?.has(name))).toEqual([]);
});

test("no histogram keeps all that it counts in one bucket", async () => {
  // A page that is read again is older, and single records are sooner committed than many.
  let round = 0;
  await expect
    .poll(async () => {
      await readFeed();
      await appendSome(`round-${++round}`, MANY, MANY + 1);
      const samples = await scrape();
      return ["tandem_delivery_delay_seconds", "tandem_commit_duration_seconds"].map(
        (name) => filledBuckets(samples, name) > 1,
      );
    })
    .toEqual([true, true]);
  const samples = await scrape();
  for (const [name, { kind }] of Object.entries(METRICS)) {
    if (kind !== "histogram") continue;
    expect([name, filledBuckets(samples, scrapedName(name as MetricName)) > 1]).toEqual([name, true]);
  }
});

test("lags and ages are told by carrier and consumer", async () => {
  const samples = await scrape();
  const lag = samplesNamed(samples, "tandem_consumer_lag_records").find(
    ({ labels }) => labels["consumer"] === "billing",
  );
  expect(lag).toMatchObject({ labels: { carrier: "acme" }, value: 62 });
  const feeds = samplesNamed(samples, "tandem_feed_newest_entry_age_seconds").map(({ labels }) => labels["feed"]);
  expect(feeds.sort()).toEqual(["cdrs", "durations"]);
});

test("a consumer that is named like a phone number is told without it", async () => {
  const consumers = samplesNamed(await scrape(), "tandem_consumer_lag_records").map(({ labels }) => labels["consumer"]);
  expect(consumers).toHaveLength(2);
  expect(consumers.join()).not.toMatch(/\d{4}/);
});

/** What a carrier and the platform do with each other, quick and slow. */
async function tellStory(): Promise<void> {
  await appendSome("one", 0, 1);
  await whileConnectionsAreHeld(() => appendSome("many", 1, MANY));
  await ingest(exchange, "acme", someRecords(0, 62).map(cdrOf));
  await createClient(Health, exchange.connect()).check({});
  const carrier = await exchange.carrierClient(CdrService, "acme");
  for (const consumer of ["billing", "4533177213"]) {
    const { cursor } = await carrier.resolveCdrCursor({ ingestTime: { seconds: 1n, nanos: 0 } });
    await carrier.commitCdrCursor({ consumer, cursor });
  }
  await readFeed();
}

async function appendSome(uploadId: string, from: number, to: number): Promise<void> {
  const durations = await exchange.carrierClient(DurationService, "acme");
  await durations.appendDurations({ uploadId, records: someRecords(from, to).map(durationOf) });
}

async function readFeed(): Promise<void> {
  await readAll(await exchange.carrierClient(CdrService, "acme"), { start: EARLIEST, end: HEAD });
}

/** Calls while the carrier's share of the connections is taken, until the call has waited. */
async function whileConnectionsAreHeld(call: () => Promise<void>): Promise<void> {
  const { db } = exchange.services;
  const gate = Promise.withResolvers<void>();
  const held = [1, 2, 3].map(() => carrierTransaction(db, "acme", () => gate.promise, { idleTimeoutMs: 600_000 }));
  try {
    await eventually(() => expect(db.lanes.state.carrier.held).toBe(3));
    const calling = call();
    await eventually(() => expect(db.lanes.state.carrier.longestWaitMs).toBeGreaterThan(50));
    gate.resolve();
    await calling;
  } finally {
    gate.resolve();
    await Promise.all(held);
  }
}

function allNames(): string[] {
  return Object.keys(METRICS).map((name) => scrapedName(name as MetricName));
}

function namesOf(samples: readonly Sample[]): string[] {
  const known = new Set(allNames());
  return [...new Set(samples.map(({ name }) => (known.has(name) ? name : metricOf(name))))];
}

import { Code, createClient } from "@connectrpc/connect";
import { context, propagation, type Span, trace } from "@opentelemetry/api";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import { TracerProvider } from "@opentelemetry/sdk-trace";
import { afterAll, beforeAll, expect, test } from "vitest";
import { memoryCursorStore } from "../../src/client/cursor-store.ts";
import { followCdrs } from "../../src/client/follow-cdrs.ts";
import { ingestCdrs } from "../../src/client/ingest-cdrs.ts";
import { uploadDurations } from "../../src/client/upload-durations.ts";
import { arraySource } from "../../src/client/upload-source.ts";
import { Health } from "../../src/gen/grpc/health/v1/health_pb.js";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { CdrService as PlatformCdrService } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { UsageService } from "../../src/gen/tandem/platform/v1/usage_service_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { calls, EARLIEST, HEAD, NUMBER } from "../support/feed.ts";
import { type CollectedSpan, type OtlpCollector, openOtlpCollector } from "../support/otlp-collector.ts";
import { refusalOf } from "../support/refusal.ts";
import { durationOf, someRecords } from "../support/upload-kinds.ts";

let collector: OtlpCollector;
let exchange: Exchange;
const caller = new TracerProvider().getTracer("caller");
const resources = new AsyncDisposableStack();

beforeAll(async () => {
  collector = resources.use(await openOtlpCollector());
  exchange = resources.use(await startExchange({}, undefined, collector.tracesEnv));
  propagation.setGlobalPropagator(new W3CTraceContextPropagator());
  for (const carrierId of ["acme", "borealis"]) await exchange.addCarrier(carrierId);
  await exchange.assignNumbers("acme", [NUMBER]);
});
afterAll(async () => {
  propagation.disable();
  await resources.disposeAsync();
  context.disable();
});

const INGEST = "tandem.platform.v1.CdrService/IngestCdrs";
const UPLOAD = "tandem.carrier.v1.DurationService/UploadDurations";
const STREAM = "tandem.carrier.v1.CdrService/StreamCdrs";

test("one trace follows an upload's batch from the client to COMMIT", async () => {
  const traceId = await inSpan(async () => {
    const client = await exchange.carrierClient(DurationService, "acme");
    const source = arraySource(someRecords(0, 3).map(durationOf));
    await uploadDurations(client, { uploadId: "followed", source });
  });
  const commit = await spanWhere((span) => span.traceId === traceId && span.name === "COMMIT");
  expect(commit.attributes).toMatchObject({ "db.system.name": "postgresql" });
  const transaction = parentOf(commit);
  expect(transaction.name).toBe("tandem.upload.transaction");
  const batch = parentOf(transaction);
  expect(batch).toMatchObject({ name: "tandem.upload.batch", isError: false });
  expect(batch.attributes).toMatchObject({
    "tandem.carrier": "acme",
    "tandem.feed": "durations",
    "tandem.upload.first_offset": 0,
    "tandem.upload.records": 3,
    "tandem.feed.first_sequence": 1,
    "tandem.feed.last_sequence": 3,
  });
  const opening = parentOf(batch);
  expect(opening).toMatchObject({ name: UPLOAD, kind: 2, isError: false });
  expect(opening.attributes).toMatchObject({ "rpc.system.name": "grpc", "tandem.carrier": "acme" });
  // Of the client's own span, which another process would send.
  expect(opening.parentSpanId).toBeDefined();
  expect(batch.endNanos).toBeGreaterThanOrEqual(commit.endNanos);
});

test("a record is found from IngestCdrs to the page that a carrier's stream sent", async () => {
  const client = await exchange.platformClient(PlatformCdrService);
  const records = calls("sent", 25);
  const traceId = await inSpan(() =>
    ingestCdrs(client, { carrierId: "acme", uploadId: "sent", source: arraySource(records), batchRecords: 10 }).then(
      () => {},
    ),
  );
  const batches = await spansWhere(3, (span) => span.traceId === traceId && span.name === "tandem.upload.batch");
  const taken = batches.map(({ attributes }) => [
    attributes["tandem.feed.first_sequence"],
    attributes["tandem.feed.last_sequence"],
  ]);
  expect(taken.sort((left, right) => Number(left[0]) - Number(right[0]))).toEqual([
    [1, 10],
    [11, 20],
    [21, 25],
  ]);
  expect(parentOf(batches[0]).name).toBe(INGEST);

  let followed = 0;
  await followCdrs(createClient(CdrService, await exchange.carrierTransport("acme")), {
    start: EARLIEST.position,
    end: HEAD.position,
    store: memoryCursorStore(),
    apply: async ({ entries }) => {
      followed += entries.length;
    },
  });
  expect(followed).toBe(25);
  const page = await spanWhere(
    (span) => span.name === "tandem.feed.page" && span.attributes["tandem.carrier"] === "acme",
  );
  expect(page.attributes).toMatchObject({
    "tandem.feed": "cdrs",
    "tandem.feed.after_sequence": 0,
    "tandem.feed.through_sequence": 25,
    "tandem.feed.entries": 25,
  });
  // The stream may live for days: each page is a trace of its own, and names its opening.
  const opening = await spanWhere((span) => page.links.includes(span.spanId));
  expect(page.parentSpanId).toBeUndefined();
  expect(page.traceId).not.toBe(opening.traceId);
  expect(opening).toMatchObject({ name: STREAM, kind: 2 });
  expect(opening.endNanos).toBeLessThanOrEqual(page.endNanos);
  const end = await spanWhere((span) => span.name === `${STREAM} end` && span.links.includes(opening.spanId));
  // The client leaves once it has the Closing.
  expect(end.isError).toBe(false);
  expect(["OK", "CANCELLED"]).toContain(end.attributes["rpc.status_code"]);
});

test("a refusal names its status, and is no fault of the server's", async () => {
  const refused = exchange.connect(await exchange.platformToken([]));
  expect((await refusalOf(createClient(UsageService, refused).queryUsage({})))?.code).toBe(Code.PermissionDenied);
  const span = await spanWhere(({ name }) => name === "tandem.platform.v1.UsageService/QueryUsage");
  expect(span).toMatchObject({ isError: false, kind: 2 });
  expect(span.attributes).toMatchObject({ "rpc.status_code": "PERMISSION_DENIED" });
  expect(span.attributes).not.toHaveProperty("error.type");
});

test("texts of callers other than the trace's id reach no span", async () => {
  const transport = await exchange.carrierTransport("borealis", {
    interceptors: [
      (next) => (request) => {
        request.header.set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        request.header.set("tracestate", "vendor=hidden-words");
        request.header.set("baggage", "caller=hidden-words");
        return next(request);
      },
    ],
  });
  await createClient(DurationService, transport).listUploads({});
  await spanWhere(({ traceId }) => traceId === "0af7651916cd43dd8448eb211c80319c");
  for (const body of collector.bodiesOf("/v1/traces")) expect(body.includes("hidden-words")).toBe(false);
});

test("a collector that refuses is a line in the log, and serving goes on", async () => {
  await using away = await startExchange({}, undefined, {
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${collector.url}/refused`,
    OTEL_BSP_SCHEDULE_DELAY: "20",
  });
  await createClient(Health, away.connect()).check({});
  await expect.poll(() => away.logged.filter((line) => line.includes("could not be sent by OTLP")).length).toBe(1);
  await createClient(Health, away.connect()).check({});
});

test("without the variables nothing is traced", async () => {
  await using quiet = await startExchange();
  expect(quiet.services.tracer).toBeUndefined();
});

/** Works in a span of the caller's. Returns its trace. */
async function inSpan(work: () => Promise<void>): Promise<string> {
  const span: Span = caller.startSpan("work");
  await context.with(trace.setSpan(context.active(), span), work);
  span.end();
  return span.spanContext().traceId;
}

async function spansWhere(count: number, matches: (span: CollectedSpan) => boolean): Promise<CollectedSpan[]> {
  await expect.poll(() => collector.spans.filter(matches).length).toBeGreaterThanOrEqual(count);
  return collector.spans.filter(matches);
}

async function spanWhere(matches: (span: CollectedSpan) => boolean): Promise<CollectedSpan> {
  return (await spansWhere(1, matches))[0] as CollectedSpan;
}

/** The parent, in the same trace. */
function parentOf(child: CollectedSpan | undefined): CollectedSpan {
  const parent = collector.spans.find((span) => span.spanId === child?.parentSpanId && span.traceId === child.traceId);
  if (!parent) throw new Error(`the parent of ${child?.name} was not sent`);
  return parent;
}

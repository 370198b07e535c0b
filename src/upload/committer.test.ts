import { createNoopMeter, SpanStatusCode } from "@opentelemetry/api";
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { expect, test } from "vitest";
import { DURATION } from "../domain/record-kind.ts";
import { asCaller, type Caller } from "../store/database/callers.ts";
import { openDatabase } from "../store/database/database.ts";
import { createCommitMetrics } from "./commit-metrics.ts";
import { Committer, type CommitterOptions } from "./committer.ts";
import type { PreparedBatch } from "./pending.ts";

// Nothing listens there.
const NOWHERE = "postgres://tandem@127.0.0.1:1/tandem";

test("a batch whose call may no longer be served is refused alone: those that would have shared its commit are tried by themselves", async () => {
  await using db = openDatabase({ url: NOWHERE });
  const exporter = new InMemorySpanExporter();
  const provider = new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] });
  const tracer = provider.getTracer("test");
  const metrics = createCommitMetrics(createNoopMeter());
  const committer = new Committer({ db, metrics, tracer } as CommitterOptions);
  const again = async () => {
    throw new Error("put out");
  };
  const putOut: Caller = { kind: "carrier", carrierId: "acme", judged: { atMs: Number.NEGATIVE_INFINITY, again } };
  const served: Caller = { kind: "carrier", carrierId: "acme" };
  const ends = [served, putOut, served, putOut].map((caller, at) =>
    asCaller(caller, () => committer.commit("acme", DURATION, batchOf(`u${at}`)).catch(String)),
  );
  const failed = expect.stringContaining("ECONNREFUSED");
  expect(await Promise.all(ends)).toEqual([failed, "Error: put out", failed, "Error: put out"]);
  // A batch is one span however often it is tried, and each try is one in it.
  const spans = exporter.getFinishedSpans();
  const batches = spans.filter(({ name }) => name === "tandem.upload.batch");
  expect(batches.map(({ status }) => status.code)).toEqual(ends.map(() => SpanStatusCode.ERROR));
  const tries = spans.filter(({ name }) => name === "tandem.upload.transaction");
  expect(tries.map(({ status }) => status.code)).toEqual([...ends, ...ends].map(() => SpanStatusCode.ERROR));
  await provider.shutdown();
});

function batchOf(uploadId: string): PreparedBatch {
  return { uploadId, writerEpoch: 1n, firstOffset: 0n, records: [] } as unknown as PreparedBatch;
}

import { createClient, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RetryInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { addCarrier } from "../support/carriers.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { reasonOf, reasonOfError, refusalOf } from "../support/refusal.ts";

let app: Exchange;
beforeAll(async () => {
  app = await startExchange({
    maxCallsPerSecond: 5,
    maxBytesPerSecond: 65_536,
    maxLiveCalls: 4,
    maxAuthFailuresPerSecond: 1,
    maxFeedStreams: 100,
  });
  for (const id of ["flooder", "neighbour", "streamer", "sender"]) await addCarrier(app.services.db, id);
});
afterAll(() => app?.[Symbol.asyncDispose]());

test("a carrier that calls too often is refused with RetryInfo, whichever credential it shows; its neighbour notices nothing, and after the wait it is let in", async () => {
  const [one, two, neighbour] = await Promise.all([
    connect("flooder"),
    connect("flooder", "another-name"),
    connect("neighbour"),
  ]);
  let passed = 0;
  const flood = (over: Transport) => untilRefused(() => list(over).then(() => passed++));
  const [, , ...others] = await Promise.all([
    flood(one),
    flood(two),
    ...Array.from({ length: 3 }, () => reasonOf(list(neighbour))),
  ]);
  expect(new Set(others)).toEqual(new Set(["OK"]));
  expect(passed).toBeGreaterThanOrEqual(50);

  const refusal = await untilRefused(() => list(one));
  expect(reasonOfError(refusal)).toBe("RATE_LIMITED");
  const [retry] = refusal.findDetails(RetryInfoSchema);
  expect(Number(retry?.retryDelay?.nanos ?? 0) / 1e6 + Number(retry?.retryDelay?.seconds ?? 0) * 1000).toBeGreaterThan(
    0,
  );
  await expect.poll(() => reasonOf(list(one)), { interval: 100 }).toBe("OK");
});

test("a principal has so many calls at once, of every method together, and their places are free again", async () => {
  const over = await connect("streamer");
  const streams = Array.from({ length: 4 }, () => {
    const stop = new AbortController();
    const start = { position: { case: "latest", value: {} } } as const;
    const frames = createClient(CdrService, over).streamCdrs({ start }, { signal: stop.signal });
    return { stop, first: frames[Symbol.asyncIterator]().next() };
  });
  await Promise.all(streams.map(({ first }) => first));
  const refusal = await refusalOf(list(over));
  expect(refusal && reasonOfError(refusal)).toBe("TOO_MANY_STREAMS");
  expect(refusal?.findDetails(RetryInfoSchema)).toHaveLength(1);
  for (const { stop } of streams) stop.abort();
  await expect.poll(() => reasonOf(list(over))).toBe("OK");
});

test("a principal that sends too much is read no faster than its rate, and its other calls are refused until that is paid", async () => {
  const over = await connect("sender");
  const large = { uploadId: "u", firstOffset: 0n, records: [{ recordId: "x".repeat(330_000) }] };
  const startedMs = Date.now();
  const slow = reasonOf(createClient(DurationService, over).appendDurations(large));
  await expect.poll(() => reasonOf(list(over)), { interval: 20 }).toBe("RATE_LIMITED");
  expect(await slow).toBe("OK");
  // 330,000 bytes, less the burst of four seconds, at 65,536 a second.
  expect(Date.now() - startedMs).toBeGreaterThan(900);
  await expect.poll(() => reasonOf(list(over))).toBe("OK");
});

test("an address that shows false credentials is refused unheard for a while; what was known to be good goes on", async () => {
  const good = app.connect(await app.carrierToken("neighbour"));
  expect(await reasonOf(list(good))).toBe("OK");
  const bad = app.connect("false");
  const reasons = new Set(await Promise.all(Array.from({ length: 130 }, () => reasonOf(list(bad)))));
  expect(reasons).toEqual(new Set(["UNAUTHENTICATED", "RATE_LIMITED"]));
  expect(await reasonOf(list(good))).toBe("OK");
  expect(app.logged).toEqual([]);
});

async function connect(carrierId: string, identity = carrierId): Promise<Transport> {
  return app.connect(await app.carrierToken(carrierId, { identity }));
}

function list(over: Transport) {
  return createClient(DurationService, over).listUploads({});
}

async function untilRefused(call: () => Promise<unknown>) {
  for (;;) {
    const refusal = await refusalOf(call());
    if (refusal) return refusal;
  }
}

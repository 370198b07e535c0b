import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import {
  type CallDetailRecord,
  type CallDetailRecordSchema,
  Completeness,
} from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { RecordKind } from "../../src/gen/tandem/type/v1/call_pb.js";
import { QualityReason } from "../../src/gen/tandem/type/v1/stream_quality_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, ingest, NUMBER, refusal, timestamp } from "../support/feed.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** 10:00 UTC of a day ten days ago. */
const BASE_MS = Math.floor(Date.now() / DAY_MS) * DAY_MS - 10 * DAY_MS + 10 * HOUR_MS;
const [HOUR, DAY] = [1, 2];
const [TRUNK, CODEC, DIRECTION] = [1, 2, 3];

let exchange: Exchange;

beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange[Symbol.asyncDispose]());

async function newCarrier(carrierId: string, timeZone = "Europe/Copenhagen") {
  await exchange.addCarrier(carrierId, { timeZone });
  await exchange.assignNumbers(carrierId, [NUMBER]);
  return exchange.carrierClient(CdrService, carrierId);
}

type Changes = MessageInitShape<typeof CallDetailRecordSchema>;

/** A call by when it rang, was answered and ended, milliseconds after its invite. */
function attempt(
  recordId: string,
  { ring, answer, end = 20_000 }: { ring?: number; answer?: number; end?: number },
  outcome: { finalSipCode?: number; q850Cause?: number },
  changes: Changes = {},
): CallDetailRecord {
  const at = (ms: number | undefined) => (ms === undefined ? undefined : timestamp(BASE_MS + ms));
  const times = { inviteTime: at(0), ringingTime: at(ring), answerTime: at(answer), endTime: at(end) };
  const known = Object.fromEntries(Object.entries(times).filter(([, time]) => time !== undefined));
  return call(recordId, { times: known, outcome, ...changes } as Changes, BASE_MS);
}

const stream = (measures: object) => ({ direction: 1, edge: 1, ...measures });
const period = (fromMs: number, toMs: number) => ({ startTime: timestamp(fromMs), endTime: timestamp(toMs) });
const THE_DAY = period(BASE_MS - 12 * HOUR_MS, BASE_MS + 12 * HOUR_MS);

describe("SummarizeQuality", () => {
  test("computes ASR, NER, ACD, PDD and MOS percentiles, poor streams and why, as by hand", async () => {
    const client = await newCarrier("figures");
    await ingest(exchange, "figures", [
      // Answered for 60 s; two streams, of which one is poor.
      attempt(
        "a",
        { ring: 1_000, answer: 5_000, end: 65_000 },
        { finalSipCode: 200 },
        {
          streamQualities: [stream({ mosLq: 4, mosCq: 3.8, jitterAvgMs: 4 }), stream({ mosLq: 3, jitterAvgMs: 45 })],
        },
      ),
      // Answered for 30 s; good.
      attempt(
        "b",
        { ring: 2_000, answer: 4_000, end: 34_000 },
        { finalSipCode: 200 },
        {
          streamQualities: [stream({ mosLq: 4.2, jitterAvgMs: 4 })],
        },
      ),
      // The user did not answer, or refused: effective.
      attempt("busy", { ring: 3_000 }, { finalSipCode: 486 }),
      attempt("cancelled", { ring: 4_000 }, { finalSipCode: 487 }),
      attempt("cause", {}, { finalSipCode: 500, q850Cause: 17 }),
      // The network failed.
      attempt("cancelled-early", {}, { finalSipCode: 487 }),
      attempt("unavailable", {}, { finalSipCode: 503, q850Cause: 41 }),
      attempt("unknown", {}, { finalSipCode: 404 }),
      // Answered for 20 s as corrected; poor for two reasons.
      attempt("k", { ring: 5_000, answer: 8_000, end: 18_000 }, { finalSipCode: 200 }),
      // Answered for 2 s: too short to be judged.
      attempt(
        "short",
        { ring: 6_000, answer: 8_000, end: 10_000 },
        { finalSipCode: 200 },
        {
          streamQualities: [stream({ mosLq: 1, jitterAvgMs: 99 })],
        },
      ),
      // Still going on.
      attempt("open", { ring: 500, answer: 600 }, {}, { completeness: Completeness.PARTIAL }),
      // Taken back below.
      attempt("void", { ring: 700, answer: 800 }, { finalSipCode: 200 }),
    ]);
    await ingest(exchange, "figures", [
      attempt(
        "k",
        { ring: 5_000, answer: 8_000, end: 28_000 },
        { finalSipCode: 200 },
        {
          revision: 2,
          streamQualities: [stream({ mosLq: 2, jitterAvgMs: 31, roundTripAvgMs: 501 })],
        },
      ),
      attempt("void", {}, {}, { revision: 2, kind: RecordKind.VOID }),
    ]);
    const { summaries } = await client.summarizeQuality({ ...THE_DAY, period: DAY });
    expect(summaries).toHaveLength(1);
    const [summary] = summaries;
    expect(summary).toMatchObject({
      attemptCount: 10n,
      answeredCount: 4n,
      answerSeizureRatio: 0.4,
      networkEffectivenessRatio: 0.7,
      connectedDurationMs: 112_000n,
      averageCallDurationMs: 28_000,
      classifiedStreamCount: 4n,
      poorStreamCount: 2n,
      poorStreamRatio: 0.5,
      poorReasons: [
        { reason: QualityReason.MOS_DEGRADATION, callCount: 2n },
        { reason: QualityReason.JITTER, callCount: 2n },
        { reason: QualityReason.ROUND_TRIP, callCount: 1n },
      ],
    });
    // 1, 2, 3, 4, 5 and 6 s; 1, 2, 3 and 4.2 (the lowest stream of each call); interpolated.
    const close = (value: number) => expect.closeTo(value, 6);
    const delays = { measuredCount: 6n, p10: close(1_500), p50: close(3_500), p90: close(5_500), p99: close(5_950) };
    expect(summary?.postDialDelayMs).toMatchObject(delays);
    const scores = { measuredCount: 4n, p10: close(1.3), p50: close(2.5), p90: close(3.84), p99: close(4.164) };
    expect(summary?.mosLq).toMatchObject(scores);
    expect(summary?.mosCq).toMatchObject({ measuredCount: 1n, p50: 3.8 });
  });

  test("leaves out what there is nothing to divide by", async () => {
    const client = await newCarrier("nothing");
    expect((await client.summarizeQuality({ ...THE_DAY, period: DAY })).summaries).toEqual([]);
    await ingest(exchange, "nothing", [attempt("f", {}, { finalSipCode: 503 })]);
    const [summary] = (await client.summarizeQuality({ ...THE_DAY, period: DAY })).summaries;
    expect(summary).toMatchObject({ attemptCount: 1n, answerSeizureRatio: 0, networkEffectivenessRatio: 0 });
    for (const absent of ["averageCallDurationMs", "postDialDelayMs", "mosLq", "mosCq", "poorStreamRatio"] as const)
      expect(summary?.[absent], absent).toBeUndefined();
  });

  test("groups by trunk, codec and direction, what is unknown apart, and by filter", async () => {
    const client = await newCarrier("groups");
    const on = (trunkId: string, codec: string) => ({ route: { trunkId, codec } });
    const answered = { ring: 1_000, answer: 2_000, end: 12_000 };
    const inbound = {
      direction: 2,
      parties: { calling: { kind: 1, value: "+12025550123" }, called: { kind: 1, value: NUMBER } },
    };
    await ingest(exchange, "groups", [
      attempt("a", answered, { finalSipCode: 200 }, on("t1", "PCMA")),
      attempt("b", {}, { finalSipCode: 503 }, on("t1", "opus")),
      attempt("c", answered, { finalSipCode: 200 }, { ...on("t2", "PCMA"), ...inbound }),
      attempt("d", {}, { finalSipCode: 503 }),
    ]);
    const groups = async (dimensions: number[], filter?: object) => {
      const { summaries } = await client.summarizeQuality({
        ...THE_DAY,
        period: DAY,
        dimensions,
        ...(filter ? { filter } : {}),
      });
      return summaries.map(({ trunkId, codec, direction, attemptCount }) => [
        trunkId,
        codec,
        direction,
        Number(attemptCount),
      ]);
    };
    expect(await groups([TRUNK])).toEqual([
      ["t1", undefined, 0, 2],
      ["t2", undefined, 0, 1],
      [undefined, undefined, 0, 1],
    ]);
    expect(await groups([DIRECTION, CODEC])).toEqual([
      [undefined, "PCMA", 1, 1],
      [undefined, "PCMA", 2, 1],
      [undefined, "opus", 1, 1],
      [undefined, undefined, 1, 1],
    ]);
    expect(await groups([TRUNK], { trunkId: "t1" })).toEqual([["t1", undefined, 0, 2]]);
    expect(await groups([], { direction: 2 })).toEqual([[undefined, undefined, 0, 1]]);
  });

  test.each(["spring", "autumn"] as const)(
    "days are the carrier's own, also the one of the change of clocks in %s",
    async (season) => {
      const client = await newCarrier(`clocks-${season}`);
      const sunday = lastChangeOfClocks(season === "spring" ? 2 : 9);
      // In Copenhagen that Sunday begins at 23:00 UTC and has 23 hours, or at 22:00 UTC and has 25.
      const [start, end] = season === "spring" ? [-1, 22] : [-2, 23];
      const [startMs, endMs] = [sunday + start * HOUR_MS, sunday + end * HOUR_MS];
      const invites = [startMs - 1_000, startMs, endMs - 1_000, endMs];
      await ingest(
        exchange,
        `clocks-${season}`,
        invites.map((ms, index) => call(`c${index}`, {}, ms)),
      );
      const { summaries } = await client.summarizeQuality({ ...period(startMs - DAY_MS, endMs + DAY_MS), period: DAY });
      const days = summaries.map(({ periodStartTime, attemptCount }) => [
        new Date(Number(periodStartTime?.seconds) * 1_000).toISOString(),
        Number(attemptCount),
      ]);
      const before = startMs - DAY_MS;
      expect(days).toEqual([
        [new Date(before).toISOString(), 1],
        [new Date(startMs).toISOString(), 2],
        [new Date(endMs).toISOString(), 1],
      ]);
    },
  );

  test("hours are UTC, also where the carrier's zone is off by a quarter of one", async () => {
    const client = await newCarrier("hours", "Asia/Kathmandu");
    const at = (ms: number) => call(`at-${ms}`, {}, BASE_MS + ms);
    await ingest(exchange, "hours", [at(0), at(HOUR_MS - 1), at(HOUR_MS)]);
    const { summaries } = await client.summarizeQuality({ ...THE_DAY, period: HOUR });
    expect(
      summaries.map(({ periodStartTime, attemptCount }) => [Number(periodStartTime?.seconds) * 1_000, attemptCount]),
    ).toEqual([
      [BASE_MS, 2n],
      [BASE_MS + HOUR_MS, 1n],
    ]);
  });

  test("a request that is wrong says where", async () => {
    const client = await newCarrier("wrong");
    const summarize = (request: Parameters<typeof client.summarizeQuality>[0]) =>
      refusal(client.summarizeQuality(request));
    const invalid = { code: Code.InvalidArgument, reason: "INVALID_ARGUMENT" };
    expect(await summarize({ ...THE_DAY })).toMatchObject({ ...invalid, field: "period" });
    expect(await summarize({ ...THE_DAY, period: 9 as never })).toMatchObject({ ...invalid, field: "period" });
    expect(await summarize({ period: DAY })).toMatchObject({ ...invalid, field: "start_time" });
    expect(await summarize({ ...THE_DAY, period: DAY, dimensions: [0] })).toMatchObject({
      ...invalid,
      field: "dimensions",
    });
    expect(await summarize({ ...THE_DAY, period: DAY, dimensions: [1, 1] })).toMatchObject({
      ...invalid,
      field: "dimensions",
    });
    const tooLong = { reason: "LIST_WINDOW_TOO_LARGE" };
    const days = (count: number) => period(BASE_MS - count * DAY_MS, BASE_MS);
    expect(await summarize({ ...days(93), period: DAY })).toMatchObject({ ...tooLong, limit_days: "92" });
    expect(await summarize({ ...days(8), period: HOUR })).toMatchObject({ ...tooLong, limit_days: "7" });
    expect((await client.summarizeQuality({ ...days(92), period: DAY })).summaries).toEqual([]);
    expect((await client.summarizeQuality({ ...days(7), period: HOUR })).summaries).toEqual([]);
  });
});

/**
 * The last change of clocks in Europe in March (2) or October (9), midnight UTC of that Sunday, at
 * least three days ago.
 */
function lastChangeOfClocks(month: number): number {
  const year = new Date().getUTCFullYear();
  const sundays = [year, year - 1].map((candidate) => {
    const last = new Date(Date.UTC(candidate, month, 31));
    return last.getTime() - last.getUTCDay() * DAY_MS;
  });
  const found = sundays.find((sunday) => sunday < Date.now() - 3 * DAY_MS);
  if (found === undefined) throw new Error("no change of clocks within a year");
  return found;
}

import { type DescMessage, type MessageShape, toBinary, toJsonString } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  CdrService,
  GetCdrResponseSchema,
  ListCdrsResponseSchema,
} from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import {
  CdrService as PlatformCdrService,
  ListCdrsResponseSchema as PlatformListCdrsResponseSchema,
} from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import type { CallDetailRecord } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, ingest, NUMBER, timestamp } from "../support/feed.ts";

const HOUR_MS = 3_600_000;
const BASE_MS = Math.floor((Date.now() - 30 * 24 * HOUR_MS) / HOUR_MS) * HOUR_MS;
const ALL = { startTime: timestamp(BASE_MS - HOUR_MS), endTime: timestamp(BASE_MS + 24 * HOUR_MS) };
const FAT_RECORDS = 1_000;
const MOST_CLIENTS_TAKE = 4_194_304;
/**
 * So much larger may an answer in JSON be than the largest message, which is what the server
 * writes.
 */
const JSON_GROWTH = 4;

let exchange: Exchange;

beforeAll(async () => {
  exchange = await startExchange();
  await exchange.addCarrier("fat");
  await exchange.assignNumbers("fat", [NUMBER]);
  // One call of 1,000 legs, and in each an hour of measurements: 5.4 KB.
  await ingest(
    exchange,
    "fat",
    Array.from({ length: FAT_RECORDS }, (_, index) => fatCall(`fat-${index}`, BASE_MS + (index % 7))),
  );
});
afterAll(() => exchange[Symbol.asyncDispose]());

function fatCall(recordId: string, inviteMs: number): CallDetailRecord {
  const stream = {
    ...{ direction: 1, edge: 1, packetsSent: 180_000n, packetsReceived: 179_000n, packetsLost: 1_000n },
    ...{ lossRatioAvg: 0.01, lossRatioMax: 0.04, discardRatio: 0.001, jitterAvgMs: 3.3, jitterMaxMs: 20.1 },
    ...{ roundTripAvgMs: 48.5, roundTripMaxMs: 300.5, endSystemDelayMs: 60.1, mosLq: 4.1, mosCq: 4.2, rFactor: 88.8 },
    ...{ concealedRatio: 0.01, mosDegradation: 0.3, burstDensity: 0.1, burstDurationMs: 20.5, gapDensity: 0.01 },
    ...{ gapDurationMs: 1_000.5, mosAlgorithm: "G.107 ".repeat(10), codec: "a codec with a long name" },
  };
  const outcome = { finalSipCode: 200, reasonPhrase: "fine ".repeat(50), closeReason: "hung up ".repeat(30) };
  const qualityStreams = Array.from({ length: 16 }, () => stream);
  return call(recordId, { callId: "one-call", outcome, streamQualities: qualityStreams } as never, inviteMs);
}

interface Page {
  readonly records: CallDetailRecord[];
  readonly nextPageToken: string;
}

async function readPages<Response extends Page>(read: (pageToken: string) => Promise<Response>): Promise<Response[]> {
  const pages: Response[] = [];
  do pages.push(await read(pages.at(-1)?.nextPageToken ?? ""));
  while (pages.at(-1)?.nextPageToken !== "" && pages.length < FAT_RECORDS);
  return pages;
}

function expectAll(pages: readonly Page[]): void {
  const ids = pages.flatMap(({ records }) => records.map(({ recordId }) => recordId));
  expect(ids).toHaveLength(FAT_RECORDS);
  expect(new Set(ids).size).toBe(FAT_RECORDS);
}

function expectBelow<Desc extends DescMessage>(schema: Desc, pages: readonly MessageShape<Desc>[], share: number) {
  for (const page of pages) expect(toBinary(schema, page).length).toBeLessThan(MOST_CLIENTS_TAKE * share);
}

describe("a page that would be too large ends early, and the next goes on exactly there:", () => {
  test("a carrier's list of a thousand fat records", async () => {
    const client = await exchange.carrierClient(CdrService, "fat");
    const pages = await readPages((pageToken) => client.listCdrs({ ...ALL, pageSize: 1_000, pageToken }));
    expectBelow(ListCdrsResponseSchema, pages, 0.6);
    expectAll(pages);
    expect(pages.length).toBeLessThan(6);
  });

  test("the platform's list of them", async () => {
    const client = await exchange.platformClient(PlatformCdrService);
    const pages = await readPages((pageToken) =>
      client.listCdrs({ ...ALL, carrierId: "fat", pageSize: 1_000, pageToken }),
    );
    expectBelow(PlatformListCdrsResponseSchema, pages, 0.6);
    expectAll(pages);
  });

  test("a list in JSON", async () => {
    const token = await exchange.carrierToken("fat");
    const url = `${exchange.url}/tandem.carrier.v1.CdrService/ListCdrs`;
    const times = { startTime: new Date(BASE_MS - HOUR_MS), endTime: new Date(BASE_MS + HOUR_MS) };
    const pages = await readPages(async (pageToken) => {
      const response = await fetch(url, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify({ ...times, pageSize: 1_000, pageToken }),
      });
      const text = await response.text();
      expect(response.status).toBe(200);
      expect(text.length).toBeLessThan((MOST_CLIENTS_TAKE * JSON_GROWTH) / 2 + 1_024);
      return { nextPageToken: "", ...(JSON.parse(text) as Partial<Page>) } as Page;
    });
    expectAll(pages);
  });

  test("GetCdr says that there are more legs than it gives", async () => {
    const client = await exchange.carrierClient(CdrService, "fat");
    const answer = await client.getCdr({ name: { case: "callId", value: "one-call" } });
    expect(answer.records.length).toBe(100);
    expect(answer.hasMore).toBe(true);
    expect(toJsonString(GetCdrResponseSchema, answer)).toContain("hasMore");
    const one = await client.getCdr({ name: { case: "recordId", value: "fat-1" } });
    expect(one).toMatchObject({ hasMore: false });
  });
});

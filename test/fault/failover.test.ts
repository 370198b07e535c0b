import { type Client, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { FeedId } from "../../src/domain/feed-id.ts";
import { microsFromTimestamp } from "../../src/domain/time/instant.ts";
import { Health, HealthCheckResponse_ServingStatus as Status } from "../../src/gen/grpc/health/v1/health_pb.js";
import { AgreementService } from "../../src/gen/tandem/carrier/v1/agreement_service_pb.js";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { CdrService as PlatformCdrService } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { openLog } from "../../src/log.ts";
import { openDatabase } from "../../src/store/database/database.ts";
import { readInstallation } from "../../src/store/database/installation.ts";
import { confirmServer } from "../../src/store/feeds/epochs.ts";
import { eventually } from "../support/eventually.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { FailoverServers } from "../support/failover.ts";
import {
  atCursor,
  calls,
  EARLIEST,
  framesOf,
  HEAD,
  ingest,
  NUMBER,
  type ReadFeed,
  readAll,
  readFeed,
  refusal,
} from "../support/feed.ts";

const LAG_MS = 1_000;

let servers: FailoverServers;
let exchange: Exchange;
const logged: string[] = [];

beforeAll(async () => {
  servers = await FailoverServers.open();
  exchange = await startExchange(
    { databaseUrl: servers.url, heartbeatIntervalMs: 100, replicaLagMs: LAG_MS, retentionIntervalMs: 0 },
    openLog("warn", (line) => logged.push(line)),
  );
});
afterAll(async () => {
  await exchange?.[Symbol.asyncDispose]();
  await servers?.[Symbol.asyncDispose]();
});

const ingestUntilDone = (carrierId: string, word: string, count: number) =>
  eventually(() => ingest(exchange, carrierId, calls(word, count)));

/** What an uploader is told when it opens an upload. */
async function openUpload(carrierId: string) {
  const platform = await exchange.platformClient(PlatformCdrService);
  const open = { carrierId, open: { uploadId: `told-${carrierId}` } };
  async function* frames() {
    yield { frame: { case: "open" as const, value: open } };
    await new Promise(() => {});
  }
  for await (const { frame } of platform.ingestCdrs(frames())) if (frame.case === "opened") return frame.value;
  throw new Error("the upload was not opened");
}

/**
 * Comes back from where the stream before ended, as a client does, for as long as it is only cut.
 */
async function followUntilRefused(client: Client<typeof CdrService>, first: ReadFeed) {
  let cursor = "";
  for (let feed = first; ; feed = readFeed(client, { start: atCursor(cursor) })) {
    const ended = await refusal(feed.ended);
    if (ended.reason === "FEED_EPOCH_CHANGED") return ended;
    // What came after the cut would be of the new history.
    cursor = feed.messages.at(-1)?.cursor ?? cursor;
  }
}

test("a failover that lost entries begins a new epoch of that feed alone, before anything takes their sequences, and tells since when", async () => {
  for (const carrierId of ["loser", "bystander"]) {
    await exchange.addCarrier(carrierId);
    await exchange.assignNumbers(carrierId, [NUMBER]);
    await ingest(exchange, carrierId, calls("kept", 3));
  }
  await servers.holdStandbyBack();
  await ingestUntilDone("loser", "lost", 2);
  const client = await exchange.carrierClient(CdrService, "loser");
  using live = readFeed(client, { start: EARLIEST });
  await live.until((messages) => framesOf(messages).includes("caughtUp"));

  await servers.startStandby();
  // Writers are there at once, with more than was lost.
  const writing = ingestUntilDone("loser", "new", 10);
  await servers.promote();
  await writing;

  const reason = await followUntilRefused(client, live);
  expect(reason).toMatchObject({ reason: "FEED_EPOCH_CHANGED" });
  const { messages, ids, records } = await readAll(client, { start: EARLIEST, end: HEAD });
  expect(ids).toEqual([...[0, 1, 2].map((n) => `kept-${n}`), ...Array.from({ length: 10 }, (_, n) => `new-${n}`)]);
  const lastKept = microsFromTimestamp(records[2]?.ingestTime ?? { seconds: 0n, nanos: 0 });
  const opened = messages[0]?.frame.value as { feedEpoch: bigint; lostSince?: { seconds: bigint; nanos: number } };
  expect(opened.feedEpoch).toBe(2n);
  expect(opened.lostSince && microsFromTimestamp(opened.lostSince)).toBe(lastKept - BigInt(LAG_MS) * 1000n);
  // A page that finds its entry gone may come before the writer that begins the new epoch: then
  // Opened alone tells of it.
  if (reason["feed_epoch"] === "2")
    expect(Date.parse(String(reason["lost_since"]))).toBe(Number((lastKept - BigInt(LAG_MS) * 1000n) / 1000n));
  const { agreement } = await (await exchange.carrierClient(AgreementService, "loser")).getAgreement({});
  expect(agreement?.lostSince).toMatchObject(opened.lostSince ?? {});

  // Whoever sends is told as well, though its finished uploads have no row any more.
  expect(await openUpload("loser")).toMatchObject({ lostSince: opened.lostSince });
  expect(await openUpload("bystander")).not.toHaveProperty("lostSince");

  const other = await exchange.carrierClient(CdrService, "bystander");
  const first = (await readAll(other, { start: EARLIEST, end: HEAD })).messages[0];
  expect(first?.frame.value).toMatchObject({ feedEpoch: 1n, headSequence: 3n });
  expect(first?.frame.value).not.toHaveProperty("lostSince");
  expect(logged.join("\n")).toMatch(/failed over to another timeline/);
  expect(logged.join("\n")).toMatch(/"carrierId":"loser".*lost entries of a feed/);
});

test("a loss that a writer finds only later begins the new epoch of its feed too", async () => {
  const { heads } = exchange.services.db;
  const before = heads.find("bystander", FeedId.CDRS);
  if (!before) throw new Error("the feed was never seen");
  // As if a reader had been shown more by the old server, and its answer had come late.
  const shown = { ...before, timeline: before.timeline - 1n, headSequence: before.headSequence + 7n };
  heads.believe("bystander", FeedId.CDRS, shown);
  await ingestUntilDone("bystander", "later", 1);
  const { messages, ids } = await readAll(await exchange.carrierClient(CdrService, "bystander"), {
    start: EARLIEST,
    end: HEAD,
  });
  expect(messages[0]?.frame.value).toMatchObject({ feedEpoch: 2n, lostSince: expect.anything() });
  expect(ids).toEqual(["kept-0", "kept-1", "kept-2", "later-0"]);
});

test("a process that starts after a failover finds it at once, without a checkpoint", async () => {
  await using db = openDatabase({ url: servers.url });
  expect(await readInstallation(db)).toMatchObject({ serverChanged: true });
});

test("health tells that another timeline is beneath than was confirmed, until it is", async () => {
  const transport = await exchange.platformTransport();
  const health = createClient(Health, transport);
  const timeline = async () => (await health.check({ service: "tandem.database.timeline" })).status;
  expect(await timeline()).toBe(Status.NOT_SERVING);
  // Whoever only wants to know whether it serves is not told of it.
  await eventually(async () => expect((await health.check({ service: "" })).status).toBe(Status.SERVING));
  await confirmServer(exchange.services.db, "test");
  await eventually(async () => expect(await timeline()).toBe(Status.SERVING));
});

test("when the old server comes back in the place of the one that took over, nothing is written to it, and the log says so", async () => {
  await servers.bringBackPrimary();
  await eventually(() =>
    expect(ingest(exchange, "loser", calls("astray", 1))).rejects.toMatchObject({
      reason: "STORE_UNAVAILABLE",
      message: expect.stringContaining("whose history ended"),
    }),
  );
  await eventually(() => expect(logged.join("\n")).toContain("a database with an older timeline answers"));
});

import { expect, test, vi } from "vitest";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { CdrService as PlatformCdrService } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { openLog } from "../../src/log.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { calls, EARLIEST, HEAD, ingest, NUMBER, readAll, recordsOf } from "../support/feed.ts";
import { MirrorFollower } from "./mirror-follower.ts";
import { RememberingSender } from "./remembering-sender.ts";
import { findReplicatedPostgres, type ReplicatedPostgres } from "./replicated-postgres.ts";

const WAIT = { timeout: 60_000, interval: 50 };
/** How many uploads each replica lacks at least, of each carrier, when it is promoted. */
const LOSSES = [1, 3, 10, 30, 60];
const CARRIERS = ["alder", "birch", "cedar"];

const servers = await findReplicatedPostgres();
const why = "missing" in servers ? ` (skipped: ${servers.missing})` : "";

/** What is told in the log: each feed that began a new epoch. */
const lossesIn = (lines: readonly string[]) => lines.filter((line) => line.includes("lost entries of a feed"));

async function openExchange(url: string, logged: string[]): Promise<Exchange> {
  const exchange = await startExchange(
    { databaseUrl: url, heartbeatIntervalMs: 100, retentionIntervalMs: 0, replicaLagMs: 5_000 },
    openLog("error", (line) => logged.push(line)),
  );
  for (const carrierId of [...CARRIERS, "quiet"]) {
    await exchange.addCarrier(carrierId);
    await exchange.assignNumbers(carrierId, [NUMBER]);
  }
  await ingest(exchange, "quiet", calls("quiet", 3));
  return exchange;
}

/** Uploads without a pause, and a follower of what is uploaded. */
async function startLoad(exchange: Exchange) {
  const platform = await exchange.platformClient(PlatformCdrService);
  return Promise.all(
    CARRIERS.map(async (carrierId) => ({
      carrierId,
      client: await exchange.carrierClient(CdrService, carrierId),
      sender: new RememberingSender(platform, carrierId),
      follower: new MirrorFollower(await exchange.carrierClient(CdrService, carrierId)),
    })),
  );
}

type Load = Awaited<ReturnType<typeof startLoad>>;

/** The replica lacks so much of each carrier, and the followers have read it. */
async function loseUploads(servers: ReplicatedPostgres, loads: Load, losses: number): Promise<void> {
  const replica = await servers.replicate();
  await replica.fallBehind();
  const marks = loads.map(({ sender }) => sender.receipts.length);
  for (const [index, { sender, follower }] of loads.entries()) {
    const last = (marks[index] ?? 0) + losses;
    await vi.waitFor(() => expect(sender.receipts.length).toBeGreaterThan(last), WAIT);
    const [record] = sender.receipts[last]?.records ?? [];
    await vi.waitFor(() => expect(follower.hasRead(record?.recordId ?? "")).toBe(true), WAIT);
  }
  await replica.takeOver();
}

test.skipIf("missing" in servers)(
  `behind PgBouncer, five promoted replicas that lack different uploads, under load: no feed skips, none steps back silently, and whoever is told sends everything again${why}`,
  async () => {
    if ("missing" in servers) return;
    await using postgres = await servers.tools.open();
    const logged: string[] = [];
    await using exchange = await openExchange(postgres.url, logged);
    const loads = await startLoad(exchange);
    await using closing = new AsyncDisposableStack();
    for (const { sender, follower } of loads) closing.use(sender) && closing.use(follower);

    for (const [index, losses] of LOSSES.entries()) {
      await loseUploads(postgres, loads, losses);
      const round = index + 1;
      for (const { client, sender, follower } of loads) {
        await vi.waitFor(() => {
          expect(sender.losses.size, `losses that the sender was told of, in round ${round}`).toBe(round);
          expect(follower.epoch, "the epoch that the follower is in").toBe(BigInt(round + 1));
          expect(follower.rewritings, "rewritings that the follower was told of").toBeGreaterThanOrEqual(round);
        }, WAIT);
        const { messages } = await vi.waitFor(() => readAll(client, { start: EARLIEST, end: HEAD }), WAIT);
        expect(messages[0]?.frame.value).toMatchObject({ feedEpoch: BigInt(round + 1), lostSince: expect.anything() });
      }
    }

    for (const { sender } of loads) await sender.stop();
    for (const { client, sender, follower } of loads) {
      const { messages } = await readAll(client, { start: EARLIEST, end: HEAD });
      const ids = recordsOf(messages).map(({ recordId }) => recordId);
      // Nothing that was acknowledged is missing, or there twice.
      expect(new Set(ids).size).toBe(ids.length);
      expect(
        sender.receipts
          .flatMap(({ records }) => records.map(({ recordId }) => recordId))
          .filter((id) => !ids.includes(id)),
      ).toEqual([]);
      await vi.waitFor(() => expect(follower.mirror).toEqual(ids), WAIT);
      expect(follower.faults).toEqual([]);
    }
    const quiet = await readAll(await exchange.carrierClient(CdrService, "quiet"), { start: EARLIEST, end: HEAD });
    expect(quiet.messages[0]?.frame.value).toMatchObject({ feedEpoch: 1n });
    // Each loss is a line of the log, once, and of each feed.
    expect(lossesIn(logged)).toHaveLength(LOSSES.length * CARRIERS.length);
  },
  300_000,
);

test.skipIf("missing" in servers)(
  `a process behind PgBouncer, which passes no hint between processes, finds that and says so once${why}`,
  async () => {
    if ("missing" in servers) return;
    await using postgres = await servers.tools.open();
    const logged: string[] = [];
    await using exchange = await startExchange(
      { databaseUrl: postgres.url, hintsUrl: postgres.url },
      openLog("warn", (line) => logged.push(line)),
    );
    await vi.waitFor(() => expect(logged.filter((line) => line.includes("TANDEM_HINTS_URL"))).toHaveLength(1), WAIT);
    await exchange.addCarrier("acme");
    expect(logged.filter((line) => /hints/i.test(line))).toHaveLength(1);
  },
);

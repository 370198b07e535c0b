import { setTimeout as sleep } from "node:timers/promises";
import type { Client } from "@connectrpc/connect";
import { expect, test, vi } from "vitest";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { openLog } from "../../src/log.ts";
import { startExchange } from "../support/exchange.ts";
import {
  atCursor,
  atTime,
  calls,
  checkRanges,
  EARLIEST,
  HEAD,
  idsOf,
  ingest,
  NUMBER,
  type ReadFeed,
  readAll,
  readFeed,
  refusal,
} from "../support/feed.ts";
import { ReplicatedPostgres, whyNoReplicatedPostgres } from "../support/replicated-postgres.ts";

const WAIT = { timeout: 60_000, interval: 50 };
/** How many commits each replica lacks when it is promoted. */
const LOSSES = [1, 5, 2, 20, 0];

const why = whyNoReplicatedPostgres();

interface Followed {
  /** The messages of each of its streams, also of the one that is open. */
  readonly streams: ReadFeed["messages"][];
  readonly told: { epoch: string; lostSince: string | undefined }[];
}

/** Follows for as long as it is only cut; where history was rewritten it begins again from the time that it is told, or from the start. */
async function follow(
  client: Client<typeof CdrService>,
  { streams, told }: Followed,
  stop: AbortSignal,
): Promise<void> {
  let start: Parameters<typeof readFeed>[1]["start"] = EARLIEST;
  while (!stop.aborted) {
    using feed = readFeed(client, { start });
    streams.push(feed.messages);
    const stopped = new Promise<undefined>((resolve) =>
      stop.addEventListener("abort", () => resolve(undefined), { once: true }),
    );
    const error = await Promise.race([feed.ended, stopped]);
    // No range may skip an entry, whatever history it is of.
    checkRanges(feed.messages);
    const cursor = feed.messages.at(-1)?.cursor;
    if (cursor !== undefined) start = atCursor(cursor);
    if (!error) continue;
    const found = await refusal(Promise.reject(error));
    if (found.reason !== "FEED_EPOCH_CHANGED") await sleep(50);
    else {
      const lostSince = found["lost_since"] as string | undefined;
      told.push({ epoch: String(found["feed_epoch"]), lostSince });
      start = lostSince === undefined ? EARLIEST : atTime(BigInt(Date.parse(lostSince)) * 1000n);
    }
  }
}

test.skipIf(why !== undefined)(
  `behind PgBouncer, five promoted replicas that lack different commits: no feed skips, none steps back silently, each loss is told${why === undefined ? "" : ` (skipped: ${why})`}`,
  async () => {
    await using servers = await ReplicatedPostgres.open();
    const logged: string[] = [];
    await using exchange = await startExchange(
      { databaseUrl: servers.url, heartbeatIntervalMs: 100, retentionIntervalMs: 0, replicaLagMs: 1_000 },
      openLog("error", (line) => logged.push(line)),
    );
    for (const carrierId of ["loaded", "quiet"]) {
      await exchange.addCarrier(carrierId);
      await exchange.assignNumbers(carrierId, [NUMBER]);
    }
    await ingest(exchange.app, "quiet", calls("quiet", 3));
    const client = await exchange.carrierClient(CdrService, "loaded");
    const stop = new AbortController();
    const followed: Followed = { streams: [], told: [] };
    const following = follow(client, followed, stop.signal);
    const write = (word: string, count: number) =>
      vi.waitFor(() => ingest(exchange.app, "loaded", calls(word, count)), WAIT);

    let epoch = 1;
    for (const [round, losses] of LOSSES.entries()) {
      await write(`kept-${round}`, 5);
      const replica = await servers.replicate();
      await replica.fallBehind();
      for (let index = 0; index < losses; index++) await write(`lost-${round}-${index}`, 1);
      // The follower has read what is about to be lost.
      const last = losses > 0 ? `lost-${round}-${losses - 1}-0` : `kept-${round}-4`;
      await vi.waitFor(() => expect(followed.streams.flatMap(idsOf)).toContain(last), WAIT);
      const toldBefore = followed.told.length;
      // Under load: it is sent again and again until it is in, and is more than was lost.
      const writing = write(`new-${round}`, 50);
      await replica.takeOver();
      await writing;
      if (losses > 0) epoch++;
      // It may be told by the entry at its position before the new epoch has begun, and then once more.
      if (losses > 0) await vi.waitFor(() => expect(followed.told.length).toBeGreaterThan(toldBefore), WAIT);
      const opened = await vi.waitFor(async () => {
        const { messages } = await readAll(client, { start: EARLIEST, end: HEAD });
        return messages[0]?.frame.value as { feedEpoch: bigint; lostSince?: unknown };
      }, WAIT);
      expect(opened.feedEpoch, `after ${losses} lost commits`).toBe(BigInt(epoch));
      expect(opened.lostSince !== undefined).toBe(epoch > 1);
    }
    const { ids } = await readAll(client, { start: EARLIEST, end: HEAD });
    const { streams } = followed;
    await vi.waitFor(() => {
      const have = new Set(streams.flatMap(idsOf));
      expect(ids.filter((id) => !have.has(id))).toEqual([]);
    }, WAIT);
    stop.abort();
    await following;
    const quiet = await readAll(await exchange.carrierClient(CdrService, "quiet"), { start: EARLIEST, end: HEAD });
    expect(quiet.messages[0]?.frame.value).toMatchObject({ feedEpoch: 1n });
    expect(logged.filter((line) => line.includes("lost entries of a feed")).length).toBe(epoch - 1);
  },
  600_000,
);

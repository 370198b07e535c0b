import { createClient } from "@connectrpc/connect";
import pg from "pg";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { CdrService as PlatformCdrService } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { asCaller, asOwn, type Caller, callerKey } from "../../src/store/database/callers.ts";
import { carrierTransaction, openDatabase, systemTransaction } from "../../src/store/database/database.ts";
import { readClock } from "../../src/store/database/run.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, ingest, LATEST, NUMBER, readFeed } from "../support/feed.ts";
import { newRequestId, provisionItem, takeNumber } from "../support/numbers.ts";
import { reasonOf } from "../support/refusal.ts";
import { PERIOD } from "../support/two-carriers.ts";

/** A transaction that does nothing may do so until the test lets it end. */
const PATIENT = { idleTimeoutMs: 600_000 };

/** More than the default. */
const MAX_LIVE_CALLS = 1_050;

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange({ accessCacheMs: 50, maxLiveCalls: MAX_LIVE_CALLS });
  for (const carrierId of ["alpha", "bravo", "charlie", "delta"]) {
    await exchange.addCarrier(carrierId);
    await exchange.assignNumbers(carrierId, [NUMBER]);
    await ingest(exchange, carrierId, [call(`${carrierId}-call`)]);
  }
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

test("sixty calls of one carrier whose transactions are held up hold three connections, and another carrier and the platform wait for none", async () => {
  await using lock = await lockFeeds("alpha");
  const calls = await callSixtyTimes("alpha");
  await expect.poll(() => lock.countWaiting()).toBe(3);

  const waits = watchWaits();
  const bravo = await exchange.carrierTransport("bravo");
  const platform = await exchange.platformTransport();
  const cdrs = createClient(PlatformCdrService, platform);
  expect(await reasonOf(createClient(DurationService, bravo).listUploads({}))).toBe("OK");
  expect(await reasonOf(createClient(CdrService, bravo).listCdrs(PERIOD))).toBe("OK");
  expect(await reasonOf(cdrs.listCdrs({ ...PERIOD, carrierId: "bravo" }))).toBe("OK");
  // The platform's calls about the carrier are the platform's.
  expect(await reasonOf(cdrs.listCdrs({ ...PERIOD, carrierId: "alpha" }))).toBe("OK");
  expect(await lock.countWaiting()).toBeLessThanOrEqual(3);
  expect(waits.of("carrier:bravo")).not.toEqual([]);
  expect(Math.max(...waits.of("carrier:bravo"), ...waits.of("platform:"))).toBe(0);
  expect(waits.of("platform:").length).toBeGreaterThanOrEqual(2);

  await lock[Symbol.asyncDispose]();
  await Promise.allSettled(calls);
});

test("calls that end while they wait for a connection leave the line", async () => {
  await using _lock = await lockFeeds("alpha");
  const stop = new AbortController();
  const calls = await callSixtyTimes("alpha", stop.signal);
  const ended = Promise.allSettled(calls);
  await expect.poll(() => lanes().carrier.waiting).toBeGreaterThanOrEqual(50);
  stop.abort();
  await expect.poll(() => lanes().carrier.waiting).toBe(0);
  await ended;
});

test("calls that wait for a connection are refused when their carrier is suspended meanwhile, and nothing of them is kept", async () => {
  await exchange.addCarrier("echo");
  const durations = await exchange.carrierClient(DurationService, "echo");
  expect(await reasonOf(durations.listUploads({}))).toBe("OK");
  const busy = holdAll(Array.from({ length: 3 }, (): Caller => ({ kind: "carrier", carrierId: "echo" })));
  try {
    await expect.poll(() => busy.held).toBe(3);
    const list = reasonOf(durations.listUploads({}));
    const append = reasonOf(durations.appendDurations({ uploadId: "waits", records: [{}] }));
    await expect.poll(() => lanes().carrier.waiting).toBe(2);
    await runOutside("UPDATE carrier SET suspended = true WHERE carrier_id = 'echo'");
    expect(await list).toBe("CARRIER_SUSPENDED");
    // It waited for what others may wait for too, and goes on by itself.
    await busy.letGo();
    expect(await append).toBe("CARRIER_SUSPENDED");
  } finally {
    await busy.letGo();
  }
  await runOutside("UPDATE carrier SET suspended = false WHERE carrier_id = 'echo'");
  await expect.poll(() => reasonOf(durations.listUploads({}))).toBe("OK");
  expect((await durations.listUploads({})).uploads).toEqual([]);
});

test("numbers whose rows wait for a connection are refused when their carrier is suspended meanwhile, and only what the call claimed is freed", async () => {
  await exchange.addCarrier("golf");
  const numbers = await exchange.carrierClient(NumberService, "golf");
  const [fresh, leftOver] = [takeNumber(), takeNumber()];
  await runOutside(`INSERT INTO number_owner VALUES ('${leftOver}', 'golf', clock_timestamp(), false)`);
  const golf: Caller = { kind: "carrier", carrierId: "golf" };
  const busy = [holdAll([golf, golf])];
  const held = () => busy.reduce((sum, each) => sum + each.held, 0);
  try {
    await expect.poll(held).toBe(2);
    const provisioned = await (async () => {
      await using lock = await beginOutside(`INSERT INTO number_owner VALUES ('${fresh}', 'alpha', now(), false)`);
      const items = [fresh, leftOver].map((number) => provisionItem(number));
      const answer = reasonOf(numbers.provisionNumbers({ requestId: newRequestId(), items }));
      await expect.poll(() => lock.countWaiting()).toBe(1);
      // It gets the connection on which the call claims, so that the rows have none.
      busy.push(holdAll([golf]));
      await expect.poll(() => lanes().carrier.waiting).toBe(1);
      return { answer };
    })();
    await expect.poll(held).toBe(3);
    await expect.poll(() => lanes().carrier.waiting).toBe(1);
    expect(await claimsOf("golf")).toEqual([fresh, leftOver]);
    using judged = vi.spyOn(exchange.services.access, "assertServed");
    await runOutside("UPDATE carrier SET suspended = true WHERE carrier_id = 'golf'");
    await expect.poll(() => judged.mock.settledResults.map(({ type }) => type)).toContain("rejected");
    for (const each of busy) await each.letGo();
    expect(await provisioned.answer).toBe("CARRIER_SUSPENDED");
  } finally {
    for (const each of busy) await each.letGo();
  }
  expect(await claimsOf("golf")).toEqual([leftOver]);
  const rows = await runOutside("SELECT FROM phone_number WHERE carrier_id = 'golf'");
  expect(rows).toEqual([]);
});

test("as many calls of a carrier may wait for a connection as may live at once", async () => {
  const foxtrot: Caller = { kind: "carrier", carrierId: "foxtrot" };
  const { lanes: line } = exchange.services.db;
  const held = await Promise.all(Array.from({ length: 3 }, () => line.take(foxtrot)));
  const waiting = Array.from({ length: MAX_LIVE_CALLS }, () => line.take(foxtrot));
  const served = waiting.map(async (place) => (await place)[Symbol.dispose]());
  for (const place of held) place[Symbol.dispose]();
  await Promise.all(served);
});

test("the jobs of the process together hold three connections, whatever they do", async () => {
  const jobs = holdAll(Array.from({ length: 20 }, (): Caller => ({ kind: "jobs" })));
  await expect.poll(() => jobs.held).toBe(3);
  await expect.poll(() => lanes().jobs.waiting).toBeGreaterThanOrEqual(17);
  const bravo = await exchange.carrierTransport("bravo");
  expect(await reasonOf(createClient(CdrService, bravo).listCdrs(PERIOD))).toBe("OK");
  expect(jobs.held).toBe(3);
  await jobs.letGo();
  expect(jobs.held).toBe(20);
});

test("the hub's poll, the watch of who is served, the look at the database and the sign of life go on while all else is busy", async () => {
  const cdrs = await exchange.carrierClient(CdrService, "delta");
  using feed = readFeed(cdrs, { start: LATEST });
  await feed.until((messages) => messages.some(({ frame }) => frame.case === "caughtUp"));
  const waits = watchWaits();
  // Nine connections are shared: three carriers may hold eight of them, and the platform has the
  // last.
  const everybody = ["alpha", "alpha", "alpha", "bravo", "bravo", "bravo", "charlie", "charlie"].map(
    (carrierId): Caller => ({ kind: "carrier", carrierId }),
  );
  const busy = holdAll([...everybody, { kind: "platform", identity: "test" }]);
  await expect.poll(() => lanes().carrier.held + lanes().platform.held).toBe(9);

  const polled = waits.of("own:hub").length;
  await expect.poll(() => waits.of("own:hub").length).toBeGreaterThan(polled + 2);
  await asOwn("health", () => systemTransaction(exchange.services.db, readClock));
  await asOwn("sign of life", () => systemTransaction(exchange.services.db, readClock));
  await runOutside("UPDATE carrier SET suspended = true WHERE carrier_id = 'delta'");
  expect((await feed.ended)?.rawMessage).toContain("suspended");
  expect(lanes().carrier.held + lanes().platform.held).toBe(9);
  await busy.letGo();
});

test("what several uploads of one carrier commit together counts as that carrier's", async () => {
  await using lock = await lockFeeds("charlie");
  const waits = watchWaits();
  const transport = await exchange.carrierTransport("charlie");
  const uploads = Array.from({ length: 3 }, (_, index) =>
    reasonOf(createClient(DurationService, transport).appendDurations({ uploadId: `u${index}`, records: [{}] })),
  );
  await expect.poll(() => lock.countWaiting()).toBe(1);
  await lock[Symbol.asyncDispose]();
  expect(await Promise.all(uploads)).toEqual(["OK", "OK", "OK"]);
  expect(waits.keys().filter((key) => key !== "jobs" && !key.startsWith("own:"))).toEqual(["carrier:charlie"]);
});

test.each([2, 3])("with a pool of %i connections everybody is answered, and a feed lives", async (databasePool) => {
  await using small = await startExchange({ databasePool, accessCacheMs: 50, reconcileIntervalMs: 20 });
  for (const carrierId of ["one", "two"]) {
    await small.addCarrier(carrierId);
    await small.assignNumbers(carrierId, [NUMBER]);
  }
  using feed = readFeed(await small.carrierClient(CdrService, "one"), { start: LATEST });
  await feed.until((messages) => messages.length > 0);
  const before = feed.messages.length;
  await Promise.all([
    ingest(small, "one", [call("a")]),
    ingest(small, "two", [call("b")]),
    ...["one", "two"].map(async (carrierId) => {
      const durations = await small.carrierClient(DurationService, carrierId);
      const appended = Array.from({ length: 5 }, (_, index) =>
        reasonOf(durations.appendDurations({ uploadId: `u${index}`, records: [{}] })),
      );
      expect(await Promise.all(appended)).toEqual(Array(5).fill("OK"));
    }),
  ]);
  await feed.until((messages) => messages.slice(before).some(({ frame }) => frame.case === "batch"));
});

test("a pool of one serves whoever asks, in turn", async () => {
  await using db = openDatabase({ url: exchange.databaseUrl, maxConnections: 1 });
  const callers: Caller[] = [
    { kind: "jobs" },
    { kind: "carrier", carrierId: "alpha" },
    { kind: "own", work: "hub" },
    { kind: "platform", identity: "p" },
  ];
  const asked = [...callers, ...callers].map((caller) => asCaller(caller, () => systemTransaction(db, readClock)));
  expect((await Promise.all(asked)).every((now) => now > 0n)).toBe(true);
});

function lanes() {
  return exchange.services.db.lanes.state;
}

/** How long each connection was waited for from now on, by who took it. */
function watchWaits() {
  const waits: [key: string, waitedMs: number][] = [];
  exchange.services.db.lanes.watch((caller, waitedMs) => waits.push([callerKey(caller), waitedMs]));
  return {
    of: (prefix: string) => waits.filter(([key]) => key.startsWith(prefix)).map(([, waitedMs]) => waitedMs),
    keys: () => [...new Set(waits.map(([key]) => key))],
  };
}

/** Sixty calls, each of which takes the carrier's feed of numbers. */
async function callSixtyTimes(carrierId: string, signal?: AbortSignal): Promise<Promise<unknown>[]> {
  const numbers = createClient(NumberService, await exchange.carrierTransport(carrierId));
  const options = signal === undefined ? {} : { signal };
  const release = () => numbers.releaseNumbers({ requestId: newRequestId(), phoneNumbers: [NUMBER] }, options);
  return Array.from({ length: 60 }, release);
}

/** Transactions that stay open until they are let go; `held` counts those that have begun. */
function holdAll(callers: readonly Caller[]) {
  const gate = Promise.withResolvers<void>();
  let held = 0;
  const wait = async () => {
    held++;
    await gate.promise;
  };
  const { db } = exchange.services;
  const open = callers.map((caller) =>
    asCaller(caller, () =>
      caller.kind === "carrier"
        ? carrierTransaction(db, caller.carrierId, wait, PATIENT)
        : systemTransaction(db, wait, PATIENT),
    ),
  );
  return {
    get held() {
      return held;
    },
    letGo: async () => {
      gate.resolve();
      await Promise.all(open);
    },
  };
}

/** Locks a carrier's feeds on a connection that is not the server's, until it is disposed. */
function lockFeeds(carrierId: string) {
  return beginOutside(`SELECT FROM feed_head WHERE carrier_id = '${carrierId}' FOR UPDATE`);
}

/**
 * Runs a statement on a connection that is not the server's, and takes it back when it is disposed.
 */
async function beginOutside(statement: string) {
  const client = new pg.Client({ connectionString: exchange.databaseUrl });
  await client.connect();
  await client.query("BEGIN");
  await client.query(statement);
  let isLocked = true;
  return {
    /** How many of the server's connections wait for a lock. */
    async countWaiting(): Promise<number> {
      const { rows } = await client.query(
        "SELECT count(*)::int AS count FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
      );
      return rows[0].count;
    },
    async [Symbol.asyncDispose]() {
      if (isLocked) await client.end();
      isLocked = false;
    },
  };
}

async function claimsOf(carrierId: string): Promise<string[]> {
  const rows = await runOutside(`SELECT phone_number FROM number_owner WHERE carrier_id = '${carrierId}' ORDER BY 1`);
  return rows.map((row) => row["phone_number"] ?? "");
}

async function runOutside(statement: string): Promise<Record<string, string>[]> {
  const client = new pg.Client({ connectionString: exchange.databaseUrl });
  await client.connect();
  try {
    return (await client.query(statement)).rows;
  } finally {
    await client.end();
  }
}

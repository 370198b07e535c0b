import { connect } from "node:net";
import { createClient } from "@connectrpc/connect";
import { sql } from "kysely";
import pg from "pg";
import { describe, expect, test } from "vitest";
import type { App } from "../../src/app.ts";
import { memoryCursorStore } from "../../src/client/cursor-store.ts";
import { followCdrs } from "../../src/client/follow-cdrs.ts";
import { createTandemTransport } from "../../src/client/transport.ts";
import {
  type CdrFeedEntry,
  CdrService,
  type StreamCdrsResponse,
} from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { type AppliedRun, checkLogs, type ProducedRecord } from "../../src/simulator/checker.ts";
import { createRandom, type Random } from "../../src/simulator/random.ts";
import { asCaller } from "../../src/store/database/callers.ts";
import { type Database, isTransient, openDatabase } from "../../src/store/database/database.ts";
import { createTestDatabase } from "../support/database.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import {
  atTime,
  call,
  calls,
  EARLIEST,
  framesOf,
  HEAD,
  idsOf,
  ingest,
  LATEST,
  NUMBER,
  readAll,
  readFeed,
  refusal,
  runSql,
  until,
  untilNoStreams,
} from "../support/feed.ts";
import { appendInTransaction } from "../support/writers.ts";

const WRITERS = 16;
const SEED = process.env["TANDEM_TEST_SEED"] ?? "gaps-1";
const NOTHING_WRONG = { lost: [], duplicated: [], unacknowledged: [], gaps: [] };

async function startWithCarriers(settings: Parameters<typeof startExchange>[0], ...carrierIds: string[]) {
  const exchange = await startExchange({ heartbeatIntervalMs: 100, databasePool: 30, ...settings });
  for (const carrierId of carrierIds) {
    await exchange.addCarrier(carrierId);
    await exchange.assignNumbers(carrierId, [NUMBER]);
  }
  return exchange;
}

/**
 * Writers that upload through two processes, and write transactions of their own, which dawdle and
 * roll back. Those are a third process's: on connections of the carrier's share they would keep its
 * streams waiting.
 */
class Writers implements AsyncDisposable {
  readonly produced: ProducedRecord[] = [];
  readonly #apps: readonly App[];
  readonly #db: Database;
  rolledBack = 0;

  constructor(exchange: Exchange, second: App) {
    this.#apps = [exchange, second];
    this.#db = openDatabase({ url: exchange.databaseUrl, maxConnections: 20 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#db[Symbol.asyncDispose]();
  }

  /** Runs them all to their end. */
  async run(rounds: number): Promise<void> {
    const random = createRandom(SEED);
    const writers = Array.from({ length: WRITERS }, (_, index) => this.#write(index, rounds, random.fork(index)));
    await Promise.all(writers);
  }

  async #write(writer: number, rounds: number, random: Random): Promise<void> {
    for (let round = 0; round < rounds; round++) {
      const records = calls(`w${writer}-${round}`, random.int(1, 20));
      const app = random.pick(this.#apps);
      if (random.chance(0.5)) await untilTaken(() => ingest(app, "alpha", records));
      else {
        const delaysMs = [random.int(0, 6), random.int(0, 6)] as const;
        const habits = { delaysMs, rollsBack: random.chance(0.3) };
        const append = () => appendInTransaction(this.#db, "alpha", records, habits);
        const committed = await asCaller({ kind: "jobs" }, () => untilTaken(append));
        if (!committed) {
          this.rolledBack += 1;
          continue;
        }
      }
      this.produced.push(...records.map(({ recordId, recordDate }) => ({ recordId, recordDate, revision: 1 })));
    }
  }
}

/** As a client does: sends again what waited too long for its turn behind 15 others. */
async function untilTaken<T>(append: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await append();
    } catch (error) {
      if (!isTransient(error)) throw error;
    }
  }
}

function appliedRuns(messages: readonly StreamCdrsResponse[]): AppliedRun[] {
  return messages.flatMap(({ frame, afterSequence, throughSequence }) =>
    frame.case === "batch" ? [appliedRun(frame.value.entries, afterSequence, throughSequence)] : [],
  );
}

function appliedRun(entries: readonly CdrFeedEntry[], afterSequence: bigint, throughSequence: bigint): AppliedRun {
  const applied = entries.flatMap(({ entry }) =>
    entry.case === "record" ? [{ ...entry.value, revision: entry.value.revision ?? 1 }] : [],
  );
  return { epoch: 1n, afterSequence, throughSequence, entries: applied };
}

/** The database's clock, microseconds since 1970. */
async function databaseTime(app: App): Promise<bigint> {
  const [row] = await runSql(app, sql<{ now: bigint }>`SELECT clock_timestamp() AS now`);
  return row?.now ?? 0n;
}

describe(`16 writers that dawdle and roll back, seed ${SEED}`, () => {
  test("one reader throughout, and one that is cut again and again, miss nothing and see nothing twice", async () => {
    await using exchange = await startWithCarriers({}, "alpha");
    const shortLived = await exchange.openSecondApp({ maxStreamAgeMs: 100 });
    const client = await exchange.carrierClient(CdrService, "alpha");
    using throughout = readFeed(client, { start: EARLIEST });
    const stop = new AbortController();
    const runs: AppliedRun[] = [];
    const following = followCdrs(
      createClient(CdrService, await exchange.carrierTransport("alpha", { baseUrl: shortLived.url })),
      {
        start: EARLIEST.position as never,
        store: memoryCursorStore(),
        signal: stop.signal,
        retry: { initialDelayMs: 5 },
        apply: async ({ entries, afterSequence, position }) => {
          runs.push(appliedRun(entries, afterSequence, position.sequence));
        },
      },
    );
    await using writers = new Writers(exchange, shortLived);
    await writers.run(18);
    const total = BigInt(writers.produced.length);
    await throughout.until((messages) => messages.at(-1)?.throughSequence === total);
    await until(() => runs.at(-1)?.throughSequence, total);
    stop.abort();

    expect(writers.rolledBack).toBeGreaterThan(10);
    expect(checkLogs(writers.produced, appliedRuns(throughout.messages))).toMatchObject(NOTHING_WRONG);
    expect(checkLogs(writers.produced, runs)).toMatchObject(NOTHING_WRONG);
    expect((await following).resumes).toBeGreaterThan(5);
  });

  test("windows of ingest time, back to back, hold each record once", async () => {
    await using exchange = await startWithCarriers({}, "alpha");
    const second = await exchange.openSecondApp();
    const client = await exchange.carrierClient(CdrService, "alpha");
    await using writers = new Writers(exchange, second);
    let writing = true;
    const written = writers.run(15).finally(() => {
      writing = false;
    });
    const windows: StreamCdrsResponse[][] = [];
    let from = 0n;
    for (let isLast = false; !isLast; ) {
      isLast = !writing;
      const to = await databaseTime(exchange);
      windows.push((await readAll(client, { start: atTime(from), end: atTime(to) })).messages);
      from = to;
    }
    await written;
    expect(windows.filter((messages) => idsOf(messages).length > 0).length).toBeGreaterThan(5);
    expect(checkLogs(writers.produced, windows.flatMap(appliedRuns))).toMatchObject(NOTHING_WRONG);
  });
});

describe("who waits for whom", () => {
  test("a writer that is idle in its transaction delays its own carrier only", async () => {
    await using exchange = await startWithCarriers({}, "alpha", "beta");
    const [alpha, beta] = await clientsOf(exchange);
    using alphaFeed = readFeed(alpha, { start: EARLIEST });
    using betaFeed = readFeed(beta, { start: EARLIEST });
    const release = Promise.withResolvers<void>();
    const holding = Promise.withResolvers<void>();
    const idle = appendInTransaction(exchange.services.db, "alpha", [call("held")], {
      delaysMs: [0, 0],
      rollsBack: false,
      beforeEnd: () => {
        holding.resolve();
        return release.promise;
      },
    });
    await holding.promise;
    let alphaWritten = false;
    const waiting = ingest(exchange, "alpha", [call("behind")]).then(() => {
      alphaWritten = true;
    });
    await ingest(exchange, "beta", calls("r", 100));
    await betaFeed.until((messages) => idsOf(messages).length === 100);
    expect(alphaWritten).toBe(false);
    expect(idsOf(alphaFeed.messages)).toEqual([]);
    release.resolve();
    await Promise.all([idle, waiting]);
    await alphaFeed.until((messages) => idsOf(messages).length === 2);
    expect(idsOf(alphaFeed.messages)).toEqual(["held", "behind"]);
  });

  test("a position for an instant waits for the writer that holds the lock across it", async () => {
    await using exchange = await startWithCarriers({}, "alpha");
    const client = await exchange.carrierClient(CdrService, "alpha");
    const release = Promise.withResolvers<void>();
    const holding = Promise.withResolvers<void>();
    const writer = appendInTransaction(exchange.services.db, "alpha", [call("across")], {
      delaysMs: [0, 0],
      rollsBack: false,
      beforeEnd: () => {
        holding.resolve();
        return release.promise;
      },
    });
    await holding.promise;
    const instant = await databaseTime(exchange);
    const before = readAll(client, { start: atTime(0n), end: atTime(instant) });
    // It is in the database's queue for the row before the writer commits.
    const waiting = sql<{
      n: bigint;
    }>`SELECT count(*) AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    await until(async () => (await runSql(exchange, waiting))[0]?.n, 1n);
    release.resolve();
    await writer;
    expect((await before).ids).toEqual(["across"]);
    expect((await readAll(client, { start: atTime(instant), end: HEAD })).ids).toEqual([]);
  });

  test("a long write transaction in another database of the server delays nobody", async () => {
    await using exchange = await startWithCarriers({}, "alpha");
    await using elsewhere = await createTestDatabase();
    const other = new pg.Client({ connectionString: elsewhere.url });
    await other.connect();
    try {
      await other.query("BEGIN; CREATE TABLE t (id int); INSERT INTO t VALUES (1)");
      const client = await exchange.carrierClient(CdrService, "alpha");
      using feed = readFeed(client, { start: EARLIEST });
      await ingest(exchange, "alpha", calls("r", 100));
      await feed.until((messages) => framesOf(messages).includes("caughtUp") && idsOf(messages).length === 100);
      expect((await readAll(client, { start: atTime(0n), end: HEAD })).ids).toHaveLength(100);
      await other.query("ROLLBACK");
    } finally {
      await other.end();
    }
  });

  test("with every wake-up hint lost, a live stream gets what another process writes", async () => {
    await using exchange = await startWithCarriers({ heartbeatIntervalMs: 60_000 }, "alpha");
    const second = await exchange.openSecondApp();
    const client = await exchange.carrierClient(CdrService, "alpha");
    using feed = readFeed(client, { start: LATEST });
    await feed.until((messages) => framesOf(messages).includes("caughtUp"));
    for (let round = 1; round <= 5; round++) {
      await ingest(second, "alpha", [call(`hint-${round}`)]);
      await feed.until((messages) => idsOf(messages).length === round);
    }
  });
});

async function clientsOf(exchange: Exchange) {
  return [await exchange.carrierClient(CdrService, "alpha"), await exchange.carrierClient(CdrService, "beta")] as const;
}

describe("the database's clock steps back", () => {
  const setAhead = (app: App, seconds: number) =>
    runSql(
      app,
      sql`UPDATE feed_head SET last_ingest_time = clock_timestamp() + make_interval(secs => ${seconds}) WHERE carrier_id = 'alpha'`,
    );

  test("by less than 60 s: ingest times stand still and never go back", async () => {
    await using exchange = await startWithCarriers({}, "alpha");
    const client = await exchange.carrierClient(CdrService, "alpha");
    await ingest(exchange, "alpha", [call("before")]);
    await setAhead(exchange, 50);
    await ingest(exchange, "alpha", [call("during-1")]);
    await ingest(exchange, "alpha", [call("during-2")]);
    const { records } = await readAll(client, { start: EARLIEST, end: HEAD });
    const [first = 0n, second = 0n, third = 0n] = records.map(
      ({ ingestTime }) => (ingestTime?.seconds ?? 0n) * 1_000_000_000n + BigInt(ingestTime?.nanos ?? 0),
    );
    expect(second).toBeGreaterThan(first);
    expect(third).toBe(second);
  });

  test("by more than 60 s: writes are refused with STORE_UNAVAILABLE, reads go on, and nothing is lost when it has caught up", async () => {
    await using exchange = await startWithCarriers({}, "alpha");
    const client = await exchange.carrierClient(CdrService, "alpha");
    await ingest(exchange, "alpha", [call("before")]);
    await setAhead(exchange, 3_600);
    await expect(ingest(exchange, "alpha", [call("refused")])).rejects.toMatchObject({
      reason: "STORE_UNAVAILABLE",
    });
    expect((await readAll(client, { start: EARLIEST, end: HEAD })).ids).toEqual(["before"]);
    const { DurationService } = await import("../../src/gen/tandem/carrier/v1/duration_service_pb.js");
    const durations = await exchange.carrierClient(DurationService, "alpha");
    const { recordDate, parties, times } = call("d");
    const record = { recordId: "d", recordDate, direction: 1, answered: true, connectedDurationMs: 1n };
    const sent = { ...record, calling: parties?.calling, called: parties?.called, inviteTime: times?.inviteTime };
    const refused = durations.appendDurations({ uploadId: "u", firstOffset: 0n, records: [sent as never] });
    expect(await refusal(refused)).toMatchObject({ reason: "STORE_UNAVAILABLE" });
    await setAhead(exchange, 1);
    await ingest(exchange, "alpha", [call("after")]);
    expect((await readAll(client, { start: EARLIEST, end: HEAD })).ids).toEqual(["before", "after"]);
  });
});

test("200 streams that come back at once all go on where they were", async () => {
  await using exchange = await startWithCarriers({ maxFeedStreams: 250, heartbeatIntervalMs: 5_000 }, "alpha");
  const second = await exchange.openSecondApp({ maxFeedStreams: 250, databasePool: 10 });
  await ingest(exchange, "alpha", calls("before", 50));
  const token = await exchange.carrierToken("alpha");
  let { port } = exchange;
  const stop = new AbortController();
  using transports = new DisposableStack();
  const followers = Array.from({ length: 20 }, () =>
    transports.use(
      createTandemTransport({ baseUrl: exchange.url, token, createConnection: () => connect(port, "127.0.0.1") }),
    ),
  ).flatMap((transport) =>
    Array.from({ length: 10 }, () => {
      const runs: AppliedRun[] = [];
      const done = followCdrs(createClient(CdrService, transport), {
        start: EARLIEST.position as never,
        store: memoryCursorStore(),
        signal: stop.signal,
        retry: { initialDelayMs: 1 },
        apply: async ({ entries, afterSequence, position }) => {
          runs.push(appliedRun(entries, afterSequence, position.sequence));
        },
      });
      return { runs, done };
    }),
  );
  const allAt = (sequence: bigint) =>
    until(() => followers.filter(({ runs }) => runs.at(-1)?.throughSequence === sequence).length, 200);
  await allAt(50n);
  ({ port } = second);
  const drained = exchange.drain();
  await ingest(second, "alpha", calls("after", 50));
  await allAt(100n);
  await drained;
  stop.abort();
  await Promise.all(followers.map(({ done }) => done));
  const produced = [...calls("before", 50), ...calls("after", 50)].map(({ recordId, recordDate }) => ({
    recordId,
    recordDate,
    revision: 1,
  }));
  for (const { runs } of followers) expect(checkLogs(produced, runs)).toMatchObject(NOTHING_WRONG);
  await untilNoStreams(second);
});

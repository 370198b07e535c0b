import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  arraySource,
  createTandemTransport,
  DurationService,
  ingestCdrs,
  PlatformCdrService,
  type UploadEvent,
  uploadDurations,
} from "../../src/client/index.ts";
import { UploadRewindReason } from "../../src/gen/tandem/type/v1/upload_pb.js";
import { createRandom, type Random } from "../../src/simulator/random.ts";
import { type EmbeddedServer, startEmbeddedPostgres } from "../../src/store/postgres/embedded-postgres.ts";
import { eventually } from "../support/eventually.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { pace } from "../support/pace.ts";
import { type CommitFault, type PostgresProxy, startPostgresProxy } from "../support/postgres-proxy.ts";
import { findFreePort } from "../support/server-process.ts";
import {
  BOTH_UPLOADS,
  cdrOf,
  cdrUpload,
  durationOf,
  durationUpload,
  type RecordSpec,
  someRecords,
  type TestedUpload,
} from "../support/upload-kinds.ts";
import { awaitBlocked, expectSound, holdFeed, newCarrier, query, storedIds } from "../support/upload-store.ts";
import { endingOf, UploadStream } from "../support/upload-stream.ts";

const SEED = process.env["TANDEM_TEST_SEED"] ?? String(Date.now());

let exchange: Exchange;
let proxy: PostgresProxy;
/** An app that reaches the database by way of the proxy. */
let proxiedUrl: string;
beforeAll(async () => {
  exchange = await startExchange();
  proxy = await startPostgresProxy(exchange.databaseUrl);
  proxiedUrl = (await exchange.openSecondApp({ databaseUrl: proxy.urlOf(exchange.databaseUrl) })).url;
});
afterAll(async () => {
  await exchange[Symbol.asyncDispose]();
  await proxy[Symbol.asyncDispose]();
});

/** A connection to the app behind the proxy. */
async function proxied(upload: TestedUpload, carrierId: string) {
  const token = upload === cdrUpload ? await exchange.platformToken() : await exchange.carrierToken(carrierId);
  return createTandemTransport({ baseUrl: proxiedUrl, token });
}

function rewindsOf({ frames }: UploadStream): UploadRewindReason[] {
  return frames.flatMap((frame) => (frame.case === "rewind" ? [frame.value.reason] : []));
}

describe.each(BOTH_UPLOADS)("$method", ({ upload }) => {
  test.each<[CommitFault, string]>([
    ["cutBefore", "is lost before it commits"],
    ["cutAfter", "is lost after it has committed, and before anybody hears"],
    ["cutAtOnce", "is lost in the midst of its COMMIT"],
  ])(
    "%s: when the database %s, one Rewind asks again, the stream is kept, and each record is there once",
    async (fault) => {
      const carrierId = await newCarrier(exchange);
      using transport = await proxied(upload, carrierId);
      await using stream = await UploadStream.open(exchange, upload, carrierId, { uploadId: "u", transport });
      await stream.next("opened");
      stream.batch(0, someRecords(0, 50));
      await stream.committed(50);
      proxy.arm(fault);
      stream.batch(50, someRecords(50, 100));
      const rewind = await stream.next("rewind");
      expect(rewind).toMatchObject({ expectedOffset: 50n, reason: UploadRewindReason.STORE_UNAVAILABLE });
      expect(rewind.retryAfter).toBeDefined();
      stream.batch(50, someRecords(50, 100));
      stream.batch(100, someRecords(100, 150));
      const acks = await stream.committed(150);
      expect(acks.reduce((sum, { counts }) => sum + Number(counts?.accepted), 0)).toBe(100);
      stream.finish(someRecords(0, 150));
      expect(await stream.receipt()).toMatchObject({ finalOffset: 150n, counts: { accepted: 150n } });
      expect(rewindsOf(stream)).toHaveLength(1);
      expect(await storedIds(exchange, upload, carrierId)).toEqual(someRecords(0, 150).map(({ id }) => id));
      await expectSound(exchange, carrierId);
    },
  );

  test("after an unknown COMMIT, a client that cuts its batches otherwise is verified and goes on", async () => {
    const carrierId = await newCarrier(exchange);
    using transport = await proxied(upload, carrierId);
    await using stream = await UploadStream.open(exchange, upload, carrierId, { uploadId: "u", transport });
    await stream.next("opened");
    proxy.arm("cutAfter");
    stream.batch(0, someRecords(0, 50));
    await stream.next("rewind");
    stream.batch(0, someRecords(0, 70));
    const acks = await stream.committed(70);
    expect(acks.reduce((sum, { counts }) => sum + Number(counts?.accepted), 0)).toBe(70);
    expect(await storedIds(exchange, upload, carrierId)).toHaveLength(70);
    await expectSound(exchange, carrierId);
  });

  test.each<CommitFault>(["cutBefore", "cutAfter"])(
    "%s: a Finish whose outcome nobody heard is sealed once, and the client gets the receipt",
    async (fault) => {
      const carrierId = await newCarrier(exchange);
      using transport = await proxied(upload, carrierId);
      const faults = proxy.faultCount;
      const records = someRecords(0, 100);
      const result = await uploadAll(upload, transport, carrierId, records, (event) => {
        if (event.kind === "COMMITTED" && event.committedOffset === 100 && proxy.faultCount === faults)
          proxy.arm(fault);
      });
      proxy.disarm();
      expect(proxy.faultCount).toBe(faults + 1);
      expect(result).toMatchObject({ resumes: 1, receipt: { finalOffset: 100n, counts: { accepted: 100n } } });
      await expectSound(exchange, carrierId);
    },
  );

  test("many batches in flight, and the first of them fails: one Rewind, nothing lost or doubled", async () => {
    const carrierId = await newCarrier(exchange);
    using transport = await proxied(upload, carrierId);
    await using stream = await UploadStream.open(exchange, upload, carrierId, { uploadId: "u", transport });
    await stream.next("opened");
    await using hold = await holdFeed(exchange, upload, carrierId);
    proxy.arm("cutBefore");
    for (let first = 0; first < 1_000; first += 50) stream.batch(first, someRecords(first, first + 50));
    await awaitBlocked(exchange);
    await hold.release();
    await eventually(() => expect(rewindsOf(stream)).toHaveLength(1));
    for (let first = 0; first < 1_000; first += 50) stream.batch(first, someRecords(first, first + 50));
    await eventually(() => expect(stream.frames.at(-1)).toMatchObject({ value: { committedOffset: 1_000n } }));
    expect(rewindsOf(stream)).toEqual([UploadRewindReason.STORE_UNAVAILABLE]);
    expect(await storedIds(exchange, upload, carrierId)).toEqual(someRecords(0, 1_000).map(({ id }) => id));
    await expectSound(exchange, carrierId);
  });

  test("a store that fails while a replay is looked up asks for it again, and the client takes no harm", async () => {
    const carrierId = await newCarrier(exchange);
    const records = someRecords(0, 200).map((record, index) => (index % 50 ? record : { ...record, isBroken: true }));
    await using before = await UploadStream.open(exchange, upload, carrierId, { uploadId: "u" });
    await before.next("opened");
    before.batch(0, records);
    await before.committed(200);
    using transport = await proxied(upload, carrierId);
    let isCut = false;
    const onEvent = (event: UploadEvent) => {
      if (event.kind !== "OPENED" || isCut) return;
      isCut = true;
      proxy.cutAll();
    };
    const result = await uploadAll(upload, transport, carrierId, records, onEvent);
    expect(result.receipt.counts).toMatchObject({ accepted: 196n, rejected: 4n });
    expect(result.outcomes.map(({ recordOffset }) => recordOffset)).toEqual([0n, 50n, 100n, 150n]);
    await expectSound(exchange, carrierId);
  });

  test(`backends that are terminated at random are no harm to an upload (seed ${SEED})`, async () => {
    const carrierId = await newCarrier(exchange);
    const random = createRandom(SEED);
    const records = someRecords(0, 6_000);
    using transport = await proxied(upload, carrierId);
    const done = new AbortController();
    const terminating = terminateBackends(random, done.signal);
    const result = await uploadAll(upload, transport, carrierId, records, () => {}).finally(() => done.abort());
    expect(await terminating).toBeGreaterThan(0);
    expect(result.receipt.counts).toMatchObject({ accepted: 6_000n });
    expect(await storedIds(exchange, upload, carrierId)).toEqual(records.map(({ id }) => id));
    await expectSound(exchange, carrierId);
  });

  test("a serialization failure is run again in silence", async () => {
    const carrierId = await newCarrier(exchange);
    await query(exchange, "CREATE SEQUENCE IF NOT EXISTS failures");
    await query(
      exchange,
      `CREATE OR REPLACE FUNCTION fail_twice() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
         IF nextval('failures') % 3 <> 0 THEN RAISE EXCEPTION 'serialization failure' USING ERRCODE = '40001'; END IF;
         RETURN NEW; END $$`,
    );
    await query(
      exchange,
      "CREATE TRIGGER fail_twice BEFORE INSERT ON upload_batch FOR EACH ROW EXECUTE FUNCTION fail_twice()",
    );
    try {
      await using stream = await UploadStream.open(exchange, upload, carrierId, { uploadId: "u" });
      await stream.next("opened");
      stream.batch(0, someRecords(0, 10));
      await stream.committed(10);
      expect(rewindsOf(stream)).toEqual([]);
    } finally {
      await query(exchange, "DROP TRIGGER fail_twice ON upload_batch");
    }
    expect(await storedIds(exchange, upload, carrierId)).toHaveLength(10);
    await expectSound(exchange, carrierId);
  });
});

/** Terminates backends of Tandem that are at work, now and then; returns how many. */
async function terminateBackends(random: Random, signal: AbortSignal): Promise<number> {
  const client = new pg.Client({ connectionString: exchange.databaseUrl, application_name: "terminator" });
  await client.connect();
  let terminated = 0;
  while (!signal.aborted && terminated < 5) {
    const { rows } = await client.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity
       WHERE application_name = 'tandem' AND datname = current_database() AND state <> 'idle'`,
    );
    if (rows.length === 0) continue;
    await client.query("SELECT pg_terminate_backend($1)", [random.pick(rows).pid]);
    terminated++;
    await pace(random.int(100, 350));
  }
  await client.end();
  return terminated;
}

/** Uploads records by the client library. */
async function uploadAll(
  upload: TestedUpload,
  transport: ReturnType<typeof createTandemTransport>,
  carrierId: string,
  records: readonly RecordSpec[],
  onEvent: (event: UploadEvent) => void,
) {
  const shared = { uploadId: "u", batchRecords: 50, onEvent, retry: { initialDelayMs: 20, maxDelayMs: 200 } };
  return upload === cdrUpload
    ? await ingestCdrs(createClient(PlatformCdrService, transport), {
        ...shared,
        carrierId,
        source: arraySource(records.map(cdrOf)),
      })
    : await uploadDurations(createClient(DurationService, transport), {
        ...shared,
        source: arraySource(records.map(durationOf)),
      });
}

test("a feed's row that is held for longer than the lock timeout is a Rewind, again and again, until it is free", async () => {
  const carrierId = await newCarrier(exchange);
  await using stream = await UploadStream.open(exchange, durationUpload, carrierId, { uploadId: "u" });
  await stream.next("opened");
  await using hold = await holdFeed(exchange, durationUpload, carrierId);
  stream.batch(0, someRecords(0, 10));
  expect(await stream.next("rewind")).toMatchObject({
    expectedOffset: 0n,
    reason: UploadRewindReason.STORE_UNAVAILABLE,
  });
  await hold.release();
  stream.batch(0, someRecords(0, 10));
  await stream.committed(10);
  await expectSound(exchange, carrierId);
});

test("AppendDurations whose COMMIT has an unknown outcome is UNAVAILABLE, and the same call again tells the verdicts", async () => {
  const carrierId = await newCarrier(exchange);
  using transport = await proxied(durationUpload, carrierId);
  const client = createClient(DurationService, transport);
  const append = () => client.appendDurations({ uploadId: "u", records: someRecords(0, 5).map(durationOf) });
  for (const fault of ["cutBefore", "cutAfter"] as const) {
    proxy.arm(fault);
    const refusal = await append().then(() => undefined, endingOf);
    // The second time it finds the first one's records, and does not store a batch at all.
    if (fault === "cutBefore") expect(refusal).toMatchObject({ code: "Unavailable", reason: "STORE_UNAVAILABLE" });
  }
  proxy.disarm();
  expect(await append()).toMatchObject({ committedOffset: 5n, counts: { accepted: 5n } });
  expect(await storedIds(exchange, durationUpload, carrierId)).toHaveLength(5);
  await expectSound(exchange, carrierId);
});

test("PostgreSQL is stopped and started again beneath uploads: they go on where they were", async () => {
  await using postgres = await restartablePostgres();
  await using restarted = await startExchange({ databaseUrl: postgres.url });
  const carrierId = await newCarrier(restarted);
  const records = someRecords(0, 2_000);
  const [durations, cdrs] = await Promise.all([restarted.carrierTransport(carrierId), restarted.platformTransport()]);
  let restarts = 0;
  const onEvent = (event: UploadEvent) => {
    if (event.kind !== "COMMITTED" || event.committedOffset < 500 * (restarts + 1) || restarts > 0) return;
    restarts++;
    void postgres.restart();
  };
  const [first, second] = await Promise.all([
    uploadAll(durationUpload, durations, carrierId, records, onEvent),
    uploadAll(cdrUpload, cdrs, carrierId, records, onEvent),
  ]);
  await postgres.settled();
  expect(restarts).toBeGreaterThan(0);
  for (const [upload, result] of [
    [durationUpload, first],
    [cdrUpload, second],
  ] as const) {
    expect(result.receipt.counts).toMatchObject({ accepted: 2_000n, duplicate: 0n });
    expect(await storedIds(restarted, upload, carrierId)).toEqual(records.map(({ id }) => id));
  }
  await expectSound(restarted, carrierId);
});

/** A PostgreSQL of the test's own, on one port and folder, that can be stopped and started. */
async function restartablePostgres() {
  const dataDir = await mkdtemp(join(tmpdir(), "tandem-restart-"));
  await chmod(dataDir, 0o755);
  const port = await findFreePort();
  const start = () => startEmbeddedPostgres({ dataDir: join(dataDir, "postgres"), port });
  let server: EmbeddedServer = await start();
  let last = Promise.resolve();
  const { url } = server;
  return {
    url,
    restart: () => {
      last = last.then(async () => {
        await server[Symbol.asyncDispose]();
        server = await start();
      });
      return last;
    },
    settled: () => last,
    [Symbol.asyncDispose]: async () => {
      await last;
      await server[Symbol.asyncDispose]();
      await rm(dataDir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

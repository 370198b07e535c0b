import { once } from "node:events";
import { type ClientHttp2Stream, connect } from "node:http2";
import { sql } from "kysely";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { memoryCursorStore } from "../../src/client/cursor-store.ts";
import { followCdrs } from "../../src/client/follow-cdrs.ts";
import { type CdrFeedEntry, CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { ErasureState, PrivacyService } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { PartyKind } from "../../src/gen/tandem/type/v1/party_pb.js";
import { backUpCarrier, restoreCarrier } from "../support/backup.ts";
import { askErasure, erase, searchDatabase, untilErased, untilReconciled } from "../support/erasure.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, checkRanges, EARLIEST, entriesOf, ingest, readFeed, runSql } from "../support/feed.ts";

const OWN = "+4532123400";
const START_MS = Date.now() - 4 * 3_600_000;

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange({ reconcileIntervalMs: 100, heartbeatIntervalMs: 100 });
  await exchange.addCarrier("alpha", { graceMs: 0n, timeZone: "UTC", legalCountry: "DK" });
  await exchange.assignNumbers("alpha", [OWN]);
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

const e164 = (value: string) => ({ kind: PartyKind.E164, value });

function callsWith(person: string, prefix: string, count: number) {
  const changes = {
    parties: { calling: e164(OWN), called: e164(person) },
    outcome: { finalSipCode: 200, reasonPhrase: "x".repeat(200) },
  };
  return Array.from({ length: count }, (_, index) => call(`${prefix}-${index}`, changes, START_MS + index * 1_000));
}

function calledOf(entries: readonly CdrFeedEntry[]): (string | undefined)[] {
  return entries.flatMap(({ entry }) => (entry.case === "record" ? [entry.value.parties?.called?.value] : []));
}

function erasuresIn(entries: readonly CdrFeedEntry[]): string[] {
  return entries.flatMap(({ entry }) => (entry.case === "erasure" ? [entry.value.erasureId] : []));
}

test("Erasure: a client that was in the middle resumes over erased records: dense, told of the erasure, and without the old bytes, though pages are shared", async () => {
  const person = "+4587653001";
  const client = await exchange.carrierClient(CdrService, "alpha");
  const store = memoryCursorStore();
  const seen: CdrFeedEntry[] = [];
  const follow = async (isDone: () => boolean) => {
    const stop = new AbortController();
    const apply = async ({ entries }: { entries: readonly CdrFeedEntry[] }) => {
      seen.push(...entries);
      if (isDone()) stop.abort();
    };
    await followCdrs(client, { start: { case: "earliest", value: {} } as never, store, apply, signal: stop.signal });
  };
  await ingest(exchange, "alpha", callsWith(person, "m", 50));
  await follow(() => seen.length >= 50);
  expect(calledOf(seen)).toEqual(Array(50).fill(person));

  await ingest(exchange, "alpha", callsWith(person, "n", 50));
  await untilReconciled(exchange, "alpha", 100);
  using live = readFeed(client, { start: EARLIEST });
  await live.until((messages) => entriesOf(messages).length >= 100);
  // Once the head is known, streams beside it keep what they read in the memory that they share.
  const countShared = async () => {
    using beside = readFeed(client, { start: EARLIEST });
    await beside.until((messages) => entriesOf(messages).length >= 100);
    return exchange.services.feedPages.size;
  };
  await expect.poll(countShared).toBeGreaterThan(0);
  const { erasureId } = await erase(exchange, person);

  await follow(() => erasuresIn(seen).length > 0);
  const sequences = seen.map(({ entry }) => entry.value?.sequence);
  expect(sequences).toEqual(sequences.map((_, index) => BigInt(index + 1)));
  expect(calledOf(seen.slice(50))).toEqual(Array(50).fill(undefined));
  expect(new Set(erasuresIn(seen))).toEqual(new Set([erasureId]));
  await live.until((messages) => erasuresIn(entriesOf(messages)).length > 0);
  using anew = readFeed(client, { start: EARLIEST });
  await anew.until((messages) => entriesOf(messages).length >= seen.length);
  checkRanges(anew.messages);
  expect(new Set(calledOf(entriesOf(anew.messages)))).toEqual(new Set([undefined]));
});

test.each([
  { end: "goes on", person: "+4587653002", letGo: (stream: ClientHttp2Stream) => stream.resume() },
  { end: "is closed", person: "+4587653004", letGo: (stream: ClientHttp2Stream) => stream.close() },
])(
  "Erasure: one drains until a stalled stream, which may still deliver what it read before, $end",
  async ({ person, letGo }) => {
    await ingest(exchange, "alpha", callsWith(person, `s${person}`, 120));
    await untilReconciled(exchange, "alpha", 220);
    await using session = openSession();
    const stream = session.request({
      ":method": "POST",
      ":path": "/tandem.carrier.v1.CdrService/StreamCdrs",
      authorization: `Bearer ${await exchange.carrierToken("alpha")}`,
      "content-type": "application/connect+json",
      "connect-protocol-version": "1",
    });
    const body = Buffer.from('{"start":{"earliest":{}}}');
    stream.write(Buffer.concat([Buffer.from([0, 0, 0, 0, body.length]), body]));
    stream.end();
    await once(stream, "response");
    // Never read: the server has read a page that it cannot send.
    await expect.poll(() => exchange.services.hub.deliveries.oldestMs).toBeGreaterThan(100);

    const { erasureId } = await askErasure(exchange, person);
    const beatAfterDrain = () =>
      runSql<{ later: boolean }>(
        exchange,
        sql`SELECT bool_or(s.beat_time > e.drain_time + interval '1500 milliseconds' AND s.clear_time < e.drain_time) AS later
          FROM erasure e, serving_process s WHERE e.erasure_id = ${erasureId}`,
      );
    // Longer than an erasure drains by itself.
    await expect.poll(beatAfterDrain, { interval: 100 }).toEqual([{ later: true }]);
    const privacy = await exchange.platformClient(PrivacyService);
    const { erasure } = await privacy.getErasure({ erasureId });
    expect([erasure?.state, erasure?.receipt]).toEqual([ErasureState.DRAINING, undefined]);
    letGo(stream);
    expect((await untilErased(exchange, erasureId)).state).toBe(ErasureState.COMPLETED);
  },
);

test("Erasure: one that a restored backup has in the middle is finished before anything is served", async () => {
  const person = "+4587653003";
  await ingest(exchange, "alpha", callsWith(person, "r", 20));
  await untilReconciled(exchange, "alpha", 360);
  await backUpCarrier(exchange.databaseUrl, "alpha");
  const { erasureId } = await erase(exchange, person);
  await exchange.app[Symbol.asyncDispose]();
  await restoreCarrier(exchange.databaseUrl, "alpha");
  await using client = await openClient();
  const undone = "state = 2, drain_time = NULL, complete_time = NULL, receipt_time = NULL";
  await client.query(`UPDATE erasure SET ${undone} WHERE erasure_id = $1`, [erasureId]);
  await client.query("UPDATE erasure_carrier SET done = false WHERE erasure_id = $1", [erasureId]);
  const find = async () =>
    (await searchDatabase(exchange.databaseUrl, person, "87653003")).filter((place) => !place.startsWith("backup_"));
  expect(await find()).not.toEqual([]);

  await exchange.openSecondApp();
  expect(await find()).toEqual([]);
});

async function openClient() {
  const client = new pg.Client({ connectionString: exchange.databaseUrl });
  await client.connect();
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
}

function openSession() {
  const session = connect(exchange.url);
  return Object.assign(session, { [Symbol.asyncDispose]: async () => void session.destroy() });
}

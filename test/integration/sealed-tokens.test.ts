import { randomBytes } from "node:crypto";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Seals } from "../../src/domain/seals.ts";
import { encodeCursor, openCursor } from "../../src/feed/cursor.ts";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
import { NumberService as PlatformNumberService } from "../../src/gen/tandem/platform/v1/platform_number_service_pb.js";
import { RecordPart } from "../../src/gen/tandem/type/v1/agreement_pb.js";
import { applyRetention } from "../../src/jobs/retention.ts";
import { decodePageToken } from "../../src/rpc/shared/page-token.ts";
import { listAuditEvents } from "../../src/store/audit/audit-events.ts";
import { systemTransaction } from "../../src/store/database/database.ts";
import { readSealSecrets, rotateSealKey } from "../../src/store/database/seal-keys.ts";
import unsealed from "../data/unsealed-tokens.json" with { type: "json" };
import { runCli } from "../support/cli.ts";
import { type Exchange, nowMicros, startExchange } from "../support/exchange.ts";
import { atCursor, calls, EARLIEST, HEAD, ingest, NUMBER, readAll, refusal, refusedFeed } from "../support/feed.ts";
import { EVENTUALLY_MS } from "../support/limits.ts";
import { provisionItem } from "../support/numbers.ts";

const NUMBERS = ["+4532000001", "+4532000002", "+4532000003"];

let exchange: Exchange;

beforeAll(async () => {
  exchange = await startExchange();
  await exchange.addCarrier("acme");
  await exchange.addCarrier("bolt");
  const client = await exchange.carrierClient(NumberService, "acme");
  await client.provisionNumbers({ requestId: "numbers", items: NUMBERS.map((number) => provisionItem(number)) });
});
afterAll(() => exchange[Symbol.asyncDispose]());

/** What anyone can make of a token: its text, and the bytes that it encodes, as text. */
function readable(token: string): string {
  return `${token}\n${Buffer.from(token, "base64url").toString("latin1")}`;
}

async function snapshotCursor(): Promise<string> {
  const client = await exchange.carrierClient(NumberService, "acme");
  for await (const { frame, cursor } of client.watchNumbers({ initialState: true, end: HEAD }))
    if (frame.case === "snapshot") return cursor;
  throw new Error("no snapshot");
}

describe("nothing can be read in", () => {
  test("a page token: no number, no name, no position", async () => {
    const own = await exchange.carrierClient(NumberService, "acme");
    const platform = await exchange.platformClient(PlatformNumberService);
    const carriers = await exchange.platformClient(CarrierService);
    const tokens = [
      (await own.listNumbers({ pageSize: 1 })).nextPageToken,
      (await platform.listNumbers({ pageSize: 1 })).nextPageToken,
      (await carriers.listCarriers({ pageSize: 1 })).nextPageToken,
    ];
    for (const token of tokens) {
      expect(token).not.toBe("");
      expect(readable(token)).not.toMatch(/3200000|"after"|"acme"/);
    }
  });

  test("a cursor: not the number that a snapshot stands at, not the sequence", async () => {
    const cursor = await snapshotCursor();
    expect(readable(cursor)).not.toMatch(/3200000/);
    const sequence = Buffer.alloc(8);
    sequence.writeBigInt64BE(3n);
    expect(Buffer.from(cursor, "base64url").includes(sequence)).toBe(false);
  });

  test("two of one place: they have nothing in common that tells of it", async () => {
    const own = await exchange.carrierClient(NumberService, "acme");
    const token = async () => (await own.listNumbers({ pageSize: 1 })).nextPageToken;
    expect(await token()).not.toBe(await token());
    expect(await snapshotCursor()).not.toBe(await snapshotCursor());
  });
});

describe("what 00d3f3f made before there were seals", () => {
  const seals = new Seals([{ keyId: 1, secret: randomBytes(32) }], Buffer.from(unsealed.secret, "hex"));
  const others = new Seals([{ keyId: 1, secret: randomBytes(32) }], randomBytes(32));

  test.each(unsealed.cursors)("is still taken: cursor $text", async ({ scope, cursor, text }) => {
    const { carrierId, feed } = scope;
    const { epoch, sequence, ingestTime, ...rest } = cursor;
    const position = { epoch: BigInt(epoch), sequence: BigInt(sequence), ingestTime: BigInt(ingestTime), ...rest };
    const opened = await openCursor(seals, { carrierId, feed }, text);
    expect(opened).toEqual({ cursor: position, filter: BigInt(scope.filter) });
    const malformed = expect.objectContaining({ reason: "CURSOR_MALFORMED" });
    await expect(openCursor(others, { carrierId, feed }, text)).rejects.toEqual(malformed);
    await expect(openCursor(seals, { carrierId: "other", feed }, text)).rejects.toEqual(malformed);
    await expect(openCursor(seals, { carrierId, feed: 3 }, text)).rejects.toEqual(malformed);
    await expect(openCursor(seals, { carrierId, feed }, `${text.slice(0, -2)}AA`)).rejects.toEqual(malformed);
  });

  test.each(unsealed.pageTokens)("is still taken: page token $text", async ({ scope, value, text }) => {
    expect(await decodePageToken(seals, scope, text)).toEqual(value);
    const invalid = expect.objectContaining({ reason: "PAGE_TOKEN_INVALID" });
    await expect(decodePageToken(others, scope, text)).rejects.toEqual(invalid);
    await expect(decodePageToken(seals, ["other"], text)).rejects.toEqual(invalid);
  });
});

describe("keys rotate", () => {
  async function openRotated() {
    await using opening = new AsyncDisposableStack();
    const own = opening.use(await startExchange({ heartbeatIntervalMs: 100 }));
    await own.addCarrier("acme");
    await own.assignNumbers("acme", [NUMBER]);
    await ingest(own, "acme", calls("r", 5));
    const client = await own.carrierClient(CdrService, "acme");
    const cursor = (await readAll(client, { start: EARLIEST, end: HEAD })).messages[0]?.cursor ?? "";
    const consumers = ["a", "b"] as const;
    for (const consumer of consumers) await client.commitCdrCursor({ consumer, cursor });
    const pageToken = (await client.listCdrConsumers({ pageSize: 1 })).nextPageToken;
    const resources = opening.move();
    return { own, client, cursor, pageToken, [Symbol.asyncDispose]: () => resources.disposeAsync() };
  }
  const keyOf = (text: string) => Buffer.from(text, "base64url").readUInt32BE(1);
  const expired = { code: Code.OutOfRange, reason: "CURSOR_EXPIRED", earliest_sequence: "1" };

  test("and every process seals with the new one within seconds; what the old one sealed still opens", async () => {
    await using opened = await openRotated();
    const { own, client, cursor, pageToken } = opened;
    const { keyId } = await rotateSealKey(own.services.db, { forgetOld: false, actor: "test" });
    expect(keyOf(cursor)).not.toBe(keyId);
    const newest = async () => (await client.listCdrConsumers({ pageSize: 1 })).nextPageToken;
    await expect.poll(async () => keyOf(await newest())).toBe(keyId);
    expect((await readAll(client, { start: atCursor(cursor), end: HEAD })).ids).toHaveLength(5);
    expect((await readAll(client, { start: atConsumer("a"), end: HEAD })).ids).toHaveLength(5);
    expect((await client.listCdrConsumers({ pageSize: 1, pageToken })).consumers).toMatchObject([{ consumer: "b" }]);
  });

  test("and what is sealed with one that a process has not yet seen opens there, however many forged ids are asked for at once", async () => {
    await using opened = await openRotated();
    const { own, client, cursor } = opened;
    const { db, seals, installation } = own.services;
    const { keyId } = await rotateSealKey(db, { forgetOld: false, actor: "test" });
    // What a process that has the new key already hands out.
    const ahead = new Seals(await systemTransaction(db, readSealSecrets), installation.secret);
    const position = await openCursor(seals, { carrierId: "acme", feed: 2 }, cursor);
    if (position === "key gone") throw new Error("gone");
    const sealed = encodeCursor(ahead, { carrierId: "acme", feed: 2, filter: 0n }, position.cursor);
    expect(keyOf(sealed)).toBe(keyId);
    const forged = Array.from({ length: 20 }, (_, at) => {
      const bytes = Buffer.from(cursor, "base64url");
      bytes.writeUInt32BE(at + 1, 1);
      return bytes.toString("base64url");
    });
    const [genuine, ...others] = await Promise.all([
      readAll(client, { start: atCursor(sealed), end: HEAD }),
      ...forged.map((text) => refusal(client.commitCdrCursor({ consumer: "f", cursor: text }))),
    ]);
    expect(genuine.ids).toHaveLength(5);
    for (const other of others) expect(other).toMatchObject(expired);
  });

  test("and a cursor whose key is gone is CURSOR_EXPIRED with the earliest sequence, a page token PAGE_TOKEN_INVALID", async () => {
    await using opened = await openRotated();
    const { own, client, cursor, pageToken } = opened;
    await rotateSealKey(own.services.db, { forgetOld: true, actor: "test" });
    await expect.poll(() => refusedFeed(client, { start: atCursor(cursor), end: HEAD })).toMatchObject(expired);
    expect(await refusedFeed(client, { start: EARLIEST, end: atCursor(cursor) })).toMatchObject(expired);
    expect(await refusedFeed(client, { start: atConsumer("a") })).toMatchObject(expired);
    expect(await refusal(client.commitCdrCursor({ consumer: "a", cursor }))).toMatchObject(expired);
    expect(await refusal(client.listCdrConsumers({ pageSize: 1, pageToken }))).toMatchObject({
      reason: "PAGE_TOKEN_INVALID",
    });
    // The consumer goes on from a position that it finds anew, naming what it had committed.
    const fresh = (await readAll(client, { start: EARLIEST, end: HEAD })).messages.at(-1)?.cursor ?? "";
    const committed = await client.commitCdrCursor({ consumer: "a", cursor: fresh, previousCursor: cursor });
    expect(committed.consumer).toMatchObject({ committedSequence: 5n });
  });

  test("by one command, which the audit log tells of; old ones go when no feed keeps what is behind them", async () => {
    await using opened = await openRotated();
    const { own, cursor, pageToken } = opened;
    const { db } = own.services;
    const env = { TANDEM_DATABASE_URL: own.databaseUrl, TANDEM_DATA_DIR: own.dataDir, TANDEM_ISSUE_TOKENS: "on" };
    const rotated = JSON.parse((await runCli(["keys", "rotate", "--json"], env)).stdout);
    const { stdout } = await runCli(["keys", "list", "--json"], env);
    expect(JSON.parse(stdout).keys).toMatchObject([
      { keyId: keyOf(cursor), retireTime: expect.any(String) },
      { keyId: rotated.keyId },
    ]);
    const [event] = await systemTransaction(db, (tx) =>
      listAuditEvents(tx, { carrierId: undefined, method: "cli/keys rotate" }, { afterSequence: 0n, limit: 10 }),
    );
    expect(event).toMatchObject({ resource: `seal key/${rotated.keyId}`, detailsJson: '{"forgotten":0}' });
    const days = await own.services.retention.get(await own.addCarrier("bolt"));
    const longest = Math.max(days[RecordPart.CALL], days[RecordPart.DURATION], days[RecordPart.NUMBER_HISTORY]);
    const keysAfter = async (passed: number) => {
      const now = nowMicros() + BigInt(passed) * 86_400_000_000n;
      await applyRetention(
        { db, intervalMs: 0, rest: 0, now, onError: fail },
        "test",
        AbortSignal.timeout(EVENTUALLY_MS),
      );
      return (await systemTransaction(db, readSealSecrets)).map(({ keyId }) => keyId);
    };
    expect(await keysAfter(longest - 1)).toEqual([keyOf(cursor), rotated.keyId]);
    expect(await keysAfter(longest + 1)).toEqual([rotated.keyId]);
    await using second = await own.openSecondApp();
    const opening = decodePageToken(second.services.seals, ["ListCdrConsumers", "acme"], pageToken);
    await expect(opening).rejects.toThrow("begin again at the first page");
  });
});

function atConsumer(consumer: string) {
  return { position: { case: "consumer" as const, value: consumer } };
}

function fail(error: unknown): never {
  throw error;
}

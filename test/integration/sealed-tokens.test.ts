import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Seals } from "../../src/domain/seals.ts";
import { openCursor } from "../../src/feed/cursor.ts";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
import { NumberService as PlatformNumberService } from "../../src/gen/tandem/platform/v1/number_service_pb.js";
import { decodePageToken } from "../../src/rpc/page-token.ts";
import unsealed from "../data/unsealed-tokens.json" with { type: "json" };
import { type Exchange, startExchange } from "../support/exchange.ts";
import { HEAD } from "../support/feed.ts";
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
      expect(readable(token)).not.toMatch(/3200000|after|acme|[{}"]/);
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

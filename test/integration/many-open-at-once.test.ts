import type { Client } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { tandemReason } from "../../src/client/errors.ts";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { openLog } from "../../src/log.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { EARLIEST } from "../support/feed.ts";

const CARRIERS = 40;
const STREAMS_EACH = 8;

const logged: string[] = [];
let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange(
    {},
    openLog("warn", (line) => logged.push(line)),
  );
  for (let index = 0; index < CARRIERS; index++) await exchange.addCarrier(`follower-${index}`);
});
afterAll(() => exchange[Symbol.asyncDispose]());

async function follow(client: Client<typeof CdrService>): Promise<string> {
  try {
    for await (const { frame } of client.streamCdrs({ start: EARLIEST }))
      if (frame.case === "caughtUp") return "caught up";
    return "ended";
  } catch (error) {
    return tandemReason(error)?.reason ?? String(error);
  }
}

test("three hundred and twenty streams of forty carriers that open at once wait in line, and none is refused", async () => {
  const clients = await Promise.all(
    Array.from({ length: CARRIERS }, (_, index) => exchange.carrierClient(CdrService, `follower-${index}`)),
  );
  const outcomes = clients.flatMap((client) => Array.from({ length: STREAMS_EACH }, () => follow(client)));
  expect(new Set(await Promise.all(outcomes))).toEqual(new Set(["caught up"]));
  // A machine that is slow enough keeps the database's answers waiting too; that refuses nobody.
  expect(logged.filter((line) => !/database (does not answer|did not answer|answers again)/.test(line))).toEqual([]);
});

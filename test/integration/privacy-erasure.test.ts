import { expect, test } from "vitest";
import { ErasureState } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { PartyKind } from "../../src/gen/tandem/type/v1/party_pb.js";
import { erase, searchDatabase } from "../support/erasure.ts";
import { startExchange } from "../support/exchange.ts";
import { call, ingest } from "../support/feed.ts";

const NUMBER = "+4532123456";
const NATIONAL = "32123456";

test("Erasure: the number is gone from records, keys and feeds, and the receipt counts it", async () => {
  await using exchange = await startExchange({ reconcileIntervalMs: 50 });
  await exchange.addCarrier("alpha", {});
  await exchange.assignNumbers("alpha", [NUMBER]);
  const parties = {
    calling: { kind: PartyKind.E164, value: NUMBER },
    called: { kind: PartyKind.E164, value: "+12025550123" },
  };
  await ingest(exchange.app, "alpha", [call("c-1", { parties }), call("c-2", { parties })]);
  const erasure = await erase(exchange, NUMBER);
  expect(erasure.state).toBe(ErasureState.COMPLETED_WITH_EXCEPTIONS);
  console.dir(erasure.receipt, { depth: 6 });
  expect(await searchDatabase(exchange.databaseUrl, NUMBER, NATIONAL)).toEqual([]);
});

import { randomUUID } from "node:crypto";
import type { JsonObject } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { NumberService as PlatformNumberService } from "../../src/gen/tandem/platform/v1/platform_number_service_pb.js";
import { ErrorReason } from "../../src/gen/tandem/type/v1/error_reason_pb.js";
import type { NumberOutcome } from "../../src/gen/tandem/type/v1/phone_number_pb.js";
import { QualityReason } from "../../src/gen/tandem/type/v1/stream_quality_pb.js";
import { Verdict } from "../../src/gen/tandem/type/v1/upload_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { provisionItem, takeNumbers } from "../support/numbers.ts";
import { at, cdr, duration, e164, makeWorld, other, type World } from "../support/trouble.ts";

// Trouble that others have had with one field of a record: the call is kept, seen in the carrier's
// feed and paired. docs/decisions/0009 has the table of which case is tested where.

let exchange: Exchange;
let worlds = 0;
beforeAll(async () => {
  exchange = await startExchange();
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

const world = (): Promise<World> => makeWorld(exchange, `records-${++worlds}`);

/**
 * Sends the platform's record with these fields, and the carrier's of the same call; tells what
 * became of the one and the record as the carrier reads it.
 */
async function kept(more: JsonObject, spec: Partial<Parameters<typeof cdr>[0]> = {}) {
  const { carrierId, ingest, append, judged } = await world();
  const { receipt, outcomes } = await ingest(cdr({ id: "p", ...spec, more }));
  expect(receipt.counts).toMatchObject({ accepted: 1n, rejected: 0n, quarantined: 0n });
  for (const { verdict } of outcomes) expect(verdict).toBe(Verdict.ACCEPTED);
  await append(duration({ id: "c", start: 0.1, ...spec }));
  expect(await judged()).toEqual(["p/c MATCHED_EXACT"]);
  const reader = await exchange.carrierClient(CdrService, carrierId);
  const { records } = await reader.getCdr({ name: { case: "recordId", value: "p" } });
  const [record] = records;
  if (record === undefined) throw new Error("the record is not in the feed");
  return { record, warned: outcomes.map(({ fieldPath, message }) => `${fieldPath}: ${message}`).join() };
}

function stream(more: JsonObject): JsonObject {
  return {
    streamQualities: [{ direction: "STREAM_DIRECTION_TO_CARRIER", edge: "MEASURING_EDGE_SBC", ...more }],
  };
}

test("case 3: a cumulative loss below zero is kept, and so is its call", async () => {
  const { record, warned } = await kept(stream({ packetsReceived: "3003", packetsLost: "-2" }));
  expect([record.streamQualities[0]?.packetsLost, warned]).toEqual([-2n, ""]);
});

test("case 5: the R factor of a fullband codec is kept", async () => {
  const measured = { rFactor: 127.4, mosLq: 4.8, mosAlgorithm: "G.107.2", codec: "opus" };
  const { record, warned } = await kept(stream(measured));
  expect([record.streamQualities[0], warned]).toMatchObject([measured, ""]);
});

describe("case 22: ringing that is seen late", () => {
  test("after the answer", async () => {
    const times = { inviteTime: at(0), ringingTime: at(6), answerTime: at(5), endTime: at(65) };
    const { record, warned } = await kept({ times });
    expect(record.times?.ringingTime).toBeDefined();
    expect(warned).toMatch(/^times.ringing_time: /);
  });

  test("after the end of a call that nobody answered", async () => {
    const { ingest } = await world();
    const times = { inviteTime: at(0), ringingTime: at(6), endTime: at(5) };
    const { receipt } = await ingest(cdr({ id: "p", talk: null, more: { times } }));
    expect(receipt.counts).toMatchObject({ accepted: 1n });
  });
});

describe("case 27: long ids of the signalling", () => {
  const tags = { fromTag: "f".repeat(129), toTag: "t".repeat(129) };
  test("are kept, and join the call", async () => {
    const correlation = {
      interconnectDialog: { callId: `${"c".repeat(288)}@192.0.2.10`, ...tags },
      icid: "i".repeat(129),
    };
    const { ingest, append, judged } = await world();
    await ingest(cdr({ id: "p", more: { correlation } }));
    // By numbers and time it could not be paired.
    await append(duration({ id: "c", start: 600, more: { correlation } }));
    expect(await judged()).toEqual(["p/c MATCHED_EXACT"]);
  });

  test("are dropped when they are longer than any, and the call is kept", async () => {
    const { record, warned } = await kept({ correlation: { icid: "i".repeat(257) } });
    expect(record.correlation?.icid ?? "").toBe("");
    expect(warned).toMatch(/^correlation.icid: .*it was dropped$/);
  });
});

test("case 29: a party's URI of 87 characters is kept", async () => {
  const uri = `sip:4310@192.0.2.18:5060;rinstance=${"a".repeat(27)};transport=tcp;regid=17`;
  expect(uri.length).toBeGreaterThanOrEqual(80);
  const { record, warned } = await kept({}, { to: other(uri) });
  expect([record.parties?.called?.value, warned]).toEqual([uri, ""]);
});

describe("case 30: a number of 16 digits", () => {
  const LONG = "+4989999981234567";
  test("is told what to do when it is provisioned", async () => {
    expect(await provision(LONG)).toEqual(["NUMBER_INVALID", expect.stringContaining("over 15 digits")]);
  });

  test("is kept and paired as NON_E164; as E164 the refusal says so", async () => {
    await kept({}, { to: other(LONG) });
    const { ingest } = await world();
    const { outcomes } = await ingest(cdr({ id: "p", to: e164(LONG) }));
    expect(outcomes).toMatchObject([{ verdict: Verdict.REJECTED, fieldPath: "parties.called.value" }]);
    expect(outcomes[0]?.message).toContain("PARTY_KIND_NON_E164");
  });
});

describe("case 31: loss in percent", () => {
  test("of 2.5 is dropped with a warning", async () => {
    const { record, warned } = await kept(stream({ lossRatioAvg: 2.5, jitterAvgMs: 3 }));
    expect(record.streamQualities[0]?.lossRatioAvg).toBeUndefined();
    expect(warned).toMatch(/^stream_qualities\[0\].loss_ratio_avg: .*it was dropped$/);
  });

  test("of 0.5 beside counts that say 0.005 is told to the sender, and not held against the carrier", async () => {
    const { record, warned } = await kept(stream({ lossRatioAvg: 0.5, packetsReceived: "995", packetsLost: "5" }));
    expect(warned).toMatch(/^stream_qualities\[0\].loss_ratio_avg: /);
    expect(record.qualityReasons).not.toContain(QualityReason.PACKET_LOSS);
  });
});

describe("case 33: an answered call whose final code is not 200", () => {
  test.each([
    [{ finalSipCode: 0 }, /^outcome.final_sip_code: /],
    [{ finalSipCode: 408 }, /^outcome.final_sip_code: /],
    [{}, /^$/],
  ])("is kept as answered: %j", async (outcome: JsonObject, warned) => {
    expect((await kept({ outcome })).warned).toMatch(warned);
  });
});

describe("case 34: extensions", () => {
  test("a number with one is told what to give in its place", async () => {
    const [reason, message] = await provision("+12025550142;ext=1001");
    expect([reason, message]).toEqual(["NUMBER_INVALID", expect.stringContaining("give the number alone")]);
  });

  test.each([";ext=1001", ";tgrp=tg55;trunk-context=carrier.example"])(
    "a SIP URI with %s is told why",
    async (more) => {
      const { carrierId } = await world();
      const client = await exchange.carrierClient(NumberService, carrierId);
      const [phoneNumber = ""] = takeNumbers(1);
      await client.provisionNumbers({ requestId: randomUUID(), items: [provisionItem(phoneNumber)] });
      const platform = await exchange.platformClient(PlatformNumberService);
      const sipUri = `sip:${phoneNumber}${more}@sip.example.com;user=phone`;
      const item = { phoneNumber, customerId: "customer-1", assigneeKind: 1, sipUri };
      const { outcomes } = await platform.assignNumbers({ requestId: randomUUID(), carrierId, items: [item] });
      const [, message] = told(outcomes[0]);
      expect(message).toContain("parameters behind the number");
    },
  );
});

async function provision(phoneNumber: string) {
  const { carrierId } = await world();
  const client = await exchange.carrierClient(NumberService, carrierId);
  const items = [provisionItem(phoneNumber)];
  const { outcomes } = await client.provisionNumbers({ requestId: randomUUID(), items });
  return told(outcomes[0]);
}

function told(outcome: NumberOutcome | undefined): [reason: string | undefined, message: string] {
  const result = outcome?.result;
  return result?.case === "failure" ? [ErrorReason[result.value.reason], result.value.message] : [result?.case, ""];
}

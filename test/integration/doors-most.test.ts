import { toJsonString } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DEFAULT_LIMITS, type Limits } from "../../src/domain/limits.ts";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { AgreementService } from "../../src/gen/tandem/carrier/v1/agreement_service_pb.js";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
import { NumberService as PlatformNumberService } from "../../src/gen/tandem/platform/v1/platform_number_service_pb.js";
import { LimitsSchema } from "../../src/gen/tandem/type/v1/limits_pb.js";
import { limitsMessage } from "../../src/rpc/shared/upload-frames.ts";
import { addToTally, readTally, Tally } from "../../src/store/carriers/carrier-tally.ts";
import { recountNumbers } from "../../src/store/carriers/tally-recount.ts";
import { systemTransaction } from "../../src/store/database/database.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { describeOutcome, fromNow, newRequestId, provisionItem, takeNumbers } from "../support/numbers.ts";
import { reasonOf, refusalOf } from "../support/refusal.ts";

const SETTINGS = {
  maxOpenUploads: 3,
  maxNumbers: 5,
  maxCallsPerSecond: 1_500,
  maxBytesPerSecond: 1_000_000,
  maxLiveCalls: 900,
  maxRefusalsPerSecond: 7,
  maxUnavailablePerHour: 50,
  requestMs: 90_000,
  answerMs: 80_000,
};

let exchange: Exchange;
beforeAll(async () => {
  exchange = await startExchange(SETTINGS);
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

async function newCarrier<S extends typeof DurationService | typeof NumberService>(service: S, carrierId: string) {
  await exchange.addCarrier(carrierId);
  return exchange.carrierClient(service, carrierId);
}

const open = (client: Client<typeof DurationService>, uploadId: string) =>
  client.appendDurations({ uploadId, firstOffset: 0n });
const seal = (client: Client<typeof DurationService>, uploadId: string) =>
  client.appendDurations({ uploadId, firstOffset: 0n, finish: { finalOffset: 0n, totals: {} } });

test("a carrier has so many uploads open and no more, however many calls come at once; one that is finished makes room", async () => {
  const client = await newCarrier(DurationService, "uploader");
  const neighbour = await newCarrier(DurationService, "neighbour");
  const reasons = await Promise.all(Array.from({ length: 12 }, (_, at) => reasonOf(open(client, `u${at}`))));
  expect(reasons.filter((reason) => reason === "OK")).toHaveLength(SETTINGS.maxOpenUploads);
  expect(new Set(reasons)).toEqual(new Set(["OK", "LIMIT_REACHED"]));
  expect(await reasonOf(open(neighbour, "u"))).toBe("OK");

  const opened = `u${reasons.indexOf("OK")}`;
  expect(await reasonOf(open(client, opened))).toBe("OK");
  const refusal = await refusalOf(open(client, "one-more"));
  expect(refusal?.findDetails(ErrorInfoSchema)[0]).toMatchObject({
    reason: "LIMIT_REACHED",
    metadata: { what: "open_uploads", limit: "3" },
  });
  expect(refusal?.rawMessage).toContain("idle for 30 days");
  await seal(client, opened);
  expect(await reasonOf(open(client, "one-more"))).toBe("OK");
  expect(await reasonOf(open(client, "another"))).toBe("LIMIT_REACHED");
});

test("a carrier holds so many numbers and no more, however many calls come at once; what it releases makes room", async () => {
  const client = await newCarrier(NumberService, "collector");
  const numbers = takeNumbers(12);
  const claim = async (...wanted: string[]) => {
    const items = wanted.map((number) => provisionItem(number));
    return (await client.provisionNumbers({ requestId: newRequestId(), items })).outcomes.map(describeOutcome);
  };
  const outcomes = (await Promise.all(numbers.map((number) => claim(number)))).flat();
  expect(outcomes.filter((outcome) => outcome === "PROVISIONED")).toHaveLength(SETTINGS.maxNumbers);
  expect(new Set(outcomes)).toEqual(new Set(["PROVISIONED", "LIMIT_REACHED"]));

  const [held = ""] = numbers.filter((_, at) => outcomes[at] === "PROVISIONED");
  const [refused = "", other = ""] = numbers.filter((_, at) => outcomes[at] !== "PROVISIONED");
  expect(await claim(held, refused)).toEqual(["PROVISIONED", "LIMIT_REACHED"]);
  await client.releaseNumbers({ requestId: newRequestId(), phoneNumbers: [held] });
  expect(await claim(refused, other)).toEqual(["PROVISIONED", "LIMIT_REACHED"]);
});

test("numbers that the carrier cannot have take no place from those behind them, and what comes once it is full tells nothing", async () => {
  const client = await newCarrier(NumberService, "almost-full");
  const other = await newCarrier(NumberService, "other-holder");
  const claim = async (by: Client<typeof NumberService>, ...wanted: string[]) => {
    const items = wanted.map((number) => provisionItem(number));
    return (await by.provisionNumbers({ requestId: newRequestId(), items })).outcomes.map(describeOutcome);
  };
  const carriers = await exchange.platformClient(CarrierService);
  await carriers.setNumberRanges({ requestId: newRequestId(), carrierId: "other-holder", prefixes: ["+4598"] });
  const [taken = "", alsoTaken = ""] = ["+4598000001", "+4598000002"];
  const approved = { carrierId: "almost-full", approvedNumbers: [taken, alsoTaken] };
  await carriers.setNumberRanges({ requestId: newRequestId(), ...approved });
  expect(await claim(other, taken, alsoTaken)).toEqual(["PROVISIONED", "PROVISIONED"]);
  await claim(client, ...takeNumbers(SETTINGS.maxNumbers - 1));

  const [last = "", tooMuch = ""] = takeNumbers(2);
  expect(await claim(client, "+4598000003", taken, last, tooMuch, alsoTaken)).toEqual([
    "NUMBER_OUT_OF_RANGE phone_number",
    "NUMBER_UNAVAILABLE phone_number",
    "PROVISIONED",
    "LIMIT_REACHED",
    "LIMIT_REACHED",
  ]);
  // What was refused for want of a place was not claimed.
  await client.releaseNumbers({ requestId: newRequestId(), phoneNumbers: [last] });
  await carriers.setNumberRanges({ requestId: newRequestId(), carrierId: "other-holder" });
  expect(await claim(other, tooMuch)).toEqual(["PROVISIONED"]);
});

test("a tally of numbers that is too high refuses nothing that there is a place for, however many calls come at once, and is right afterwards", async () => {
  const client = await newCarrier(NumberService, "miscounted");
  const { db } = exchange.services;
  const claim = async (number: string) => {
    const items = [provisionItem(number)];
    return (await client.provisionNumbers({ requestId: newRequestId(), items })).outcomes.map(describeOutcome);
  };
  expect(await claim(takeNumbers(1)[0] ?? "")).toEqual(["PROVISIONED"]);
  await systemTransaction(db, (tx) => addToTally(tx, "miscounted", Tally.NUMBERS, 1_000n));
  const outcomes = (await Promise.all(takeNumbers(SETTINGS.maxNumbers + 1).map(claim))).flat();
  expect(outcomes.filter((outcome) => outcome === "PROVISIONED")).toHaveLength(SETTINGS.maxNumbers - 1);
  expect(new Set(outcomes)).toEqual(new Set(["PROVISIONED", "LIMIT_REACHED"]));
  expect(await systemTransaction(db, (tx) => readTally(tx, "miscounted", Tally.NUMBERS))).toBe(
    BigInt(SETTINGS.maxNumbers),
  );
});

test("the numbers of a carrier are not counted for each call: once a while is enough", async () => {
  await exchange.addCarrier("counted-once");
  const { db } = exchange.services;
  const tally = () => systemTransaction(db, (tx) => readTally(tx, "counted-once", Tally.NUMBERS));
  const spoil = () => systemTransaction(db, (tx) => addToTally(tx, "counted-once", Tally.NUMBERS, 7n));
  await spoil();
  const readAtMs = performance.now();
  const count = () => recountNumbers(db, "counted-once", readAtMs);
  expect(await Promise.all([count(), count(), count()])).toEqual([true, true, true]);
  expect(await tally()).toBe(0n);
  await spoil();
  // Whoever read the tally before the count has to read it again; who read it after that has not.
  expect([await count(), await recountNumbers(db, "counted-once", performance.now())]).toEqual([true, false]);
  expect(await tally()).toBe(7n);
});

test("what is ported to a carrier that is full comes all the same, and counts", async () => {
  const full = await newCarrier(NumberService, "full");
  const giver = await newCarrier(NumberService, "giver");
  const numbers = takeNumbers(SETTINGS.maxNumbers);
  const [ported = ""] = takeNumbers(1);
  const claim = (client: Client<typeof NumberService>, wanted: string[]) =>
    client.provisionNumbers({ requestId: newRequestId(), items: wanted.map((number) => provisionItem(number)) });
  await claim(full, numbers);
  await claim(giver, [ported]);
  const platform = await exchange.platformClient(PlatformNumberService);
  await expect
    .poll(async () => {
      const request = { carrierId: "giver", toCarrierId: "full", phoneNumbers: [ported], effectiveTime: fromNow(-1) };
      return (await platform.portNumbers({ requestId: newRequestId(), ...request })).outcomes.map(describeOutcome);
    })
    .toEqual(["PORTED_OUT"]);
  expect((await full.getNumber({ phoneNumber: ported })).number?.carrierId).toBe("full");
  await full.releaseNumbers({ requestId: newRequestId(), phoneNumbers: numbers.slice(0, 1) });
  expect((await claim(full, takeNumbers(1))).outcomes.map(describeOutcome)).toEqual(["LIMIT_REACHED"]);
  await full.releaseNumbers({ requestId: newRequestId(), phoneNumbers: numbers.slice(1, 2) });
  expect((await claim(full, takeNumbers(1))).outcomes.map(describeOutcome)).toEqual(["PROVISIONED"]);
});

/** Settings of which a carrier is told nothing, and why. */
const NOT_ADVERTISED: Readonly<Record<string, string>> = {
  uploadBudgetBytes: "of all uploads together: send_limit_offset tells",
  accessCacheMs: "how soon a change is seen",
  maxAuthFailuresPerSecond: "met before it is known who calls",
  maxConnections: "met before it is known who calls",
  maxConnectionsPerAddress: "met before it is known who calls",
  maxAnonymousPerSecond: "of what anyone may call",
  anonymousRequestMs: "of what anyone may call",
  maxAnonymousCallsPerAddress: "of what anyone may call",
  maxAnonymousStreams: "of what anyone may call",
  maxAnonymousStreamsPerAddress: "of what anyone may call",
  drainMs: "how long a process takes to end",
};

test("a limit that is new is advertised, or somebody has said why not", () => {
  const text = (limits: Limits) => toJsonString(LimitsSchema, limitsMessage(limits));
  const untold = Object.entries(DEFAULT_LIMITS)
    .filter(([name, value]) => text({ ...DEFAULT_LIMITS, [name]: value * 2 }) === text(DEFAULT_LIMITS))
    .map(([name]) => name);
  expect(untold.toSorted()).toEqual(Object.keys(NOT_ADVERTISED).toSorted());
});

test("every limit is advertised as it is enforced, in the agreement and in a stream's Opened", async () => {
  await exchange.addCarrier("reader");
  const transport = await exchange.carrierTransport("reader");
  const { agreement } = await createClient(AgreementService, transport).getAgreement({});
  const expected = {
    maxCallsPerSecond: 1_500,
    maxBytesPerSecond: 1_000_000n,
    maxLiveCalls: 900,
    maxRequestTime: { seconds: 90n },
    maxAnswerTime: { seconds: 80n },
    maxRefusalsPerSecond: 7,
    maxOpenUploads: 3,
    maxNumbers: 5n,
    maxUnavailablePerHour: 50,
    maxConsumers: 100,
    maxNumberItems: 1_000,
    maxDecodedBytes: 100_663_296n,
    maxAuditedRefusalsPerHour: 100,
  };
  expect(agreement?.limits).toMatchObject(expected);
  const stop = new AbortController();
  const start = { position: { case: "latest", value: {} } } as const;
  const frames = createClient(CdrService, transport).streamCdrs({ start }, { signal: stop.signal });
  const { value } = await frames[Symbol.asyncIterator]().next();
  stop.abort();
  expect(value?.frame).toMatchObject({ case: "opened", value: { limits: expected } });
});

import { type Client, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ErrorInfoSchema, RetryInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { describeOutcome, newRequestId, provisionItem, takeNumber, takeNumbers } from "../support/numbers.ts";

/** As many as a carrier may learn of at once. The next comes three minutes later. */
const ALLOWANCE = 20;

let exchange: Exchange;
let owner: Client<typeof NumberService>;
let theirs: string[];

beforeAll(async () => {
  exchange = await startExchange({ maxUnavailablePerHour: ALLOWANCE });
  await exchange.addCarrier("owner");
  owner = await exchange.carrierClient(NumberService, "owner");
  theirs = takeNumbers(ALLOWANCE);
  await provision(owner, theirs);
});

afterAll(async () => {
  await exchange?.[Symbol.asyncDispose]();
});

async function newCarrier(carrierId: string) {
  await exchange.addCarrier(carrierId);
  return exchange.carrierClient(NumberService, carrierId);
}

async function provision(carrier: Client<typeof NumberService>, numbers: readonly string[], more = {}) {
  const items = numbers.map((phoneNumber) => provisionItem(phoneNumber, more));
  return (await carrier.provisionNumbers({ requestId: newRequestId(), items })).outcomes;
}

/** The outcomes of a call, in words; the reason alone of one that is refused whole. */
async function askFor(carrier: Client<typeof NumberService>, numbers: readonly string[]) {
  try {
    return (await provision(carrier, numbers)).map((outcome) => describeOutcome(outcome).split(" ")[0]);
  } catch (error) {
    return ConnectError.from(error).findDetails(ErrorInfoSchema)[0]?.reason ?? "";
  }
}

test("twenty-four calls at once learn of no more numbers of others than one may", async () => {
  const prober = await newCarrier("prober");
  const answers = await Promise.all(Array.from({ length: 24 }, () => askFor(prober, theirs)));
  const learned = answers.flat().filter((word) => word === "NUMBER_UNAVAILABLE");
  expect(learned).toHaveLength(ALLOWANCE);
  expect(answers.filter((answer) => answer === "RATE_LIMITED")).toHaveLength(23);
});

test("a call that would learn of more than is left is refused whole, claims nothing, and says when to come again", async () => {
  const prober = await newCarrier("greedy");
  const free = takeNumber();
  expect(await askFor(prober, theirs.slice(0, ALLOWANCE - 3))).toHaveLength(ALLOWANCE - 3);
  const refusal = await provision(prober, [free, ...theirs.slice(-4)]).catch((error: unknown) =>
    ConnectError.from(error),
  );
  if (!(refusal instanceof ConnectError)) throw new Error("the call was answered");
  expect(refusal.findDetails(ErrorInfoSchema)[0]?.reason).toBe("RATE_LIMITED");
  expect(Number(refusal.findDetails(RetryInfoSchema)[0]?.retryDelay?.seconds)).toBeGreaterThan(0);
  const other = await newCarrier("lucky");
  expect(await askFor(other, [free])).toEqual(["PROVISIONED"]);
  // The refusal told as much as the answers that were left would have.
  expect(await askFor(prober, [takeNumber()])).toBe("RATE_LIMITED");
});

test("calls at once for numbers that nobody has wait for each other, and none is refused", async () => {
  const carrier = await newCarrier("honest");
  const answers = await Promise.all(Array.from({ length: 6 }, () => askFor(carrier, takeNumbers(8))));
  expect(new Set(answers.flat())).toEqual(new Set(["PROVISIONED"]));
  expect(await askFor(carrier, takeNumbers(ALLOWANCE))).toHaveLength(ALLOWANCE);
});

test("a carrier that learned of a few goes on with calls of any size", async () => {
  const carrier = await newCarrier("unlucky");
  expect(await askFor(carrier, [theirs[0] ?? ""])).toEqual(["NUMBER_UNAVAILABLE"]);
  expect(new Set(await askFor(carrier, takeNumbers(ALLOWANCE)))).toEqual(new Set(["PROVISIONED"]));
});

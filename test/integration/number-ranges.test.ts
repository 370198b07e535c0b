import type { Client } from "@connectrpc/connect";
import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { AgreementService } from "../../src/gen/tandem/carrier/v1/agreement_service_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
import { NumberService as PlatformNumberService } from "../../src/gen/tandem/platform/v1/platform_number_service_pb.js";
import { PrivacyService, SubjectRole } from "../../src/gen/tandem/platform/v1/privacy_service_pb.js";
import { runCli } from "../support/cli.ts";
import { erase } from "../support/erasure.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { describeOutcome, fromNow, newRequestId, provisionItem } from "../support/numbers.ts";
import { reasonOf, refusalOf } from "../support/refusal.ts";

let exchange: Exchange;
let carriers: Client<typeof CarrierService>;
let platform: Client<typeof PlatformNumberService>;

beforeAll(async () => {
  exchange = await startExchange();
  carriers = await exchange.platformClient(CarrierService);
  platform = await exchange.platformClient(PlatformNumberService);
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

/** A carrier with ranges, if any are given. */
async function newCarrier(carrierId: string, prefixes?: string[], approvedNumbers: string[] = []) {
  await exchange.addCarrier(carrierId);
  if (prefixes) await carriers.setNumberRanges({ requestId: newRequestId(), carrierId, prefixes, approvedNumbers });
  return exchange.carrierClient(NumberService, carrierId);
}

async function claim(carrier: Client<typeof NumberService>, ...numbers: string[]) {
  const items = numbers.map((phoneNumber) => provisionItem(phoneNumber, { countryCode: "DK" }));
  return (await carrier.provisionNumbers({ requestId: newRequestId(), items })).outcomes.map(describeOutcome);
}

const release = (carrier: Client<typeof NumberService>, phoneNumber: string) =>
  carrier.releaseNumbers({ requestId: newRequestId(), phoneNumbers: [phoneNumber] });

const OUT = "NUMBER_OUT_OF_RANGE phone_number";

test("as long as nobody has ranges, every carrier claims what is free", async () => {
  expect(await claim(await newCarrier("first-come"), "+4541000001", "+4542000001")).toEqual([
    "PROVISIONED",
    "PROVISIONED",
  ]);
});

test("a carrier with ranges claims numbers in them, and no others; what it held before stays, and may be changed", async () => {
  const carrier = await newCarrier("ranged");
  expect(await claim(carrier, "+4550000001")).toEqual(["PROVISIONED"]);
  await carriers.setNumberRanges({ requestId: newRequestId(), carrierId: "ranged", prefixes: ["+4532", "+4533123"] });
  expect(await claim(carrier, "+4532000001", "+4533123001", "+4533124001", "+4550000002")).toEqual([
    "PROVISIONED",
    "PROVISIONED",
    OUT,
    OUT,
  ]);
  expect(await claim(carrier, "+4550000001")).toEqual(["PROVISIONED"]);
  const { agreement } = await (await exchange.carrierClient(AgreementService, "ranged")).getAgreement({});
  expect(agreement?.numberRanges).toEqual(["+4532", "+4533123"]);
});

test("nobody claims a number of another's range first, whether it has ranges of its own or none", async () => {
  await newCarrier("holder", ["+4534"]);
  expect(await claim(await newCarrier("no-ranges"), "+4534000001", "+4535000001")).toEqual([OUT, "PROVISIONED"]);
  expect(await claim(await newCarrier("other-ranges", ["+4536"]), "+4534000001", "+4536000001")).toEqual([
    OUT,
    "PROVISIONED",
  ]);
});

test("a number that is approved is claimed wherever it lies, and the approval is its carrier's only", async () => {
  const holder = await newCarrier("giver", ["+4537"]);
  const taker = await newCarrier("taker", ["+4538"], ["+4537000001"]);
  expect(await claim(await newCarrier("bystander"), "+4537000001")).toEqual([OUT]);
  expect(await claim(taker, "+4537000001", "+4537000002")).toEqual(["PROVISIONED", OUT]);
  // It is held now, and its range's carrier learns that as it learns of any other.
  expect(await claim(holder, "+4537000001")).toEqual(["NUMBER_UNAVAILABLE phone_number"]);
});

test("a number that a port brought may be claimed again after its release, until a port takes it away", async () => {
  const losing = await newCarrier("losing", ["+4539"]);
  const gaining = await newCarrier("gaining", ["+4540"]);
  const number = "+4539000001";
  const port = async (carrierId: string, toCarrierId: string) => {
    const effectiveTime = fromNow(-1);
    const phoneNumbers = [number];
    return platform.portNumbers({ requestId: newRequestId(), carrierId, toCarrierId, phoneNumbers, effectiveTime });
  };
  expect(await claim(losing, number)).toEqual(["PROVISIONED"]);
  // A port lies after the start of the holding.
  await expect
    .poll(async () => (await port("losing", "gaining")).outcomes.map(describeOutcome))
    .toEqual(["PORTED_OUT"]);
  expect(await claim(gaining, number)).toEqual(["PROVISIONED"]);
  await release(gaining, number);
  expect(await claim(gaining, number)).toEqual(["PROVISIONED"]);
  await expect
    .poll(async () => (await port("gaining", "losing")).outcomes.map(describeOutcome))
    .toEqual(["PORTED_OUT"]);
  await release(losing, number);
  expect(await claim(gaining, number)).toEqual([OUT]);
});

test("two carriers' ranges do not overlap unless the platform says so; then the longest prefix decides", async () => {
  await newCarrier("network", ["+4561"]);
  const reseller = await newCarrier("reseller");
  const set = (prefixes: string[], nestingAllowed = false) =>
    carriers.setNumberRanges({ requestId: newRequestId(), carrierId: "reseller", prefixes, nestingAllowed });
  for (const prefix of ["+4561", "+456", "+456199"]) {
    const refusal = await refusalOf(set(["+4599", prefix]));
    expect(refusal?.findDetails(ErrorInfoSchema)[0]).toMatchObject({
      reason: "RANGE_TAKEN",
      metadata: { carrier_id: "network", prefix: "+4561", field: "prefixes[1]" },
    });
  }
  expect(await reasonOf(set(["+4561"], true))).toBe("RANGE_TAKEN");
  await set(["+456199"], true);
  expect(await claim(reseller, "+4561990001", "+4561980001")).toEqual(["PROVISIONED", OUT]);
  const network = await exchange.carrierClient(NumberService, "network");
  expect(await claim(network, "+4561980001", "+4561990002")).toEqual(["PROVISIONED", OUT]);
});

test("a refusal names the range that is in the way as it is, however long: ranges are public, and no number is one", async () => {
  await newCarrier("bravo", ["+4563000", "+46812345"]);
  await exchange.addCarrier("alpha");
  for (const [asked, taken] of [
    ["+4563000", "+4563000"],
    ["+456300012", "+4563000"],
    ["+468123", "+46812345"],
  ] as const) {
    const refusal = await refusalOf(
      carriers.setNumberRanges({ requestId: newRequestId(), carrierId: "alpha", prefixes: [asked] }),
    );
    expect(refusal?.findDetails(ErrorInfoSchema)[0]).toMatchObject({
      reason: "RANGE_TAKEN",
      metadata: { carrier_id: "bravo", prefix: taken, field: "prefixes[0]" },
    });
    expect(refusal?.rawMessage).toBe(`prefixes[0]: a range of carrier bravo is in the way: ${taken}`);
  }
});

test("a whole number is no range: it is refused by field, and told where it belongs", async () => {
  await newCarrier("single");
  for (const whole of ["+4533123456", "+4915112345678"]) {
    const refusal = await refusalOf(
      carriers.setNumberRanges({ requestId: newRequestId(), carrierId: "single", prefixes: ["+4564", whole] }),
    );
    expect(refusal?.findDetails(ErrorInfoSchema)[0]).toMatchObject({
      reason: "INVALID_ARGUMENT",
      metadata: { field: "prefixes[1]" },
    });
    expect(refusal?.rawMessage).toContain("approved_numbers");
  }
  expect((await carriers.getNumberRanges({ carrierId: "single" })).ranges?.prefixes).toEqual([]);
});

test("two carriers that are given ranges in each other's way at once: one of them is refused", async () => {
  for (const carrierId of ["left", "right"]) await exchange.addCarrier(carrierId);
  const set = (carrierId: string, prefix: string) =>
    reasonOf(carriers.setNumberRanges({ requestId: newRequestId(), carrierId, prefixes: [prefix] }));
  for (let round = 0; round < 5; round++) {
    const pair = await Promise.all([set("left", `+4562${round}`), set("right", `+4562${round}1`)]);
    expect(pair.sort()).toEqual(["OK", "RANGE_TAKEN"]);
    await carriers.setNumberRanges({ requestId: newRequestId(), carrierId: "left" });
    await carriers.setNumberRanges({ requestId: newRequestId(), carrierId: "right" });
  }
});

test("a repeat gets the first answer and does nothing; ranges are replaced as a whole, and none lets the carrier claim as before", async () => {
  const carrier = await newCarrier("repeater");
  const request = { requestId: newRequestId(), carrierId: "repeater", prefixes: ["+4571", "+4570", "+4571"] };
  const first = await carriers.setNumberRanges(request);
  expect(first.ranges).toMatchObject({ carrierId: "repeater", prefixes: ["+4570", "+4571"], approvedNumberCount: 0 });
  await carriers.setNumberRanges({ requestId: newRequestId(), carrierId: "repeater" });
  expect(await carriers.setNumberRanges(request)).toEqual(first);
  expect((await carriers.getNumberRanges({ carrierId: "repeater" })).ranges?.prefixes).toEqual([]);
  expect(await claim(carrier, "+4572000001")).toEqual(["PROVISIONED"]);
  expect(await reasonOf(carriers.setNumberRanges({ ...request, prefixes: ["+4573"] }))).toBe("REQUEST_ID_REUSED");
});

test("what is no prefix and no number is refused, by field; and a carrier that does not exist", async () => {
  await newCarrier("careful");
  const wrong = [
    [{ prefixes: ["+45", "45"] }, "prefixes[1]"],
    [{ prefixes: ["+"] }, "prefixes[0]"],
    [{ prefixes: ["+0"] }, "prefixes[0]"],
    [{ prefixes: ["+1234567890123456"] }, "prefixes[0]"],
    [{ prefixes: Array(1_001).fill("+45") as string[] }, "prefixes"],
    [{ approvedNumbers: ["+4512"] }, "approved_numbers[0]"],
    [{ approvedNumbers: Array(1_001).fill("+4532000001") as string[] }, "approved_numbers"],
  ] as const;
  for (const [fields, field] of wrong) {
    const request = { requestId: newRequestId(), carrierId: "careful", ...fields };
    const refusal = await refusalOf(
      carriers.setNumberRanges({
        ...request,
        prefixes: [...("prefixes" in fields ? fields.prefixes : [])],
        approvedNumbers: [...("approvedNumbers" in fields ? fields.approvedNumbers : [])],
      }),
    );
    expect(refusal?.findDetails(ErrorInfoSchema)[0]).toMatchObject({ reason: "INVALID_ARGUMENT", metadata: { field } });
  }
  expect(await reasonOf(carriers.setNumberRanges({ requestId: "x", carrierId: "nobody-at-all" }))).toBe(
    "CARRIER_NOT_FOUND",
  );
  expect(await reasonOf(carriers.getNumberRanges({ carrierId: "nobody-at-all" }))).toBe("CARRIER_NOT_FOUND");
});

test("approved numbers are shown for the scope numbers.read only, and are in no audit event", async () => {
  const number = "+4574000001";
  await newCarrier("keeper", ["+4575"], [number]);
  const only = await exchange.platformToken(["carriers.read"]);
  const transport = await exchange.platformTransport({ token: only });
  const { ranges } = await createClient(CarrierService, transport).getNumberRanges({ carrierId: "keeper" });
  expect(ranges).toMatchObject({ approvedNumbers: [], approvedNumberCount: 1 });
  const shown = await carriers.getNumberRanges({ carrierId: "keeper" });
  expect(shown.ranges?.approvedNumbers).toEqual([number]);

  const privacy = await exchange.platformClient(PrivacyService);
  const { events } = await privacy.listAuditEvents({ carrierId: "keeper" });
  expect(
    events.map(({ method, changedFields, detailsJson }) => [method.split("/")[1], changedFields, detailsJson]),
  ).toEqual([["SetNumberRanges", ["approved_numbers", "prefixes"], '{"approved_numbers":1,"prefixes":1}']]);
});

test("Access: that a number is approved for a carrier is in the person's export, and in no other party's", async () => {
  const number = "+4576000001";
  await newCarrier("first-keeper", ["+4577"], [number, "+4576000002"]);
  await newCarrier("second-keeper", [], [number]);
  const approvals = async (role: SubjectRole) => {
    const privacy = await exchange.platformClient(PrivacyService);
    const items: string[] = [];
    const times = { startTime: fromNow(-3_600_000), endTime: fromNow(-1_000) };
    const why = { caseReference: "case 1", verifiedBy: "desk" };
    for await (const { frame } of privacy.exportPhoneNumber({ phoneNumber: number, ...times, role, ...why })) {
      if (frame.case === "trailer") expect(frame.value.itemCount).toBe(BigInt(items.length));
      if (frame.case !== "batch") continue;
      for (const { carrierId, item } of frame.value.items)
        items.push(`${carrierId} ${item.case === "approval" ? item.value.phoneNumber : item.case}`);
    }
    return items;
  };
  expect(await approvals(SubjectRole.SUBSCRIBER)).toEqual([`first-keeper ${number}`, `second-keeper ${number}`]);
  expect(await approvals(SubjectRole.ANY)).toHaveLength(2);
  expect(await approvals(SubjectRole.OTHER_PARTY)).toEqual([]);
  const asked = [
    "--from",
    "2026-01-01",
    "--to",
    "2026-02-01",
    "--role",
    "subscriber",
    "--case",
    "c",
    "--verified-by",
    "desk",
  ];
  const told = await runCli(["privacy", "export", number, ...asked, "--csv"], {
    TANDEM_URL: exchange.url,
    TANDEM_TOKEN: await exchange.platformToken(),
  });
  expect(told.stdout).toMatch(/^approval,first-keeper,/m);
});

test("Residency: an export that leaves out an approval of another region says so at its end", async () => {
  const phoneNumber = "+4578000001";
  await exchange.addCarrier("far-keeper", { region: "us" });
  await carriers.setNumberRanges({
    requestId: newRequestId(),
    carrierId: "far-keeper",
    approvedNumbers: [phoneNumber],
  });
  const european = await exchange.openSecondApp({ region: "eu" });
  const client = createClient(PrivacyService, await exchange.platformTransport({ baseUrl: european.url }));
  const reason = async (role: SubjectRole) => {
    const times = { startTime: fromNow(-3_600_000), endTime: fromNow(-1_000) };
    const frames = client.exportPhoneNumber({ phoneNumber, ...times, role, caseReference: "c", verifiedBy: "desk" });
    return reasonOf(Array.fromAsync(frames));
  };
  expect(await reason(SubjectRole.SUBSCRIBER)).toBe("REGION_MISMATCH");
  expect(await reason(SubjectRole.OTHER_PARTY)).toBe("OK");
});

test("an approved number goes with the person's erasure, at a carrier that has nothing else", async () => {
  await using small = await startExchange();
  await small.addCarrier("keeper");
  const client = await small.platformClient(CarrierService);
  const ranges = { prefixes: ["+4575"], approvedNumbers: ["+4574000001", "+4574000002"] };
  await client.setNumberRanges({ requestId: newRequestId(), carrierId: "keeper", ...ranges });
  await erase(small, "+4574000001");
  const kept = (await client.getNumberRanges({ carrierId: "keeper" })).ranges;
  expect(kept).toMatchObject({ prefixes: ["+4575"], approvedNumbers: ["+4574000002"] });
});

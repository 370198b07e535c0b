import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { NumberService as PlatformNumberService } from "../../src/gen/tandem/platform/v1/platform_number_service_pb.js";
import { startExchange } from "../support/exchange.ts";

const DAY_MS = 86_400_000;

test("a number that is provisioned since a past time can be assigned since then, and not before", async () => {
  await using exchange = await startExchange();
  await exchange.addCarrier("alpha");
  const numbers = await exchange.carrierClient(NumberService, "alpha");
  const platform = await exchange.platformClient(PlatformNumberService);
  const since = Date.now() - 10 * DAY_MS;
  const phoneNumber = "+441632960123";
  const item = { phoneNumber, numberType: 1, usages: [1], capabilities: [1], countryCode: "GB" };

  const tooEarly = await numbers.provisionNumbers({
    requestId: "a",
    items: [{ ...item, effectiveTime: timestampFromMs(since - 500 * DAY_MS) }],
  });
  expect(tooEarly.outcomes[0]?.result).toMatchObject({ case: "failure", value: { field: "effective_time" } });
  const inFuture = await numbers.provisionNumbers({
    requestId: "b",
    items: [{ ...item, effectiveTime: timestampFromMs(Date.now() + DAY_MS) }],
  });
  expect(inFuture.outcomes[0]?.result).toMatchObject({ case: "failure", value: { field: "effective_time" } });
  const provisioned = await numbers.provisionNumbers({
    requestId: "c",
    items: [{ ...item, effectiveTime: timestampFromMs(since) }],
  });
  expect(provisioned.outcomes[0]?.result).toMatchObject({
    case: "number",
    value: { effectiveStartTime: timestampFromMs(since) },
  });

  const assignedAt = (requestId: string, atMs: number) =>
    platform.assignNumbers({
      requestId,
      carrierId: "alpha",
      items: [{ phoneNumber, customerId: "customer-1", assigneeKind: 1, effectiveTime: timestampFromMs(atMs) }],
    });
  expect((await assignedAt("d", since - DAY_MS)).outcomes[0]?.result.case).toBe("failure");
  expect((await assignedAt("e", since + DAY_MS)).outcomes[0]?.result.case).toBe("number");

  await numbers.releaseNumbers({ requestId: "f", phoneNumbers: [phoneNumber] });
  await platform.unassignNumbers({ requestId: "g", carrierId: "alpha", phoneNumbers: [phoneNumber] });
  await numbers.releaseNumbers({ requestId: "h", phoneNumbers: [phoneNumber] });
  const overlapping = await numbers.provisionNumbers({
    requestId: "i",
    items: [{ ...item, effectiveTime: timestampFromMs(since + 2 * DAY_MS) }],
  });
  expect(overlapping.outcomes[0]?.result).toMatchObject({ case: "failure", value: { field: "effective_time" } });
});

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, createRouterTransport } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.js";
import { CarrierService } from "../../gen/tandem/platform/v1/carrier_service_pb.js";
import { retryUnary } from "./retry-unary.ts";

type Retry = MessageInitShape<typeof RetryInfoSchema>["retryDelay"];

/** A client of a server that refuses so many calls, and how many came. */
function clientOf(refusals: readonly ConnectError[]) {
  let calls = 0;
  const getCarrier = () => {
    const refusal = refusals[calls++];
    if (refusal) throw refusal;
    return {};
  };
  const transport = createRouterTransport(({ service }) => void service(CarrierService, { getCarrier }), {
    transport: { interceptors: [retryUnary] },
  });
  return { client: createClient(CarrierService, transport), calls: () => calls };
}

function refusal(retryDelay: Retry | undefined): ConnectError {
  const info = {
    desc: ErrorInfoSchema,
    value: create(ErrorInfoSchema, { reason: "STORE_UNAVAILABLE", domain: "tandem" }),
  };
  const again = { desc: RetryInfoSchema, value: create(RetryInfoSchema, { retryDelay }) };
  return new ConnectError("busy", Code.Unavailable, undefined, retryDelay ? [info, again] : [info]);
}

const SOON = { seconds: 0n, nanos: 1_000_000 };

test("a call that the server asks to repeat is repeated", async () => {
  const { client, calls } = clientOf([refusal(SOON), refusal(SOON)]);
  await client.getCarrier({ carrierId: "alpha" });
  expect(calls()).toBe(3);
});

test.each([
  ["that is refused for good", refusal(undefined)],
  ["that was cut off, carried out or not", new ConnectError("cut", Code.Unavailable)],
  ["whose server asks for a long wait", refusal({ seconds: 3_600n, nanos: 0 })],
])("a call %s is not repeated", async (_, error) => {
  const { client, calls } = clientOf([error]);
  await expect(client.getCarrier({ carrierId: "alpha" })).rejects.toThrow();
  expect(calls()).toBe(1);
});

test("a server that stays busy gets six calls, and then the caller its error", async () => {
  const { client, calls } = clientOf(Array.from({ length: 9 }, () => refusal(SOON)));
  await expect(client.getCarrier({ carrierId: "alpha" })).rejects.toThrow("busy");
  expect(calls()).toBe(6);
});

test("whoever no longer wants the answer waits no longer", async () => {
  const { client, calls } = clientOf(Array.from({ length: 9 }, () => refusal({ seconds: 5n, nanos: 0 })));
  const stop = new AbortController();
  const asked = client.getCarrier({ carrierId: "alpha" }, { signal: stop.signal });
  await expect.poll(calls).toBe(1);
  stop.abort();
  await expect(asked).rejects.toThrow();
  expect(calls()).toBe(1);
});

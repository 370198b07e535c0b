import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RetryInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { AgreementService } from "../../src/gen/tandem/carrier/v1/agreement_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
import { CdrService as PlatformCdrService } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { NumberService as PlatformNumberService } from "../../src/gen/tandem/platform/v1/platform_number_service_pb.js";
import { addCarrier } from "../support/carriers.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { createIssuer } from "../support/issuer.ts";
import { reasonOf, reasonOfError, refusalOf } from "../support/refusal.ts";

// Ten at once, and one more a second.
const BURST = 10;
const FLOOD = 60;

let app: Exchange;
beforeAll(async () => {
  app = await startExchange({ maxRefusalsPerSecond: 1, maxAuthFailuresPerSecond: 1, region: "eu" });
  for (const id of ["acme", "other"]) await addCarrier(app.services.db, id);
  await addCarrier(app.services.db, "sleeper", { suspended: true });
  await addCarrier(app.services.db, "faraway", { region: "us" });
});
afterAll(() => app?.[Symbol.asyncDispose]());

const listUploads = (over: Transport) => createClient(DurationService, over).listUploads({});
const getCdr = (over: Transport) => createClient(PlatformCdrService, over).getCdr({});

/**
 * Calls that are all refused: with which reasons, how many with the first, and an error of those
 * that were over the rate.
 */
async function flood(call: () => Promise<unknown>, reason: string) {
  const errors = await Promise.all(Array.from({ length: FLOOD }, () => refusalOf(call())));
  const reasons = errors.map((error) => (error ? reasonOfError(error) : "OK"));
  expect(new Set(reasons)).toEqual(new Set([reason, "RATE_LIMITED"]));
  expect(reasons.filter((each) => each === reason).length).toBeGreaterThanOrEqual(BURST);
  return errors.find((error) => error && reasonOfError(error) === "RATE_LIMITED") as ConnectError;
}

test("calls that are denied are held to a rate, with RetryInfo; what the credential may do, and the neighbour's denial, are not", async () => {
  const acme = app.connect(await app.carrierToken("acme"));
  const limited = await flood(() => getCdr(acme), "PERMISSION_DENIED");
  const [retry] = limited.findDetails(RetryInfoSchema);
  expect(Number(retry?.retryDelay?.seconds ?? 0) * 1e9 + (retry?.retryDelay?.nanos ?? 0)).toBeGreaterThan(0);
  expect(await reasonOf(listUploads(acme))).toBe("OK");
  expect(await reasonOf(getCdr(app.connect(await app.carrierToken("other"))))).toBe("PERMISSION_DENIED");
  await expect.poll(() => reasonOf(getCdr(acme)), { interval: 100 }).toBe("PERMISSION_DENIED");
});

test("a scope that is missing is refused at a rate, and the methods that the platform's credential reaches are not", async () => {
  const reader = app.connect(await app.platformToken(["carriers.read"]));
  await flood(
    () => createClient(PlatformNumberService, reader).assignNumbers({ carrierId: "acme" }),
    "PERMISSION_DENIED",
  );
  expect(await reasonOf(createClient(CarrierService, reader).listCarriers({}))).toBe("OK");
});

test("a suspended carrier, one of another region and one that does not exist are refused at a rate; its agreement is shown all the same", async () => {
  const sleeper = app.connect(await app.carrierToken("sleeper"));
  await flood(() => listUploads(sleeper), "CARRIER_SUSPENDED");
  expect(await reasonOf(createClient(AgreementService, sleeper).getAgreement({}))).toBe("OK");
  const faraway = app.connect(await app.carrierToken("faraway"));
  await flood(() => listUploads(faraway), "REGION_MISMATCH");
  const nobody = app.connect(await app.carrierToken("nobody"));
  await flood(() => listUploads(nobody), "UNAUTHENTICATED");
});

test("an expired token is refused at a rate, and a new one of the same subject from the same address is let in", async () => {
  const expired = app.connect(await app.carrierToken("other", { ttlSeconds: -1 }));
  await flood(() => listUploads(expired), "CREDENTIAL_EXPIRED");
  expect(await reasonOf(listUploads(app.connect(await app.carrierToken("other"))))).toBe("OK");
});

test("false credentials of an address do not shut out a token that it has not shown before, of a subject that was let in from there", async () => {
  expect(await reasonOf(listUploads(app.connect(await app.carrierToken("acme"))))).toBe("OK");
  const bad = app.connect("false");
  const reasons = new Set(await Promise.all(Array.from({ length: 150 }, () => reasonOf(listUploads(bad)))));
  expect(reasons).toEqual(new Set(["UNAUTHENTICATED", "RATE_LIMITED"]));
  const renewed = app.connect(await app.carrierToken("acme", { ttlSeconds: 700 }));
  expect(await reasonOf(listUploads(renewed))).toBe("OK");
  const stranger = app.connect(await app.carrierToken("acme", { identity: "stranger" }));
  expect(await reasonOf(listUploads(stranger))).toBe("RATE_LIMITED");
  expect(app.logged).toEqual([]);
});

test("tokens of a key that cannot be read at the moment are told to come again, and are no false credentials of their address", async () => {
  await using issuer = await createIssuer();
  let answers = true;
  await using source = await serveText(() => (answers ? readFile(issuer.settings.jwksFile) : undefined));
  const keys = { ...issuer.settings, jwksFile: undefined, jwksUrl: source.url };
  await using outside = await startExchange({ ...keys, maxAuthFailuresPerSecond: 1 });
  const identity = { kind: "jwt", issuer: issuer.name, subject: "switch" } as const;
  await addCarrier(outside.services.db, "acme", { credentials: [{ identity }] });
  const show = async (kid: string) => outside.connect(await issuer.sign({ sub: "switch" }, { kid }));
  expect(await reasonOf(listUploads(await show("1")))).toBe("OK");
  answers = false;
  const young = await show("young");
  expect(await reasonOf(listUploads(young))).toBe("STORE_UNAVAILABLE");
  // More than an address may show of false ones, after the reading that has failed.
  const errors = await Promise.all(Array.from({ length: 150 }, () => refusalOf(listUploads(young))));
  expect(new Set(errors.map((error) => error && reasonOfError(error)))).toEqual(new Set(["STORE_UNAVAILABLE"]));
  expect(errors.flatMap((error) => error?.findDetails(RetryInfoSchema) ?? [])).toHaveLength(errors.length);
  const stranger = await issuer.sign({ sub: "stranger" });
  expect(await reasonOf(listUploads(outside.connect(stranger)))).toBe("UNAUTHENTICATED");
});

/** A server that answers with a text, or with 503 when there is none. */
async function serveText(text: () => Promise<Buffer> | undefined): Promise<AsyncDisposable & { readonly url: string }> {
  const server = createServer(async (_, response) => {
    const content = await text();
    response.writeHead(content ? 200 : 503, { connection: "close" }).end(content);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, "close");
    },
  };
}

import { createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, expect, test } from "vitest";
import { identityText } from "../../src/domain/carriers/principal.ts";
import { ErrorInfoSchema } from "../../src/gen/google/rpc/error_details_pb.js";
import { AgreementService } from "../../src/gen/tandem/carrier/v1/agreement_service_pb.js";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { CdrService as PlatformCdrService } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { systemTransaction } from "../../src/store/database/database.ts";
import { run } from "../../src/store/database/run.ts";
import { addCarrier } from "../support/carriers.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { createIssuer } from "../support/issuer.ts";
import { reasonOf, refusalOf } from "../support/refusal.ts";

let app: Exchange;
beforeAll(async () => {
  app = await startExchange({ accessCacheMs: 50, region: "eu" });
  await addCarrier(app.services.db, "acme");
  await addCarrier(app.services.db, "faraway", { region: "us" });
  await addCarrier(app.services.db, "sleeper", { suspended: true });
});
afterAll(() => app[Symbol.asyncDispose]());

test("a carrier's credential reaches tandem.carrier.v1 and nothing of the platform's", async () => {
  const transport = app.connect(await app.carrierToken("acme"));
  expect(await reasonOf(createClient(DurationService, transport).listUploads({}))).toBe("OK");
  const error = await refusalOf(createClient(PlatformCdrService, transport).getCdr({}));
  expect(error?.findDetails(ErrorInfoSchema)).toMatchObject([
    { reason: "PERMISSION_DENIED", metadata: { method: "tandem.platform.v1.CdrService/GetCdr", scope: "cdrs.read" } },
  ]);
});

test("a credential of the platform reaches what its scopes allow, and nothing of a carrier's", async () => {
  const reader = app.connect(await app.platformToken(["cdrs.read"]));
  const cdrs = createClient(PlatformCdrService, reader);
  // Let in, and then refused for what it asks.
  expect(await reasonOf(cdrs.listCdrs({ carrierId: "nobody" }))).toBe("CARRIER_NOT_FOUND");
  expect(await reasonOf(cdrs.ingestCdrs(nothing()))).toBe("PERMISSION_DENIED");
  expect(await reasonOf(createClient(DurationService, reader).listUploads({}))).toBe("PERMISSION_DENIED");
});

test("a call without a credential, or with one that is not genuine, is refused", async () => {
  for (const token of [undefined, "nonsense", `${await app.carrierToken("acme")}x`]) {
    expect(await reasonOf(createClient(DurationService, app.connect(token)).listUploads({}))).toBe("UNAUTHENTICATED");
  }
  expect(
    await reasonOf(createClient(DurationService, app.connect(await app.carrierToken("nobody"))).listUploads({})),
  ).toBe("UNAUTHENTICATED");
  const expired = await app.carrierToken("acme", { ttlSeconds: -1 });
  expect(await reasonOf(createClient(DurationService, app.connect(expired)).listUploads({}))).toBe(
    "CREDENTIAL_EXPIRED",
  );
});

test("a stream is refused as a unary call is", async () => {
  const start = { position: { case: "earliest", value: {} } } as const;
  expect(await reasonOf(createClient(CdrService, app.connect()).streamCdrs({ start }))).toBe("UNAUTHENTICATED");
  const platform = app.connect(await app.platformToken());
  expect(await reasonOf(createClient(CdrService, platform).streamCdrs({ start }))).toBe("PERMISSION_DENIED");
  expect(await reasonOf(createClient(DurationService, platform).uploadDurations(nothing()))).toBe("PERMISSION_DENIED");
});

test("a suspended carrier may ask for its agreement only", async () => {
  const transport = app.connect(await app.carrierToken("sleeper"));
  expect(await reasonOf(createClient(DurationService, transport).listUploads({}))).toBe("CARRIER_SUSPENDED");
  expect(["OK", "UNIMPLEMENTED"]).toContain(await reasonOf(createClient(AgreementService, transport).getAgreement({})));
});

test("a carrier of another region is told where it is served", async () => {
  const error = await refusalOf(
    createClient(DurationService, app.connect(await app.carrierToken("faraway"))).listUploads({}),
  );
  expect(error?.findDetails(ErrorInfoSchema)).toMatchObject([
    { reason: "REGION_MISMATCH", metadata: { region: "us" } },
  ]);
});

test("a suspension by another process is followed, by calls at once and by live streams within 5 s", async () => {
  await addCarrier(app.services.db, "turncoat");
  const transport = app.connect(await app.carrierToken("turncoat"));
  const stream = createClient(CdrService, transport).streamCdrs({ start: { position: { case: "latest", value: {} } } });
  const frames = stream[Symbol.asyncIterator]();
  await frames.next();
  const rest = reasonOf(drainFrames(frames));
  await setSuspended("turncoat", true);
  expect(await rest).toBe("CARRIER_SUSPENDED");
  await expect.poll(() => reasonOf(createClient(DurationService, transport).listUploads({}))).toBe("CARRIER_SUSPENDED");
  await setSuspended("turncoat", false);
  await expect.poll(() => reasonOf(createClient(DurationService, transport).listUploads({}))).toBe("OK");
  expect(app.services.slots.count).toBe(0);
});

test("no more than the agreed number of streams of a carrier and method, and their places are free again", async () => {
  await using small = await startExchange({ maxFeedStreams: 2 });
  await addCarrier(small.services.db, "acme");
  await addCarrier(small.services.db, "other");
  const open = async (carrierId: string) => {
    const stop = new AbortController();
    const cdrs = createClient(CdrService, small.connect(await small.carrierToken(carrierId)));
    const frames = cdrs.streamCdrs({ start: { position: { case: "latest", value: {} } } }, { signal: stop.signal });
    return { stop, first: reasonOf(frames[Symbol.asyncIterator]().next()) };
  };
  const [one, two] = [await open("acme"), await open("acme")];
  expect(await Promise.all([one.first, two.first])).toEqual(["OK", "OK"]);
  expect(await (await open("acme")).first).toBe("TOO_MANY_STREAMS");
  const other = await open("other");
  expect(await other.first).toBe("OK");
  one.stop.abort();
  await expect.poll(async () => (await open("acme")).first).toBe("OK");
});

test("a stream ends before its credential does, and says so", async () => {
  const transport = app.connect(await app.carrierToken("acme", { ttlSeconds: 2 }));
  const frames = createClient(CdrService, transport).streamCdrs({ start: { position: { case: "latest", value: {} } } });
  expect(await reasonOf(frames)).toBe("CREDENTIAL_EXPIRED");
});

test("another issuer's subject acts as a carrier once it is registered, and no longer once it is not; its claim alone does not help", async () => {
  await using issuer = await createIssuer();
  const ops = identityText({ kind: "jwt", issuer: issuer.name, subject: "ops" });
  const platformIdentities = `${ops}=cdrs.read`;
  await using outside = await startExchange({ ...issuer.settings, platformIdentities, accessCacheMs: 20 });
  const identity = { kind: "jwt", issuer: issuer.name, subject: "switch" } as const;
  await addCarrier(outside.services.db, "acme", { credentials: [{ identity }] });
  await addCarrier(outside.services.db, "other");
  const call = async (claims: Record<string, unknown>) => {
    const durations = createClient(DurationService, outside.connect(await issuer.sign(claims)));
    return await reasonOf(durations.listUploads({}));
  };
  expect(await call({ sub: "switch" })).toBe("OK");
  expect(await call({ sub: "switch", tandem_carrier: "acme" })).toBe("OK");
  expect(await call({ sub: "switch", tandem_carrier: "other" })).toBe("UNAUTHENTICATED");
  expect(await call({ sub: "stranger", tandem_carrier: "acme" })).toBe("UNAUTHENTICATED");
  expect(await call({ sub: "switch", scope: "cdrs.read" })).toBe("OK");
  const platform = createClient(
    PlatformCdrService,
    outside.connect(await issuer.sign({ sub: "ops", scope: "openid cdrs.read" })),
  );
  expect(await reasonOf(platform.listCdrs({ carrierId: "nobody" }))).toBe("CARRIER_NOT_FOUND");

  const cdrs = createClient(CdrService, outside.connect(await issuer.sign({ sub: "switch" })));
  const frames = cdrs.streamCdrs({ start: { position: { case: "latest", value: {} } } })[Symbol.asyncIterator]();
  await frames.next();
  await systemTransaction(outside.services.db, (tx) => run(tx)`DELETE FROM carrier_credential`);
  expect(await reasonOf(drainFrames(frames))).toBe("CREDENTIAL_EXPIRED");
  await expect.poll(() => call({ sub: "switch" })).toBe("UNAUTHENTICATED");
});

async function setSuspended(carrierId: string, suspended: boolean): Promise<void> {
  await systemTransaction(
    app.services.db,
    (tx) => run(tx)`UPDATE carrier SET suspended = ${suspended} WHERE carrier_id = ${carrierId}`,
  );
}

async function drainFrames(frames: AsyncIterator<unknown>): Promise<void> {
  while (!(await frames.next()).done);
}

async function* nothing(): AsyncGenerator<never> {}

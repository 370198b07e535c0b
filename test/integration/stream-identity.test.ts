import type { DescMethod } from "@bufbuild/protobuf";
import { createClient, createContextValues, createHandlerContext, type HandlerContext } from "@connectrpc/connect";
import { createLocalJWKSet } from "jose";
import { sql } from "kysely";
import pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { CarrierPrincipal, Principal } from "../../src/domain/carriers/principal.ts";
import type { StreamEnd } from "../../src/domain/stream-life.ts";
import { microsFromMs } from "../../src/domain/time/instant.ts";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { CdrService as PlatformCdrService } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { type AuthOptions, authorize } from "../../src/rpc/shared/access/auth.ts";
import { clientCertificateKey, judgeAgain, principalOf, watchCredential } from "../../src/rpc/shared/access/caller.ts";
import { CarrierAccess } from "../../src/rpc/shared/access/carrier-access.ts";
import { systemTransaction } from "../../src/store/database/database.ts";
import { createTokenVerifier } from "../../src/trust/tokens.ts";
import { Trust } from "../../src/trust/trust.ts";
import { VerifiedTokens } from "../../src/trust/verified-tokens.ts";
import { addCarrier } from "../support/carriers.ts";
import { createMigratedDatabase } from "../support/database.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { LATEST } from "../support/feed.ts";
import { holdCall } from "../support/held-call.ts";
import { reasonOf } from "../support/refusal.ts";

let database: Awaited<ReturnType<typeof createMigratedDatabase>>;
let app: Exchange;
beforeAll(async () => {
  database = await createMigratedDatabase();
  app = await startExchange({ databaseUrl: database.url, accessCacheMs: 50, reconcileIntervalMs: 0 });
  await addCarrier(app.services.db, "other");
});
afterAll(async () => {
  await app?.[Symbol.asyncDispose]();
  await database?.[Symbol.asyncDispose]();
});

test.each(["empty", "being read", "stale"])(
  "every watch hears of a removed identity when what was remembered of it was %s at its begin",
  async (state) => {
    await using access = openAccess();
    const principal = await addOwner();
    const reading = await prepare(access, principal, state);
    const ends: StreamEnd[] = [];
    using _first = watchEnds(access, principal, ends);
    using _second = watchEnds(access, principal, ends);
    await reading();
    await removeIdentity(principal);
    await expect.poll(() => ends).toEqual(["CREDENTIAL_EXPIRING", "CREDENTIAL_EXPIRING"]);
  },
);

test("a watch looks at the store at once, whatever is remembered", async () => {
  // So rarely that only the look at the begin can have found it.
  await using access = openAccess(600_000);
  const principal = await addOwner();
  expect(await access.findOwners([principal.identity])).toHaveLength(1);
  await removeIdentity(principal);
  const ends: StreamEnd[] = [];
  using _watch = watchEnds(access, principal, ends);
  await expect.poll(() => ends).toEqual(["CREDENTIAL_EXPIRING"]);
});

test("a watch ends when the identity is another carrier's, has expired, or another name that was shown is no longer its carrier's", async () => {
  await using access = openAccess();
  const [moved, expired, second, kept] = await Promise.all([addOwner(), addOwner(), addOwner(), addOwner()]);
  const ended: string[] = [];
  using watches = new DisposableStack();
  for (const [name, principal] of Object.entries({ moved, expired, kept }))
    watches.use(access.watch(principal, () => ended.push(name), [principal.identity]));
  const shown = [second.identity, "spiffe://carrier.example/second"];
  watches.use(access.watch(second, () => ended.push("second"), shown));
  await run(sql`UPDATE carrier_credential SET carrier_id = 'other' WHERE identity = ${moved.identity}`);
  await run(sql`UPDATE carrier_credential SET expire_time = now() WHERE identity = ${expired.identity}`);
  await register(shown[1] ?? "", "other");
  await expect.poll(() => ended.toSorted()).toEqual(["expired", "moved", "second"]);
});

test("a token of the own key that claims its carrier goes on unregistered, until its identity is another's, or is registered and removed", async () => {
  await using access = openAccess();
  const [first, second, registered] = await Promise.all([addOwner(false), addOwner(false), addOwner()]);
  const ended: string[] = [];
  using watches = new DisposableStack();
  for (const [name, principal] of Object.entries({ first, second }))
    watches.use(access.watch(principal, () => ended.push(name), [principal.identity]));
  watches.use(access.watch(registered, () => ended.push("registered"), [registered.identity]));
  await removeIdentity(registered);
  await expect.poll(() => ended).toEqual(["registered"]);
  // In this order: a look that finds the one of the first finds the other's as well.
  await register(second.identity, second.carrierId);
  await register(first.identity, "other");
  await expect.poll(() => ended).toEqual(["registered", "first"]);
  await removeIdentity(second);
  await expect.poll(() => ended).toEqual(["registered", "first", "second"]);
});

test("a live feed and a live upload end within 5 s of the removal, though all was forgotten while they were let in", async () => {
  const principal = await addOwner();
  const token = await app.carrierToken(principal.carrierId);
  const feedCall = { method: CdrService.method.streamCdrs, request: { start: LATEST } };
  const open = { frame: { case: "open", value: { uploadId: "held" } } };
  const uploadCall = { method: DurationService.method.uploadDurations, request: open };
  const calls = [
    await holdCall(app.url, token, { ...feedCall, wire: "gRPC" }),
    await holdCall(app.url, token, { ...feedCall, wire: "Connect over HTTP/1.1" }),
    await holdCall(app.url, token, { ...uploadCall, wire: "gRPC" }),
  ];
  await expect.poll(() => app.callCount).toBe(calls.length);
  expect(await reasonOf(createClient(DurationService, app.connect(token)).listUploads({}))).toBe("OK");
  app.services.access.forget();
  const [feed, other, upload] = calls;
  const ended = [feed?.release(), other?.release(), upload?.releaseFirst()];
  // The feeds have their places when their messages have come; the upload has had its own since its
  // headers.
  await expect.poll(() => app.services.slots.count).toBe(calls.length);
  await removeIdentity(principal);
  expect(await Promise.all(ended)).toEqual(ended.map(() => "CREDENTIAL_EXPIRED"));
});

test("an upload that has not sent its Open ends with its identity as well", async () => {
  const principal = await addOwner();
  const stop = new AbortController();
  const durations = createClient(DurationService, app.connect(await app.carrierToken(principal.carrierId)));
  const frames = durations.uploadDurations(silence(stop.signal), { signal: stop.signal });
  const reason = reasonOf(frames);
  await expect.poll(() => app.services.slots.count).toBe(1);
  await removeIdentity(principal);
  expect(await reason).toBe("CREDENTIAL_EXPIRED");
  stop.abort();
});

test("a stream of the platform ends when its subject becomes a carrier's", async () => {
  const stop = new AbortController();
  const transport = app.connect(await app.platformToken());
  const frames = createClient(PlatformCdrService, transport).ingestCdrs(ingest(stop.signal), { signal: stop.signal });
  const iterator = frames[Symbol.asyncIterator]();
  expect((await iterator.next()).value?.frame.case).toBe("opened");
  const identity = subjectText("platform");
  await register(identity, "other");
  const ended = reasonOf({ [Symbol.asyncIterator]: () => iterator });
  expect(await ended).toBe("CREDENTIAL_EXPIRED");
  stop.abort();
  await run(sql`DELETE FROM carrier_credential WHERE identity = ${identity}`);
});

test("a stream that is judged again after a change of keys ends when its credential shows another principal than before", async () => {
  await using access = openAccess();
  const principal = await addOwner();
  const trust = new Trust();
  const context = await contextOf(CdrService.method.streamCdrs, principal.carrierId);
  await authorize(context, authOptions(access, trust));
  const ends: string[] = [];
  using _watch = watchCredential(context, () => ends.push("ended"));
  await removeIdentity(principal);
  access.forget();
  trust.changed();
  await expect.poll(() => ends).toEqual(["ended"]);
});

test("a call that is judged again has the principal of now", async () => {
  await using access = openAccess();
  const principal = await addOwner();
  const context = await contextOf(DurationService.method.listUploads, principal.carrierId);
  await authorize(context, authOptions(access, new Trust()));
  const before = principalOf(context);
  await run(
    sql`UPDATE carrier_credential SET expire_time = now() + interval '5 s' WHERE identity = ${principal.identity}`,
  );
  access.forget();
  await judgeAgain(context);
  expect(principalOf(context)).toMatchObject(principal);
  expect(principalOf(context).expiresAt).toBeLessThan(before.expiresAt ?? 0n);
});

test("a token's call ends no later than the certificate that came with it, also one whose names are nobody's", async () => {
  await using access = openAccess();
  const { carrierId } = await addOwner();
  const context = await contextOf(CdrService.method.streamCdrs, carrierId);
  const expiresAt = microsFromMs(Date.now() + 60_000);
  const names = { identities: ["dns:nobody.example"], sha256: Buffer.alloc(32) };
  context.values.set(clientCertificateKey, { ...names, isTrusted: true, expiresAt });
  await authorize(context, authOptions(access, new Trust()));
  expect(principalOf(context).expiresAt).toBe(expiresAt);
});

/**
 * The keys of another issuer, as far as the server knows: only what is registered makes a carrier.
 */
function authOptions(access: CarrierAccess, trust: Trust): AuthOptions {
  const { issuer } = app.services.config.tokens;
  const findKey = createLocalJWKSet(app.signingKey?.keySet ?? { keys: [] });
  return {
    tokens: new VerifiedTokens(createTokenVerifier({ findKey, issuer, audience: "tandem" }), trust),
    failures: undefined,
    denials: undefined,
    signsTokens: false,
    platformIdentities: new Map(),
    access,
    trust,
  };
}

/** A call with a token that says nothing but its subject. */
async function contextOf(method: DescMethod, identity: string): Promise<HandlerContext> {
  const { issuer } = app.services.config.tokens;
  const token = await app.signingKey?.issueToken({ issuer, audience: "tandem", identity, ttlSeconds: 600 });
  return createHandlerContext({
    method,
    service: method.parent,
    protocolName: "grpc",
    requestMethod: "POST",
    url: app.url,
    requestHeader: { authorization: `Bearer ${token}` },
    contextValues: createContextValues(),
  });
}

function openAccess(cacheMs = 50): CarrierAccess {
  return new CarrierAccess({ db: app.services.db, region: undefined, cacheMs });
}

function watchEnds(access: CarrierAccess, principal: Principal, ends: StreamEnd[]): Disposable {
  return access.watch(principal as CarrierPrincipal, (why) => ends.push(why), [principal.identity]);
}

/**
 * Brings what is remembered of the identity into a state; what is returned lets a reading go on
 * that was begun.
 */
async function prepare(access: CarrierAccess, { identity }: Principal, state: string): Promise<() => Promise<void>> {
  if (state === "empty") return async () => {};
  if (state === "stale") {
    expect(await access.findOwners([identity])).toHaveLength(1);
    return async () => {};
  }
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query("BEGIN; LOCK TABLE carrier_credential IN ACCESS EXCLUSIVE MODE");
  const owners = access.findOwners([identity]);
  return async () => {
    await client.query("COMMIT");
    await client.end();
    expect(await owners).toHaveLength(1);
  };
}

let added = 0;

/**
 * A carrier that a subject of its own name may act as: because it is registered, or by the claim of
 * its token only.
 */
async function addOwner(isRegistered = true): Promise<CarrierPrincipal> {
  const carrierId = `stream-${added++}`;
  const identity = { kind: "jwt", issuer: app.services.config.tokens.issuer, subject: carrierId } as const;
  await addCarrier(app.services.db, carrierId, { credentials: isRegistered ? [{ identity }] : [] });
  const standing = isRegistered ? "registered" : "claimed";
  return { kind: "carrier", carrierId, identity: subjectText(carrierId), standing };
}

function subjectText(subject: string): string {
  return `jwt:${encodeURIComponent(app.services.config.tokens.issuer)}:${subject}`;
}

function register(identity: string, carrierId: string): Promise<void> {
  return run(sql`INSERT INTO carrier_credential VALUES (${identity}, ${carrierId}, '9999-12-31T23:59:59Z')`);
}

function removeIdentity({ identity }: Principal): Promise<void> {
  return run(sql`DELETE FROM carrier_credential WHERE identity = ${identity}`);
}

async function run(statement: ReturnType<typeof sql>): Promise<void> {
  await systemTransaction(app.services.db, (tx) => statement.execute(tx));
}

// biome-ignore lint/correctness/useYield: a stream of requests that sends none.
async function* silence(signal: AbortSignal): AsyncGenerator<never> {
  await untilAborted(signal);
}

async function* ingest(signal: AbortSignal) {
  yield { frame: { case: "open", value: { carrierId: "other", open: { uploadId: "watched" } } } } as const;
  await untilAborted(signal);
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}

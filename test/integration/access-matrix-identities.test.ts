import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Credential } from "../../src/domain/carrier.ts";
import { type CredentialIdentity, identityText } from "../../src/domain/principal.ts";
import { PLATFORM_SCOPES } from "../../src/domain/scopes.ts";
import { AgreementService } from "../../src/gen/tandem/carrier/v1/agreement_service_pb.js";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { NumberService } from "../../src/gen/tandem/carrier/v1/number_service_pb.js";
import { ReconciliationService } from "../../src/gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
import { writeCredentials } from "../../src/store/carriers.ts";
import { systemTransaction } from "../../src/store/database.ts";
import {
  asCarrier,
  asPlatform,
  DENIALS,
  declared,
  everywhere,
  expected,
  judgeAll,
  METHODS,
  nameOf,
  nobody,
  type Verdict,
} from "../support/access-matrix.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { addCarrier } from "../support/carriers.ts";
import { type CertificateFiles, createAuthority, type TestAuthority } from "../support/certificates.ts";
import { holdCalls } from "../support/held-calls.ts";
import { createIssuer, type TestIssuer } from "../support/issuer.ts";
import { reasonOf } from "../support/refusal.ts";

// Method x principal x state of the identity, where tokens are of the own key, where they are of another
// issuer, and with client certificates.

/** Whether a call is judged again when its one message is there. */
const JUDGES_HELD_BODIES: boolean = false;

/** How callers show who they are. */
type Mode = "own key" | "JWKS" | "certificate";
const MODES: readonly Mode[] = ["own key", "JWKS", "certificate"];

/** What has become of an identity. */
type State = "never known" | "active" | "suspended" | "removed" | "expired" | "moved";
const STATES: readonly State[] = ["never known", "active", "suspended", "removed", "expired", "moved"];

const OPS = { kind: "spiffe", uri: "spiffe://platform.example/ops" } as const;
const TAINTED = { kind: "spiffe", uri: "spiffe://platform.example/tainted" } as const;
const ALL_SCOPES = PLATFORM_SCOPES.join(" ");

let folder: string;
let servers: TestAuthority;
let clients: TestAuthority;
let issuer: TestIssuer;
/** Tokens of the own key, and client certificates. */
let own: TestApp;
/** Tokens of another issuer. */
let outside: TestApp;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-identities-"));
  [servers, clients, issuer] = await Promise.all([
    createAuthority("servers"),
    createAuthority("clients"),
    createIssuer(),
  ]);
  const { cert, key } = await servers.issue([{ type: "ip", value: "127.0.0.1" }]);
  const file = async (name: string, text: string) => {
    await writeFile(join(folder, name), text);
    return join(folder, name);
  };
  const common = { accessCacheMs: 20, reconcileIntervalMs: 0, retentionIntervalMs: 0, maxFeedStreams: 50 };
  const named = [jwt("JWKS", "ops"), jwt("JWKS", "tainted")].map(identityText);
  [own, outside] = await Promise.all([
    startTestApp({
      ...common,
      tlsCert: await file("server.pem", cert),
      tlsKey: await file("server.key", key),
      tlsClientCa: await file("clients.pem", clients.cert),
      platformIdentities: [OPS, TAINTED].map((identity) => `${identityText(identity)}=${ALL_SCOPES}`).join(";"),
    }),
    startTestApp({
      ...common,
      ...issuer.settings,
      jwtPlatformAudience: "tandem-platform",
      platformIdentities: named.map((identity) => `${identity}=${ALL_SCOPES}`).join(";"),
    }),
  ]);
  for (const mode of MODES) for (const state of STATES) await makeIdentity(mode, state);
  // Named by the settings, and then by a process with other settings given to a carrier and taken back.
  await takeBack("own key", TAINTED);
  await takeBack("JWKS", jwt("JWKS", "tainted"));
});
afterAll(async () => {
  await Promise.all([own?.[Symbol.asyncDispose](), outside?.[Symbol.asyncDispose]()]);
  await issuer?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

/** A caller: what it shows, and what it is told. */
interface Caller {
  readonly who: string;
  readonly mode: Mode;
  readonly show: () => Promise<Shown>;
  readonly verdict: Verdict;
}

/** What a caller shows: a token, or a certificate. */
interface Shown {
  readonly token?: string;
  readonly files?: CertificateFiles;
}

const OF_CARRIER: Record<State, Verdict> = {
  "never known": nobody,
  active: asCarrier("allowed"),
  suspended: asCarrier("CARRIER_SUSPENDED"),
  removed: nobody,
  expired: nobody,
  moved: asCarrier("allowed"),
};
const PLATFORM = asPlatform(...PLATFORM_SCOPES);

const CARRIERS: readonly Caller[] = MODES.flatMap((mode) =>
  STATES.map((state) => ({
    who: `an identity that is ${state}`,
    mode,
    show: () => showIdentity(mode, state),
    // Whoever has the own key says who is the platform.
    verdict: mode === "own key" && state === "never known" ? PLATFORM : OF_CARRIER[state],
  })),
);

function verdictOfClaim(mode: Mode, state: State): Verdict {
  if (state === "moved") return nobody;
  return mode === "own key" && state === "never known" ? asCarrier("allowed") : OF_CARRIER[state];
}

// The claim of a token of the own key makes a carrier of a subject that never was one, and of no other.
const CLAIMS: readonly Caller[] = (["own key", "JWKS"] as const).flatMap((mode) =>
  STATES.map((state) => ({
    who: `an identity that is ${state}, with the claim of the carrier that has or had it`,
    mode,
    show: () => showIdentity(mode, state, { tandem_carrier: carrierIdOf(mode, state) }),
    verdict: verdictOfClaim(mode, state),
  })),
);

const platformToken = (claims: Record<string, unknown>) => async () => ({
  token: await issuer.sign({ scope: ALL_SCOPES, ...claims }),
});
const platformCertificate =
  (...identities: readonly CredentialIdentity[]) =>
  async () => ({
    files: await clients.issue(identities.map(nameIn)),
  });
const PLATFORMS: readonly Caller[] = [
  { who: "a subject that the settings name", mode: "JWKS", show: platformToken({ sub: "ops" }), verdict: PLATFORM },
  {
    who: "a subject that the settings name, with a token for fewer scopes",
    mode: "JWKS",
    show: platformToken({ sub: "ops", scope: "openid cdrs.read" }),
    verdict: asPlatform("cdrs.read"),
  },
  {
    who: "a subject that the settings name, with a token that says no scopes",
    mode: "JWKS",
    show: platformToken({ sub: "ops", scope: undefined }),
    verdict: PLATFORM,
  },
  {
    who: "a subject that the settings name, with the claim of a carrier",
    mode: "JWKS",
    show: platformToken({ sub: "ops", tandem_carrier: carrierIdOf("JWKS", "active") }),
    verdict: nobody,
  },
  {
    who: "a subject that the settings name, and that was a carrier's",
    mode: "JWKS",
    show: platformToken({ sub: "tainted" }),
    verdict: nobody,
  },
  {
    who: "a subject that the settings name, with an expired token",
    mode: "JWKS",
    show: platformToken({ sub: "ops", exp: Math.floor(Date.now() / 1000) - 60 }),
    verdict: everywhere("CREDENTIAL_EXPIRED"),
  },
  {
    who: "an unknown subject for the platform's audience",
    mode: "JWKS",
    show: platformToken({ sub: "somebody", aud: "tandem-platform" }),
    verdict: PLATFORM,
  },
  ...STATES.filter((state) => state !== "never known").map((state) => ({
    who: `an identity that is ${state}, for the platform's audience`,
    mode: "JWKS" as const,
    show: platformToken({ sub: subjectOf(state), aud: "tandem-platform" }),
    verdict: nobody,
  })),
  { who: "a name that the settings name", mode: "certificate", show: platformCertificate(OPS), verdict: PLATFORM },
  {
    who: "a name that the settings name, and that was a carrier's",
    mode: "certificate",
    show: platformCertificate(TAINTED),
    verdict: nobody,
  },
  {
    who: "a name that the settings name, beside one that was a carrier's",
    mode: "certificate",
    show: platformCertificate(OPS, identityOf("certificate", "removed")),
    verdict: nobody,
  },
];

test.each([...CARRIERS, ...CLAIMS, ...PLATFORMS])(
  "Confidentiality: by $mode, $who reaches what the contract declares",
  async ({ mode, show, verdict }) => {
    expect(await judgeAll(connect(mode, await show()))).toEqual(expected(verdict));
  },
);

test.each(MODES)("Confidentiality: by %s, a moved identity acts for its new carrier", async (mode) => {
  const agreements = createClient(AgreementService, connect(mode, await showIdentity(mode, "moved")));
  expect((await agreements.getAgreement({})).agreement?.carrierId).toBe(`${carrierIdOf(mode, "moved")}-new`);
});

/** What can happen to an identity while a call of it lives. */
type Change = Exclude<State, "never known" | "active">;
const CHANGES: readonly Change[] = ["suspended", "removed", "expired", "moved"];
const CASES = MODES.flatMap((mode) => CHANGES.map((change) => ({ mode, change })));

describe("a live stream", () => {
  test.each(CASES)(
    "Confidentiality: by $mode, every one ends when its identity is $change",
    async ({ mode, change }) => {
      const name = `${change}-stream`;
      const transport = await makeActive(mode, name);
      const streams = openStreams(transport);
      await Promise.all(streams.map(({ opened }) => opened));
      await apply(mode, name, change);
      const reason = change === "suspended" ? "CARRIER_SUSPENDED" : "CREDENTIAL_EXPIRED";
      expect(await Promise.all(streams.map(({ ended }) => ended))).toEqual(streams.map(() => reason));
    },
  );
});

describe("a call whose body is held back (skipped until calls are judged again when their message is there)", () => {
  const oneMessage = METHODS.filter(({ methodKind }) => methodKind === "unary" || methodKind === "server_streaming");
  const heldByCarriers = oneMessage.filter((method) => declared(method) === "carrier");
  const heldByPlatform = oneMessage.filter((method) => !["carrier", "anyone"].includes(declared(method)));

  test.skipIf(!JUDGES_HELD_BODIES).each(CASES)(
    "Confidentiality: by $mode, every method is refused when its identity is $change meanwhile",
    async ({ mode, change }) => {
      const name = `${change}-held`;
      await makeActive(mode, name);
      const { token, files } = await showName(mode, name);
      const tls = { ca: servers.cert, ...files };
      const probe = AgreementService.method.getAgreement;
      await using held = await holdCalls(appOf(mode).url, heldByCarriers, probe, { token, tls });
      await apply(mode, name, change);
      const reasons = await held.release();
      // The agreement says why the carrier is suspended.
      if (change === "suspended") delete reasons[nameOf(probe)];
      expect(Object.entries(reasons).filter(([, reason]) => !DENIALS.has(reason))).toEqual([]);
    },
  );

  test.skipIf(!JUDGES_HELD_BODIES)(
    "Confidentiality: every method of the platform is refused when its subject becomes a carrier's meanwhile",
    async () => {
      const token = await issuer.sign({ sub: "turncoat", aud: "tandem-platform", scope: ALL_SCOPES });
      const probe = CarrierService.method.listCarriers;
      await using held = await holdCalls(outside.url, heldByPlatform, probe, { token });
      await takeBack("JWKS", jwt("JWKS", "turncoat"));
      outside.services.access.forget();
      const reasons = await held.release();
      expect(Object.entries(reasons).filter(([, reason]) => !DENIALS.has(reason))).toEqual([]);
    },
  );
});

function appOf(mode: Mode): TestApp {
  return mode === "JWKS" ? outside : own;
}

function connect(mode: Mode, { token, files }: Shown): Transport {
  const bearer: Interceptor = (next) => (request) => {
    if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  const nodeOptions = { ca: servers.cert, ...files };
  const options = { baseUrl: appOf(mode).url, interceptors: [bearer], idleConnectionTimeoutMs: 1_000 };
  return createGrpcTransport(mode === "JWKS" ? options : { ...options, nodeOptions });
}

function subjectOf(name: string): string {
  return `switch of ${name}`;
}

function jwt(mode: Mode, subject: string): CredentialIdentity {
  return { kind: "jwt", issuer: mode === "JWKS" ? issuer.name : "tandem", subject };
}

function identityOf(mode: Mode, name: string): CredentialIdentity {
  if (mode !== "certificate") return jwt(mode, subjectOf(name));
  return { kind: "dns", name: `${name.replaceAll(" ", "-")}.example` };
}

function nameIn(identity: CredentialIdentity): { type: "dns" | "url"; value: string } {
  return identity.kind === "spiffe"
    ? { type: "url", value: identity.uri }
    : { type: "dns", value: identity.kind === "dns" ? identity.name : "" };
}

function carrierIdOf(mode: Mode, name: string): string {
  return `${mode.toLowerCase().replaceAll(" ", "-")}-${name.replaceAll(" ", "-")}`;
}

const showIdentity = (mode: Mode, state: State, claims: Record<string, unknown> = {}) => showName(mode, state, claims);

/** What an identity shows; its token has every scope, as far as the kind of token can. */
async function showName(mode: Mode, name: string, claims: Record<string, unknown> = {}): Promise<Shown> {
  if (mode === "certificate") return { files: await clients.issue([nameIn(identityOf(mode, name))]) };
  if (mode === "JWKS") return { token: await issuer.sign({ sub: subjectOf(name), scope: ALL_SCOPES, ...claims }) };
  const carrierId = claims["tandem_carrier"] as string | undefined;
  if (!own.signingKey) throw new Error("the app has no key");
  const who = carrierId === undefined ? { scopes: PLATFORM_SCOPES } : { carrierId };
  const common = { issuer: "tandem", audience: "tandem", identity: subjectOf(name), ttlSeconds: 600 };
  return { token: await own.signingKey.issueToken({ ...common, ...who }) };
}

/** A carrier with one identity, in a state. */
async function makeIdentity(mode: Mode, state: State): Promise<void> {
  const credentials = state === "never known" ? [] : [{ identity: identityOf(mode, state) }];
  await addCarrier(appOf(mode).services.db, carrierIdOf(mode, state), { credentials });
  if (state !== "never known" && state !== "active") await apply(mode, state, state);
}

/** A carrier with one identity that calls are let in with. */
async function makeActive(mode: Mode, name: string): Promise<Transport> {
  const credentials = [{ identity: identityOf(mode, name) }];
  await addCarrier(appOf(mode).services.db, carrierIdOf(mode, name), { credentials });
  return connect(mode, await showName(mode, name));
}

/** Changes what is known of an identity, as another process would. */
async function apply(mode: Mode, name: string, change: Change): Promise<void> {
  const { services } = appOf(mode);
  const { db } = services;
  const carrierId = carrierIdOf(mode, name);
  const identity = identityOf(mode, name);
  const write = async (of: string, credentials: readonly Credential[]) => {
    const carrier = await services.carriers.get(of);
    if (!carrier) throw new Error(`no carrier ${of}`);
    await systemTransaction(db, (tx) => writeCredentials(tx, { ...carrier, credentials }));
  };
  if (change === "suspended") {
    await systemTransaction(db, async (tx) => {
      await tx.updateTable("carrier").set({ suspended: true }).where("carrier_id", "=", carrierId).execute();
    });
  } else if (change === "expired") await write(carrierId, [{ identity, expireTime: 1n }]);
  else await write(carrierId, []);
  if (change === "moved") await addCarrier(db, `${carrierId}-new`, { credentials: [{ identity }] });
  services.access.forget();
}

/** Gives an identity to a carrier and takes it back. */
async function takeBack(mode: Mode, identity: CredentialIdentity): Promise<void> {
  const { db } = appOf(mode).services;
  const text = identityText(identity).replaceAll(/[^a-z]+/g, "-");
  const carrier = await addCarrier(db, text.slice(-20).replace(/^[^a-z]+/, ""), { credentials: [{ identity }] });
  await systemTransaction(db, (tx) => writeCredentials(tx, { ...carrier, credentials: [] }));
}

/** One stream of each method that carriers have streams of. */
function openStreams(transport: Transport): { opened: Promise<void>; ended: Promise<string> }[] {
  const start = { position: { case: "latest", value: {} } } as const;
  const stop = new AbortController();
  const frames = [
    createClient(CdrService, transport).streamCdrs({ start }, { signal: stop.signal }),
    createClient(NumberService, transport).watchNumbers({ start }, { signal: stop.signal }),
    createClient(ReconciliationService, transport).watchDiscrepancies({ start }, { signal: stop.signal }),
    createClient(DurationService, transport).uploadDurations(uploadFrames(), { signal: stop.signal }),
  ];
  return frames.map((stream: AsyncIterable<unknown>) => {
    const opened = Promise.withResolvers<void>();
    const ended = reasonOf(readAll(stream, opened.resolve));
    void ended.then(() => opened.resolve());
    return { opened: opened.promise, ended };
  });
}

async function readAll(stream: AsyncIterable<unknown>, onFirst: () => void): Promise<void> {
  for await (const _ of stream) onFirst();
}

async function* uploadFrames() {
  yield { frame: { case: "open", value: { uploadId: "held" } } } as const;
  // The client stays; the server ends it.
  await new Promise(() => {});
}

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Interceptor, Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PLATFORM_SCOPES, type PlatformScope } from "../../src/domain/carriers/scopes.ts";
import { isAdministrativeAct } from "../../src/rpc/shared/audit/administrative-acts.ts";
import { openSigningKey } from "../../src/trust/signing-key.ts";
import {
  asCarrier,
  asPlatform,
  everywhere,
  expected,
  judgeAll,
  METHODS,
  nameOf,
  nobody,
  type Verdict,
} from "../support/access-matrix.ts";
import { addCarrier } from "../support/carriers.ts";
import { type CertificateFiles, createAuthority, type TestAuthority } from "../support/certificates.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";

// Every method of the contract by every kind of principal; access-matrix-identities has the states
// that an identity can be in.

let app: Exchange;
let folder: string;
let server: TestAuthority;
let clients: TestAuthority;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-matrix-"));
  [server, clients] = await Promise.all([createAuthority("servers"), createAuthority("clients")]);
  const { cert, key } = await server.issue([{ type: "ip", value: "127.0.0.1" }]);
  const file = async (name: string, text: string) => {
    await writeFile(join(folder, name), text);
    return join(folder, name);
  };
  app = await startExchange({
    tlsCert: await file("server.pem", cert),
    tlsKey: await file("server.key", key),
    tlsClientCa: await file("clients.pem", clients.cert),
    platformIdentities: `${OPS}=carriers.read`,
    region: "eu",
    reconcileIntervalMs: 0,
    maxAuthFailuresPerSecond: 0,
  });
  const { db } = app.services;
  const identity = { kind: "dns", name: "acme.example" } as const;
  await addCarrier(db, "acme", { credentials: [{ identity }] });
  await addCarrier(db, "other");
  await addCarrier(db, "sleeper", { suspended: true });
  await addCarrier(db, "faraway", { region: "us" });
});
afterAll(async () => {
  await app?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const OPS = "spiffe://platform.example/ops";

test("every method that changes what is administered is an act of the audit log, and no other is", () => {
  // Records and readers' positions are what is exchanged, and not how.
  expect(METHODS.length).toBeGreaterThan(50);
  const exchange = ["UploadDurations", "AppendDurations", "IngestCdrs", "CommitCdrCursor"];
  for (const method of METHODS) {
    const isRead = /^(Get|List|Watch|Stream|Query|Export|Explain|Verify|Resolve|Summarize|Check|ServerReflectionInfo)/;
    // All that is known of a person is handed out by an act too.
    const isExport = method.name === "ExportPhoneNumber";
    const isAct = isExport || (!isRead.test(method.name) && !exchange.includes(method.name));
    expect(isAdministrativeAct(method), nameOf(method)).toBe(isAct);
  }
});

/** A kind of caller: how it shows itself, and what it is told of a method that is declared so. */
interface Caller {
  readonly who: string;
  readonly credentials: () => Promise<{ token?: string; files?: CertificateFiles }>;
  readonly verdict: Verdict;
}

const certificate =
  (type: "dns" | "url", value: string, authority: () => TestAuthority = () => clients) =>
  async () => ({
    files: await authority().issue([{ type, value }]),
  });
const carrierToken = (carrierId: string) => async () => ({ token: await app.carrierToken(carrierId) });
const platformToken = (scopes: readonly PlatformScope[]) => async () => ({ token: await app.platformToken(scopes) });

const CALLERS: readonly Caller[] = [
  { who: "nobody", credentials: async () => ({}), verdict: nobody },
  { who: "a token that is none", credentials: async () => ({ token: "nonsense" }), verdict: nobody },
  { who: "a token of another's key", credentials: async () => ({ token: await forgedToken() }), verdict: nobody },
  { who: "a token that was changed", credentials: async () => ({ token: await changedToken() }), verdict: nobody },
  {
    who: "a token for another audience",
    credentials: async () => ({ token: await ownToken({ audience: "elsewhere" }) }),
    verdict: nobody,
  },
  {
    who: "an expired token of the platform",
    credentials: async () => ({ token: await ownToken({ ttlSeconds: -300 }) }),
    verdict: everywhere("CREDENTIAL_EXPIRED"),
  },
  { who: "a carrier", credentials: carrierToken("acme"), verdict: asCarrier("allowed") },
  { who: "another carrier", credentials: carrierToken("other"), verdict: asCarrier("allowed") },
  { who: "a suspended carrier", credentials: carrierToken("sleeper"), verdict: asCarrier("CARRIER_SUSPENDED") },
  { who: "a carrier of another region", credentials: carrierToken("faraway"), verdict: asCarrier("REGION_MISMATCH") },
  { who: "a carrier that does not exist", credentials: carrierToken("ghost"), verdict: asCarrier("UNAUTHENTICATED") },
  { who: "the platform without a scope", credentials: platformToken([]), verdict: asPlatform() },
  {
    who: "the platform with every scope",
    credentials: platformToken(PLATFORM_SCOPES),
    verdict: asPlatform(...PLATFORM_SCOPES),
  },
  ...PLATFORM_SCOPES.map((scope) => ({
    who: `the platform with ${scope} alone`,
    credentials: platformToken([scope]),
    verdict: asPlatform(scope),
  })),
  { who: "a carrier's certificate", credentials: certificate("dns", "acme.example"), verdict: asCarrier("allowed") },
  { who: "a certificate of the platform", credentials: certificate("url", OPS), verdict: asPlatform("carriers.read") },
  { who: "a certificate that is nobody's", credentials: certificate("dns", "stranger.example"), verdict: nobody },
  {
    who: "a certificate of another authority",
    credentials: certificate("dns", "acme.example", () => server),
    verdict: nobody,
  },
  {
    who: "a carrier's certificate with another carrier's token",
    credentials: async () => ({ ...(await carrierToken("other")()), ...(await certificate("dns", "acme.example")()) }),
    verdict: nobody,
  },
  {
    who: "a carrier's certificate with the platform's token",
    credentials: async () => ({
      ...(await platformToken(PLATFORM_SCOPES)()),
      ...(await certificate("dns", "acme.example")()),
    }),
    verdict: nobody,
  },
];

test.each(CALLERS)(
  "Confidentiality: $who reaches what the contract declares, and is told why not",
  async ({ credentials, verdict }) => {
    const transport = connect(await credentials());
    expect(await judgeAll(transport)).toEqual(expected(verdict));
  },
);

function connect({ token, files }: { token?: string; files?: CertificateFiles }): Transport {
  const bearer: Interceptor = (next) => (request) => {
    if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  const nodeOptions = { ca: server.cert, ...files };
  return createGrpcTransport({ baseUrl: app.url, interceptors: [bearer], nodeOptions, idleConnectionTimeoutMs: 1_000 });
}

async function ownToken(claims: { audience?: string; ttlSeconds?: number }): Promise<string> {
  if (!app.signingKey) throw new Error("the app has no key");
  const issuer = app.services.config.tokens.issuer;
  const common = { issuer, audience: "tandem", identity: "platform", scopes: PLATFORM_SCOPES, ttlSeconds: 600 };
  return app.signingKey.issueToken({ ...common, ...claims });
}

/** Signed with a key of somebody else's, and else as it should be. */
async function forgedToken(): Promise<string> {
  const key = await openSigningKey(join(folder, "forger"));
  const issuer = app.services.config.tokens.issuer;
  return key.issueToken({ issuer, audience: "tandem", identity: "platform", scopes: PLATFORM_SCOPES, ttlSeconds: 600 });
}

/** A carrier's token in which the carrier was made the platform. */
async function changedToken(): Promise<string> {
  const [header, , signature] = (await app.carrierToken("acme")).split(".");
  const [, claims] = (await app.platformToken()).split(".");
  return [header, claims, signature].join(".");
}

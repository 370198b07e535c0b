import { createHash, X509Certificate } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type CredentialIdentity, identityText } from "../../src/domain/carriers/principal.ts";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { CarrierService } from "../../src/gen/tandem/platform/v1/carrier_service_pb.js";
import { addCarrier } from "../support/carriers.ts";
import { type CertificateFiles, createAuthority, type TestAuthority } from "../support/certificates.ts";
import { stepClockBack } from "../support/clock.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { createIssuer, type TestIssuer } from "../support/issuer.ts";
import { reasonOf } from "../support/refusal.ts";

// What is refused of one credential must not shut out another, where a call shows a token and a
// certificate. Ten refusals at once, and one more a second.
const FLOOD = 40;
const HOUR_MS = 3_600_000;
const PLATFORM_AUDIENCE = "tandem-platform";

let folder: string;
let issuer: TestIssuer;
let servers: TestAuthority;
let clients: TestAuthority;
let app: Exchange;
/** Certificates of the platform, with few scopes, and of nobody's name. */
let reader: CertificateFiles;
let plain: CertificateFiles;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-together-"));
  [servers, clients, issuer] = await Promise.all([
    createAuthority("servers"),
    createAuthority("clients"),
    createIssuer(),
  ]);
  const { cert, key } = await servers.issue([{ type: "ip", value: "127.0.0.1" }]);
  const file = async (name: string, content: string) => {
    await writeFile(join(folder, name), content);
    return join(folder, name);
  };
  app = await startExchange({
    ...issuer.settings,
    tlsCert: await file("server.pem", cert),
    tlsKey: await file("server.key", key),
    tlsClientCa: await file("clients.pem", clients.cert),
    jwtPlatformAudience: PLATFORM_AUDIENCE,
    platformIdentities: `${identityText(jwt("ops"))}=carriers.read;dns:reader.example=cdrs.read`,
    maxRefusalsPerSecond: 1,
    reconcileIntervalMs: 0,
  });
  [reader, plain] = await Promise.all([issue("reader"), issue("plain")]);
});
afterAll(async () => {
  for (const session of sessions.values()) session.abort();
  await app?.[Symbol.asyncDispose]();
  await issuer?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

describe("a stolen token that is bound to a certificate does not shut out its owner", () => {
  test.each(["without a certificate", "with another certificate", "with a certificate that nobody believes"])(
    "who shows it %s is refused, and held to a rate, and the owner is let in",
    async (how) => {
      const subject = `bound-${how.length}`;
      await addOwner(subject);
      const cnf = { "x5t#S256": digestOf(plain) };
      const token = await issuer.sign({ sub: subject, cnf });
      const shown = { "without a certificate": undefined, "with another certificate": await issue("thief") }[how];
      const strange = how.includes("believes") ? await servers.issue([{ type: "dns", value: "plain.example" }]) : shown;
      expect(await flood(() => listUploads({ token, files: strange }))).toEqual(["RATE_LIMITED", "UNAUTHENTICATED"]);
      expect(await listUploads({ token, files: plain })).toBe("OK");
      // Another token of the same subject, as the one that comes next.
      const renewed = await issuer.sign({ sub: subject, cnf, jti: "next" });
      expect(await listUploads({ token: renewed, files: plain })).toBe("OK");
    },
  );
});

describe("what a certificate is refused for does not shut out another call with it", () => {
  test("false tokens over a connection do not shut out its certificate alone", async () => {
    const own = await addOwner("nonsense");
    expect(await flood(() => listUploads({ token: "nonsense", files: own }))).toEqual(["UNAUTHENTICATED"]);
    expect(await listUploads({ files: own })).toBe("OK");
  });

  test("expired tokens over a connection do not shut out its certificate, alone or with a good token", async () => {
    const own = await addOwner("late");
    const token = await issuer.sign({ sub: "late", exp: Math.floor(Date.now() / 1000) - 60 });
    expect(await flood(() => listUploads({ token, files: own }))).toEqual(["CREDENTIAL_EXPIRED", "RATE_LIMITED"]);
    expect(await listUploads({ files: own })).toBe("OK");
    expect(await listUploads({ token: await issuer.sign({ sub: "late" }), files: own })).toBe("OK");
  });

  test("an old connection whose certificate has expired does not shut out the renewed certificate of the same names", async () => {
    const own = await addOwner("renewing");
    const old = connect({ files: own });
    expect(await reasonOf(createClient(DurationService, old).listUploads({}))).toBe("OK");
    {
      using _late = stepClockBack(-2 * HOUR_MS);
      const calls = () => reasonOf(createClient(DurationService, old).listUploads({}));
      expect(await flood(calls)).toEqual(["CREDENTIAL_EXPIRED", "RATE_LIMITED"]);
    }
    expect(await listUploads({ files: await issue("renewing") })).toBe("OK");
  });

  test("a certificate that lacks a scope does not shut out a token with that scope over its connection", async () => {
    expect(await flood(() => listCarriers({ files: reader }))).toEqual(["PERMISSION_DENIED", "RATE_LIMITED"]);
    expect(await listCarriers({ token: await issuer.sign({ sub: "ops" }), files: reader })).toBe("OK");
  });
});

describe("what a token is refused for does not shut out another call of its subject", () => {
  test("a token beside another carrier's certificate is refused, and without it and beside its own it is let in", async () => {
    const own = await addOwner("beside");
    const other = await addOwner("other");
    const token = await issuer.sign({ sub: "beside" });
    expect(await flood(() => listUploads({ token, files: other }))).toEqual(["RATE_LIMITED", "UNAUTHENTICATED"]);
    expect(await listUploads({ token })).toBe("OK");
    expect(await listUploads({ token, files: own })).toBe("OK");
  });

  test("a token for the platform's audience is refused for a carrier's subject, and one for the carriers' is let in", async () => {
    await addOwner("crossing");
    const token = await issuer.sign({ sub: "crossing", aud: PLATFORM_AUDIENCE });
    expect(await flood(() => listUploads({ token }))).toEqual(["RATE_LIMITED", "UNAUTHENTICATED"]);
    expect(await listUploads({ token: await issuer.sign({ sub: "crossing" }) })).toBe("OK");
  });

  test("a token of only foreign scopes is refused, and one that says none has those of the settings", async () => {
    const token = await issuer.sign({ sub: "ops", scope: "openid" });
    expect(await flood(() => listCarriers({ token }))).toEqual(["PERMISSION_DENIED", "RATE_LIMITED"]);
    expect(await listCarriers({ token: await issuer.sign({ sub: "ops" }) })).toBe("OK");
  });
});

interface Shown {
  readonly token?: string;
  readonly files?: CertificateFiles | undefined;
}

/** The reasons of calls that are all made at once, each once. */
async function flood(call: () => Promise<string>): Promise<string[]> {
  return [...new Set(await Promise.all(Array.from({ length: FLOOD }, call)))].toSorted();
}

function listUploads(shown: Shown): Promise<string> {
  return reasonOf(createClient(DurationService, connect(shown)).listUploads({}));
}

function listCarriers(shown: Shown): Promise<string> {
  return reasonOf(createClient(CarrierService, connect(shown)).listCarriers({}));
}

/** One connection for each certificate. */
const sessions = new Map<CertificateFiles | undefined, Http2SessionManager>();

function connect({ token, files }: Shown): Transport {
  const bearer: Interceptor = (next) => (request) => {
    if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  const tls = { ca: servers.cert, ...files };
  const sessionManager = sessions.get(files) ?? new Http2SessionManager(app.url, {}, tls);
  sessions.set(files, sessionManager);
  return createGrpcTransport({ baseUrl: app.url, interceptors: [bearer], sessionManager });
}

/** A carrier with a subject and a name of its own; its certificate. */
async function addOwner(name: string): Promise<CertificateFiles> {
  await addCarrier(app.services.db, name, { credentials: [{ identity: jwt(name) }, { identity: dns(name) }] });
  return issue(name);
}

function issue(name: string): Promise<CertificateFiles> {
  return clients.issue([{ type: "dns", value: `${name}.example` }]);
}

function jwt(subject: string): CredentialIdentity {
  return { kind: "jwt", issuer: issuer.name, subject };
}

function dns(name: string): CredentialIdentity {
  return { kind: "dns", name: `${name}.example` };
}

function digestOf({ cert }: CertificateFiles): string {
  return createHash("sha256").update(new X509Certificate(cert).raw).digest("base64url");
}

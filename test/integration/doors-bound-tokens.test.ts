import { createHash, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect as connectHttp2, type SecureClientSessionOptions, type ServerOptions } from "node:http2";
import { request as requestHttps } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CdrService } from "../../src/gen/tandem/carrier/v1/cdr_service_pb.js";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { addCarrier } from "../support/carriers.ts";
import { type CertificateFiles, createAuthority, type TestAuthority } from "../support/certificates.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { createIssuer, type TestIssuer } from "../support/issuer.ts";
import { reasonOf } from "../support/refusal.ts";

/** Long after a stream must have ended, however busy the machine is. */
const MUST_END_MS = 25_000;

let folder: string;
let issuer: TestIssuer;
let servers: TestAuthority;
let clients: TestAuthority;
let own: CertificateFiles;
let others: CertificateFiles;
let app: Exchange;
let revoked: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tandem-bound-"));
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
  revoked = await file("revoked", "");
  app = await startExchange({
    ...issuer.settings,
    tlsCert: await file("server.pem", cert),
    tlsKey: await file("server.key", key),
    tlsClientCa: await file("clients.pem", clients.cert),
    revokedFile: revoked,
    reloadIntervalMs: 20,
    reconcileIntervalMs: 0,
  });
  // Names that are nobody's: only the binding lets them in.
  [own, others] = await Promise.all([
    clients.issue([{ type: "dns", value: "own.example" }]),
    clients.issue([{ type: "dns", value: "others.example" }]),
  ]);
  const identity = { kind: "jwt", issuer: issuer.name, subject: "switch" } as const;
  await addCarrier(app.services.db, "acme", { credentials: [{ identity }] });
});
afterAll(async () => {
  await app?.[Symbol.asyncDispose]();
  await issuer?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

describe("a token that is bound to a certificate", () => {
  test("is good over a connection with that certificate, and with no other and without one it is not", async () => {
    const token = await issuer.sign({ sub: "switch", cnf: { "x5t#S256": digestOf(own) } });
    expect(await call(token, own)).toBe("OK");
    expect(await call(token, others)).toBe("UNAUTHENTICATED");
    expect(await call(token)).toBe("UNAUTHENTICATED");
    // The answer of a moment ago is remembered by token, and not for whom.
    expect(await call(token, own)).toBe("OK");
  });

  test("needs a certificate that the server believes", async () => {
    const strange = await servers.issue([{ type: "dns", value: "own.example" }]);
    expect(await call(await issuer.sign({ sub: "switch", cnf: { "x5t#S256": digestOf(strange) } }), strange)).toBe(
      "UNAUTHENTICATED",
    );
  });

  test("is refused when it is bound to what this server does not know, alone or beside the certificate", async () => {
    const known = { "x5t#S256": digestOf(own) };
    const bindings: unknown[] = [
      { jkt: digestOf(own) },
      { ...known, jkt: digestOf(own) },
      { ...known, kid: "1" },
      { jwk: { kty: "EC" } },
      { "x5t#S256": "" },
      { "x5t#S256": `${digestOf(own)}=` },
      { "x5t#S256": [digestOf(own)] },
      { x5t: digestOf(own) },
      {},
      [],
      null,
      digestOf(own),
    ];
    for (const cnf of bindings) {
      expect(await call(await issuer.sign({ sub: "switch", cnf }), own), JSON.stringify(cnf)).toBe("UNAUTHENTICATED");
    }
  });

  test("loses its stream when the certificate is revoked", async () => {
    const transport = connect(await issuer.sign({ sub: "switch", cnf: { "x5t#S256": digestOf(own) } }), own);
    const start = { position: { case: "latest", value: {} } } as const;
    // A stream that is not ended fails the test by its deadline, and not by the test's own.
    const options = { timeoutMs: MUST_END_MS };
    const frames = createClient(CdrService, transport).streamCdrs({ start }, options)[Symbol.asyncIterator]();
    await frames.next();
    await writeFile(revoked, `${JSON.stringify({ certificate: new X509Certificate(own.cert).fingerprint256 })}\n`);
    expect(await reasonOf(drain(frames))).toBe("CREDENTIAL_EXPIRED");
    await writeFile(revoked, "");
    await expect.poll(() => reasonOf(createClient(DurationService, transport).listUploads({}))).toBe("OK");
  });

  test("is judged with the connection that the call came over, also when the certificate names a carrier", async () => {
    const named = await clients.issue([{ type: "dns", value: "bolt.example" }]);
    const identity = { kind: "dns", name: "bolt.example" } as const;
    await addCarrier(app.services.db, "bolt", { credentials: [{ identity }] });
    expect(await call(undefined, named)).toBe("OK");
    expect(await call(await issuer.sign({ sub: "switch", cnf: { "x5t#S256": digestOf(named) } }), named)).toBe(
      "UNAUTHENTICATED",
    );
  });
});

test("access tokens are let in by their type, and ID tokens, logout tokens and other kinds are not", async () => {
  for (const typ of [undefined, "JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+JWT"]) {
    expect(await call(await issuer.sign({ sub: "switch" }, typ === undefined ? {} : { typ })), typ).toBe("OK");
  }
  for (const typ of ["", "id+jwt", "logout+jwt", "dpop+jwt", "secevent+jwt", "JOSE", "at+jwt ", "text/at+jwt"]) {
    expect(await call(await issuer.sign({ sub: "switch" }, { typ })), typ).toBe("UNAUTHENTICATED");
  }
});

describe("two authorization headers", () => {
  const bodies = { "content-type": "application/json", "connect-protocol-version": "1" };

  test("are refused over HTTP/1.1, the same twice as well", async () => {
    const [good, bad] = [await issuer.sign({ sub: "switch" }), "nonsense"];
    for (const tokens of [
      [good, bad],
      [bad, good],
      [good, good],
    ]) {
      expect(await http1(tokens), tokens.join().slice(0, 8)).toContain("UNAUTHENTICATED");
    }
    // As a proxy joins them.
    expect(await http1([`${good}, Bearer ${good}`])).toContain("UNAUTHENTICATED");
    expect(await http1([good])).not.toContain("UNAUTHENTICATED");
  });

  test("are refused over HTTP/2, the same twice as well", async () => {
    const [good, bad] = [await issuer.sign({ sub: "switch" }), "nonsense"];
    for (const tokens of [
      [good, bad],
      [bad, good],
      [good, good],
    ]) {
      expect(await http2(tokens), tokens.join().slice(0, 8)).toContain("UNAUTHENTICATED");
    }
    expect(await http2([good])).not.toContain("UNAUTHENTICATED");
  });

  const path = "/tandem.carrier.v1.DurationService/ListUploads";

  async function http1(tokens: readonly string[]): Promise<string> {
    const headers = [...Object.entries(bodies).flat(), "host", "127.0.0.1", ...bearers(tokens)];
    const request = requestHttps(`${app.url}${path}`, { method: "POST", headers, ca: servers.cert, agent: false });
    request.end("{}");
    const [response] = await once(request, "response");
    return text(response);
  }

  async function http2(tokens: readonly string[]): Promise<string> {
    // Not yet an option of clients in the types.
    const options: SecureClientSessionOptions & ServerOptions = { ca: servers.cert, strictSingleValueFields: false };
    const session = connectHttp2(app.url, options);
    try {
      const raw = [":method", "POST", ":path", path, ":scheme", "https", ":authority", "127.0.0.1"];
      const headers = [...raw, ...Object.entries(bodies).flat(), ...bearers(tokens)];
      const stream = session.request(headers as never);
      stream.end("{}");
      return await text(stream);
    } finally {
      session.close();
    }
  }

  function bearers(tokens: readonly string[]): string[] {
    return tokens.flatMap((token) => ["authorization", `Bearer ${token}`]);
  }
});

async function call(token: string | undefined, files?: CertificateFiles): Promise<string> {
  return reasonOf(createClient(DurationService, connect(token, files)).listUploads({}));
}

async function drain(frames: AsyncIterator<unknown>): Promise<void> {
  while (!(await frames.next()).done);
}

function connect(token: string | undefined, files?: CertificateFiles): Transport {
  const bearer: Interceptor = (next) => (request) => {
    if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
  const nodeOptions = { ca: servers.cert, ...files };
  const options = { baseUrl: app.url, interceptors: [bearer], nodeOptions, idleConnectionTimeoutMs: 500 };
  return createGrpcTransport(options);
}

function digestOf({ cert }: CertificateFiles): string {
  return createHash("sha256").update(new X509Certificate(cert).raw).digest("base64url");
}

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createLocalJWKSet, exportJWK, exportSPKI, generateKeyPair, type JWK, SignJWT } from "jose";
import { expect, test } from "vitest";
import { TandemError } from "../domain/errors.ts";
import { Revocations } from "./revocations.ts";
import { parseKeySet, remoteTokenKeys, TokenKeys } from "./token-keys.ts";
import { createTokenVerifier, type TokenVerifier } from "./tokens.ts";

const issuer = "https://issuer.example";
const audience = "tandem";

test("believes a genuine token of the issuer for this audience, by any of the algorithms", async () => {
  for (const algorithm of ["ES256", "RS256", "EdDSA"]) {
    const key = await makeKey(algorithm);
    const verify = createTokenVerifier({ findKey: createLocalJWKSet({ keys: [key.jwk] }), issuer, audience });
    const token = await key.sign({ sub: "alice", tandem_carrier: "acme", scope: "carriers.read other" });
    expect(await verify(token), algorithm).toMatchObject({
      issuer,
      subject: "alice",
      carrierId: "acme",
      scopes: new Set(["carriers.read"]),
    });
  }
});

test("tells what is wrong with a token, and nothing of what is in it", async () => {
  const key = await makeKey("ES256");
  const stranger = await makeKey("ES256");
  const verify = createTokenVerifier({ findKey: createLocalJWKSet({ keys: [key.jwk] }), issuer, audience });
  const now = Math.floor(Date.now() / 1000);
  const secret = new TextEncoder().encode("a secret that everybody knows, for HS256");
  const symmetric = await new SignJWT({ sub: "alice" })
    .setProtectedHeader({ alg: "HS256" })
    .setIssuer(issuer)
    .setAudience(audience)
    .setExpirationTime("1h")
    .sign(secret);
  const none = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${Buffer.from('{"sub":"alice"}').toString("base64url")}.`;
  const cases: [string, string, string][] = [
    ["nonsense", "UNAUTHENTICATED", "nonsense"],
    [none, "UNAUTHENTICATED", "alg none"],
    [symmetric, "UNAUTHENTICATED", "a symmetric algorithm"],
    [await stranger.sign({ sub: "alice" }), "UNAUTHENTICATED", "an unknown key"],
    [await key.sign({ sub: "alice", iss: "https://other.example" }), "UNAUTHENTICATED", "another issuer"],
    [await key.sign({ sub: "alice", aud: "other" }), "UNAUTHENTICATED", "another audience"],
    [await key.sign({}), "UNAUTHENTICATED", "no subject"],
    [await key.sign({ sub: "alice", exp: undefined }), "UNAUTHENTICATED", "no end"],
    [await key.sign({ sub: "alice", nbf: now + 600 }), "UNAUTHENTICATED", "not yet valid"],
    [await key.sign({ sub: "alice", tandem_carrier: 7 }), "UNAUTHENTICATED", "a carrier that is no text"],
    [await key.sign({ sub: "alice", exp: now - 600 }), "CREDENTIAL_EXPIRED", "long expired"],
    [await key.sign({ sub: "alice", exp: now - 1 }), "CREDENTIAL_EXPIRED", "just expired, whatever the tolerance"],
  ];
  for (const [token, reason, what] of cases) {
    const error = await refusalOf(verify, token);
    expect(error.reason, what).toBe(reason);
    expect(error.message, what).not.toMatch(/alice|other\.example/);
  }
});

test("an ID token, a logout token and a token of another type are no access tokens, whatever their audience", async () => {
  const key = await makeKey("ES256");
  const verify = createTokenVerifier({ findKey: createLocalJWKSet({ keys: [key.jwk] }), issuer, audience });
  for (const claims of [{ at_hash: "x" }, { c_hash: "x" }, { s_hash: "x" }, { events: {} }, { events: null }]) {
    const error = await refusalOf(verify, await key.sign({ sub: "alice", ...claims }));
    expect(error.reason, JSON.stringify(claims)).toBe("UNAUTHENTICATED");
  }
  // Access tokens have these too.
  const common = { sub: "alice", azp: "app", client_id: "app", nonce: "n", auth_time: 1, aud: ["other", audience] };
  expect((await verify(await key.sign(common))).subject).toBe("alice");
});

test("reads scopes from scope, or else from scp, as a text or a list; without either it has none to be held to", async () => {
  const key = await makeKey("ES256");
  const verify = createTokenVerifier({ findKey: createLocalJWKSet({ keys: [key.jwk] }), issuer, audience });
  for (const [claims, scopes] of [
    [{ scope: "cdrs.read openid" }, ["cdrs.read"]],
    [{ scope: ["cdrs.read", 7, null, "openid"] }, ["cdrs.read"]],
    [{ scp: "cdrs.read usage.read" }, ["cdrs.read", "usage.read"]],
    [{ scp: ["usage.read"] }, ["usage.read"]],
    [{ scope: "cdrs.read", scp: "usage.read" }, ["cdrs.read"]],
    [{ scope: "" }, []],
    [{ scope: { "cdrs.read": true } }, []],
    [{}, undefined],
  ] as const) {
    const { scopes: found } = await verify(await key.sign({ sub: "alice", ...claims }));
    expect(found && [...found], JSON.stringify(claims)).toEqual(scopes);
  }
});

test("tells the platform's audience from the carriers', and takes a token for either", async () => {
  const key = await makeKey("ES256");
  const findKey = createLocalJWKSet({ keys: [key.jwk] });
  const verify = createTokenVerifier({ findKey, issuer, audience, platformAudience: "platform" });
  const audiences = async (aud: string | string[]) => {
    const { isForCarriers, isForPlatform } = await verify(await key.sign({ sub: "alice", aud }));
    return { isForCarriers, isForPlatform };
  };
  expect(await audiences(audience)).toEqual({ isForCarriers: true, isForPlatform: false });
  expect(await audiences(["x", "platform"])).toEqual({ isForCarriers: false, isForPlatform: true });
  expect(await audiences([audience, "platform"])).toEqual({ isForCarriers: true, isForPlatform: true });
  expect((await refusalOf(verify, await key.sign({ sub: "alice", aud: "x" }))).reason).toBe("UNAUTHENTICATED");
});

test("its edges of time: ten seconds for an issuer whose clock is ahead, none for a token that has ended", async () => {
  const key = await makeKey("ES256");
  const nowS = 1_800_000_000;
  const findKey = createLocalJWKSet({ keys: [key.jwk] });
  const verify = createTokenVerifier({ findKey, issuer, audience, now: () => nowS * 1000 });
  const good = { sub: "alice", iat: nowS - 60, exp: nowS + 60 };
  for (const claims of [{ nbf: nowS + 10 }, { iat: nowS + 10 }, { exp: nowS + 1 }, { iat: undefined, nbf: nowS }]) {
    expect((await verify(await key.sign({ ...good, ...claims }))).subject, JSON.stringify(claims)).toBe("alice");
  }
  for (const [claims, reason] of [
    [{ nbf: nowS + 11 }, "UNAUTHENTICATED"],
    [{ iat: nowS + 11 }, "UNAUTHENTICATED"],
    [{ iat: undefined }, "UNAUTHENTICATED"],
    [{ exp: nowS }, "CREDENTIAL_EXPIRED"],
  ] as const) {
    const error = await refusalOf(verify, await key.sign({ ...good, ...claims }));
    expect(error.reason, JSON.stringify(claims)).toBe(reason);
  }
});

test("a public key is no secret: an HMAC made with it is refused, whatever form of it is the secret", async () => {
  const { privateKey, publicKey } = await generateKeyPair("RS256", { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid: "rsa" };
  const verify = createTokenVerifier({ findKey: createLocalJWKSet({ keys: [jwk] }), issuer, audience });
  const sign = (alg: string, secret: Parameters<SignJWT["sign"]>[0]) =>
    new SignJWT({ sub: "alice" })
      .setProtectedHeader({ alg, kid: "rsa" })
      .setIssuer(issuer)
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime("1h")
      .sign(secret);
  expect((await verify(await sign("RS256", privateKey))).subject).toBe("alice");
  for (const secret of [await exportSPKI(publicKey), JSON.stringify(jwk), jwk.n ?? ""]) {
    const forged = await sign("HS256", new TextEncoder().encode(secret));
    expect((await refusalOf(verify, forged)).reason).toBe("UNAUTHENTICATED");
  }
  expect(() => parseKeySet(JSON.stringify({ keys: [{ kty: "oct", k: "c2VjcmV0" }] }))).toThrow();
  expect(() => parseKeySet(JSON.stringify({ keys: [{ ...jwk, d: "private" }] }))).toThrow("secret");
  // A kind of key that is not known yet does not make the others useless.
  expect(parseKeySet(JSON.stringify({ keys: [{ kty: "AKP" }, jwk] })).keys).toHaveLength(1);
  expect(() => parseKeySet(JSON.stringify({ keys: [{ kty: "AKP" }] }))).toThrow("no key");
});

test("follows an issuer that changes its keys; whoever invents key ids causes no requests but one a while", async () => {
  const first = await makeKey("ES256", "first");
  const second = await makeKey("ES256", "second");
  const invented = await makeKey("ES256", "invented");
  const published: JWK[] = [first.jwk];
  await using source = await serveKeys(() => JSON.stringify({ keys: published }));
  let nowMs = Date.now();
  let changes = 0;
  const keys = new TokenKeys({
    load: source.load,
    maxAgeMs: 600_000,
    cooldownMs: 10_000,
    now: () => nowMs,
    onChange: () => {
      changes += 1;
    },
  });
  const verify = createTokenVerifier({ findKey: keys.find, issuer, audience });
  for (let call = 0; call < 3; call += 1) await verify(await first.sign({ sub: "alice" }));
  expect(source.requests()).toBe(1);

  published.splice(0, 1, second.jwk);
  await verify(await second.sign({ sub: "alice" }));
  expect([source.requests(), changes]).toEqual([2, 1]);
  expect((await refusalOf(verify, await first.sign({ sub: "alice" }))).reason).toBe("UNAUTHENTICATED");
  for (let call = 0; call < 20; call += 1) {
    expect((await refusalOf(verify, await invented.sign({ sub: "alice" }))).reason).toBe("UNAUTHENTICATED");
  }
  expect(source.requests()).toBe(2);
  nowMs += 10_000;
  expect((await refusalOf(verify, await invented.sign({ sub: "alice" }))).reason).toBe("UNAUTHENTICATED");
  expect(source.requests()).toBe(3);

  // The issuer is away: its keys stand for an hour past their ten minutes.
  await source.close();
  nowMs += 600_000 + 3_599_000;
  await verify(await second.sign({ sub: "alice", exp: Math.floor(nowMs / 1000) + 60 }));
  nowMs += 20_000;
  expect((await refusalOf(verify, await second.sign({ sub: "alice" }))).reason).toBe("STORE_UNAVAILABLE");
  await using fresh = await serveKeys(() => "x".repeat(1024 * 1024));
  const flooded = createTokenVerifier({ findKey: remoteTokenKeys(fresh.url).find, issuer, audience });
  expect((await refusalOf(flooded, await first.sign({ sub: "alice" }))).reason).toBe("STORE_UNAVAILABLE");
});

test("a revoked token, and the tokens that a revoked subject had, are refused; its later ones are not", async () => {
  const key = await makeKey("ES256");
  const nowS = Math.floor(Date.now() / 1000);
  let revocations = new Revocations();
  const findKey = createLocalJWKSet({ keys: [key.jwk] });
  const verify = createTokenVerifier({ findKey, issuer, audience, revocations: () => revocations });
  const token = await key.sign({ sub: "alice", jti: "t-1", iat: nowS - 60 });
  await verify(token);
  revocations = Revocations.parse('# lost laptop\n{"token":"t-1"}\n');
  expect((await refusalOf(verify, token)).reason).toBe("UNAUTHENTICATED");
  await verify(await key.sign({ sub: "alice", jti: "t-2", iat: nowS - 60 }));
  revocations = Revocations.parse(JSON.stringify({ subject: "alice", issued_until: new Date((nowS - 30) * 1000) }));
  expect((await refusalOf(verify, token)).reason).toBe("UNAUTHENTICATED");
  await verify(await key.sign({ sub: "alice", iat: nowS - 29 }));
  await verify(await key.sign({ sub: "bob", iat: nowS - 60 }));
  expect(() => Revocations.parse('{"subject":"a"}\n{"subjekt":"b"}')).toThrow("line 2");
  expect(() => Revocations.parse('{"subject":"a"}\n'.repeat(10_001))).toThrow("10000");
});

async function makeKey(algorithm: string, kid = algorithm) {
  const { privateKey, publicKey } = await generateKeyPair(algorithm, { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), kid, alg: algorithm };
  const sign = (claims: Record<string, unknown>) => {
    const now = Math.floor(Date.now() / 1000);
    const payload = { iss: issuer, aud: audience, iat: now, exp: now + 600, ...claims };
    return new SignJWT(JSON.parse(JSON.stringify(payload)))
      .setProtectedHeader({ alg: algorithm, kid })
      .sign(privateKey);
  };
  return { jwk, sign };
}

async function refusalOf(verify: TokenVerifier, token: string): Promise<TandemError> {
  const error = await verify(token).then(
    () => undefined,
    (refusal: unknown) => refusal,
  );
  if (error instanceof TandemError) return error;
  throw new Error("the token was not refused as it should be", { cause: error });
}

async function serveKeys(body: () => string) {
  let requests = 0;
  const server = createServer((_, response) => {
    requests += 1;
    response.setHeader("content-type", "application/json");
    response.setHeader("connection", "close");
    response.end(body());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    if (!server.listening) return;
    server.close();
    await once(server, "close");
  };
  const url = new URL(`http://127.0.0.1:${port}/`);
  const load = async () => parseKeySet(await (await fetch(url)).text());
  return { url, load, requests: () => requests, close, [Symbol.asyncDispose]: close };
}

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, type JWK, SignJWT } from "jose";
import { expect, test } from "vitest";
import { TandemError } from "../domain/errors.ts";
import { createTokenVerifier, type TokenVerifier } from "./tokens.ts";

const issuer = "https://issuer.example";
const audience = "tandem";

test("believes a genuine token of the issuer for this audience, by any of the algorithms", async () => {
  for (const algorithm of ["ES256", "RS256", "EdDSA"]) {
    const key = await makeKey(algorithm);
    const verify = createTokenVerifier({ keys: { keySet: { keys: [key.jwk] } }, issuer, audience });
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
  const verify = createTokenVerifier({ keys: { keySet: { keys: [key.jwk] } }, issuer, audience });
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

test("follows an issuer that changes its keys, and calls its absence temporary", async () => {
  const first = await makeKey("ES256", "first");
  const second = await makeKey("ES256", "second");
  const published: JWK[] = [first.jwk];
  await using keys = await serveKeys(() => published);
  const verify = createTokenVerifier({ keys: { url: keys.url }, issuer, audience });
  await verify(await first.sign({ sub: "alice" }));
  expect(keys.requests()).toBe(1);
  await verify(await first.sign({ sub: "alice" }));
  expect(keys.requests()).toBe(1);

  const fresh = createTokenVerifier({ keys: { url: keys.url }, issuer, audience });
  published.splice(0, 1, second.jwk);
  await fresh(await second.sign({ sub: "alice" }));

  await keys.close();
  const late = createTokenVerifier({ keys: { url: keys.url }, issuer, audience });
  expect((await refusalOf(late, await first.sign({ sub: "alice" }))).reason).toBe("STORE_UNAVAILABLE");
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

async function serveKeys(keys: () => JWK[]) {
  let requests = 0;
  const server = createServer((_, response) => {
    requests += 1;
    response.setHeader("content-type", "application/json");
    response.setHeader("connection", "close");
    response.end(JSON.stringify({ keys: keys() }));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const close = async () => {
    if (!server.listening) return;
    server.close();
    await once(server, "close");
  };
  return { url: new URL(`http://127.0.0.1:${port}/`), requests: () => requests, close, [Symbol.asyncDispose]: close };
}

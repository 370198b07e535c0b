import { createLocalJWKSet, exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { TandemError } from "../domain/errors.ts";
import { microsFromMs } from "../domain/time/instant.ts";
import { createTokenVerifier, TokenExpired } from "./tokens.ts";
import { Trust } from "./trust.ts";
import { VerifiedTokens } from "./verified-tokens.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date", "performance"] }));
afterEach(() => void vi.useRealTimers());

test("a verification is believed for a minute, though the clock steps back an hour", async () => {
  const { tokens, sign } = await setUp();
  const token = await sign(HOUR_MS);
  await tokens.verify(token);
  vi.setSystemTime(Date.now() - HOUR_MS);
  vi.advanceTimersByTime(MINUTE_MS - 1);
  expect(tokens.find(token)).toBeDefined();
  vi.advanceTimersByTime(1);
  expect(tokens.find(token)).toBeUndefined();
});

test("a token that has expired does not become good again when the clock steps back, nor does another one of the same words", async () => {
  const { tokens, sign } = await setUp();
  const [token, other] = [await sign(10 * MINUTE_MS), await sign(10 * MINUTE_MS)];
  expect(token).not.toBe(other);
  const { expiresAt } = await tokens.verify(token);
  vi.advanceTimersByTime(10 * MINUTE_MS);
  expect(await reasonOf(tokens, token)).toBe("CREDENTIAL_EXPIRED");
  vi.setSystemTime(Date.now() - 5 * MINUTE_MS);
  for (const each of [token, other]) expect(await reasonOf(tokens, each)).toBe("CREDENTIAL_EXPIRED");
  // One that the issuer gives out now is good until its end.
  const fresh = await sign(10 * MINUTE_MS);
  expect((await tokens.verify(fresh)).expiresAt).toBe(expiresAt + 300_000_000n);
});

test("a clock that steps back gives a token no more time than it had left", async () => {
  const { tokens, sign } = await setUp();
  const token = await sign(10 * MINUTE_MS);
  await tokens.verify(token);
  vi.setSystemTime(Date.now() - 10_000);
  vi.advanceTimersByTime(10 * MINUTE_MS - 1);
  const { expiresAt } = await tokens.verify(token);
  expect(Number(expiresAt / 1000n) - Date.now()).toBeLessThanOrEqual(1);
  vi.advanceTimersByTime(1);
  expect(await reasonOf(tokens, token)).toBe("CREDENTIAL_EXPIRED");
});

test("a token that had expired when it was verified is known by its hash, and is not verified again until the keys change", async () => {
  const trust = new Trust();
  let verified = 0;
  const tokens = new VerifiedTokens(async () => {
    verified++;
    throw new TokenExpired("issuer", "acme");
  }, trust);
  expect(tokens.find("old")).toBeUndefined();
  await expect(tokens.verify("old")).rejects.toMatchObject({ reason: "CREDENTIAL_EXPIRED", subject: "acme" });
  for (let call = 0; call < 3; call++) expect(() => tokens.find("old")).toThrow(TokenExpired);
  expect(verified).toBe(1);
  trust.changed();
  expect(tokens.find("old")).toBeUndefined();
});

test("a token that was genuine is no stranger, even after the keys have changed; one that was refused is", async () => {
  const trust = new Trust();
  const tokens = new VerifiedTokens(async (token) => {
    if (token === "false") throw new TandemError("UNAUTHENTICATED", "the token is not genuine");
    const expiresAt = microsFromMs(Date.now() + 60_000);
    return {
      issuer: "issuer",
      subject: "acme",
      carrierId: undefined,
      scopes: new Set(),
      expiresAt,
      isForCarriers: true,
      isForPlatform: true,
      binding: undefined,
    };
  }, trust);
  await tokens.verify("good");
  await expect(tokens.verify("false")).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
  trust.changed();
  expect(tokens.find("good")).toBeUndefined();
  expect([tokens.wasGenuine("good"), tokens.wasGenuine("false")]).toEqual([true, false]);
});

async function setUp() {
  vi.setSystemTime(Math.floor(Date.now() / 1_000) * 1_000);
  const { privateKey, publicKey } = await generateKeyPair("ES256");
  const findKey = createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), alg: "ES256" }] });
  const verify = createTokenVerifier({ findKey, issuer: "issuer", audience: "tandem" });
  const issuedAt = Math.floor(Date.now() / 1_000) - 3_600;
  const sign = (lifeMs: number) =>
    new SignJWT({ sub: "alice", iss: "issuer", aud: "tandem", iat: issuedAt - 3_600 })
      .setProtectedHeader({ alg: "ES256" })
      .setExpirationTime(Math.floor((Date.now() + lifeMs) / 1_000))
      .sign(privateKey);
  return { tokens: new VerifiedTokens(verify, new Trust()), sign };
}

async function reasonOf(tokens: VerifiedTokens, token: string): Promise<string> {
  try {
    if (!tokens.find(token)) await tokens.verify(token);
    return "OK";
  } catch (error) {
    return error instanceof TandemError ? error.reason : String(error);
  }
}

import { expect, test } from "vitest";
import { TandemError } from "../domain/errors.ts";
import { microsFromMs } from "../domain/instant.ts";
import { TokenExpired } from "./tokens.ts";
import { Trust } from "./trust.ts";
import { VerifiedTokens } from "./verified-tokens.ts";

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
    return { issuer: "issuer", subject: "acme", carrierId: undefined, scopes: new Set(), expiresAt };
  }, trust);
  await tokens.verify("good");
  await expect(tokens.verify("false")).rejects.toMatchObject({ reason: "UNAUTHENTICATED" });
  trust.changed();
  expect(tokens.find("good")).toBeUndefined();
  expect([tokens.wasGenuine("good"), tokens.wasGenuine("false")]).toEqual([true, false]);
});

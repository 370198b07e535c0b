import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLocalJWKSet } from "jose";
import { expect, test } from "vitest";
import { openSigningKey } from "./signing-key.ts";
import { createTokenVerifier } from "./tokens.ts";

test("the key is made once, also by processes that start together, and nobody else can read it", async () => {
  await using folder = await makeFolder();
  const opened = await Promise.all(Array.from({ length: 8 }, () => openSigningKey(folder.path)));
  const again = await openSigningKey(folder.path);
  for (const { keySet } of opened) expect(keySet).toEqual(again.keySet);
  expect((await stat(join(folder.path, "keys/signing.jwk"))).mode & 0o777).toBe(0o600);
  const published = JSON.parse(await readFile(join(folder.path, "keys/jwks.json"), "utf8")) as { keys: object[] };
  expect(published).toEqual(again.keySet);
  expect(published.keys[0]).not.toHaveProperty("d");
});

test("a token says whose it is, until when, and is believed", async () => {
  await using folder = await makeFolder();
  const key = await openSigningKey(folder.path);
  const verify = createTokenVerifier({ findKey: createLocalJWKSet(key.keySet), issuer: "i", audience: "a" });
  const common = { issuer: "i", audience: "a", ttlSeconds: 60 };
  const carrier = await verify(await key.issueToken({ ...common, identity: "switch-1", carrierId: "acme" }));
  expect(carrier).toMatchObject({ subject: "switch-1", carrierId: "acme", scopes: undefined });
  expect(Math.abs(Number(carrier.expiresAt / 1000n) - Date.now() - 60_000)).toBeLessThan(5_000);
  const platform = await verify(
    await key.issueToken({ ...common, identity: "ops", scopes: ["cdrs.read", "cdrs.write"] }),
  );
  expect(platform).toMatchObject({ carrierId: undefined, scopes: new Set(["cdrs.read", "cdrs.write"]) });
});

async function makeFolder() {
  const path = await mkdtemp(join(tmpdir(), "tandem-key-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

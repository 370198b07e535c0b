import { randomBytes } from "node:crypto";
import { link, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JSONWebKeySet,
  type JWK,
  SignJWT,
} from "jose";
import type { PlatformScope } from "../domain/scopes.ts";

const ALGORITHM = "ES256";

/** The data folder's own key: for a server without an identity provider. */
export interface SigningKey {
  /** For verification. Also in keys/jwks.json, for who else wants to verify. */
  readonly keySet: JSONWebKeySet;
  issueToken(request: TokenRequest): Promise<string>;
}

/** What a token says. */
export interface TokenRequest {
  readonly issuer: string;
  readonly audience: string;
  /** The subject. */
  readonly identity: string;
  /** For a carrier's token. Either this or scopes. */
  readonly carrierId?: string;
  /** For a token of the platform. */
  readonly scopes?: readonly PlatformScope[];
  /** How long the token is good, seconds. */
  readonly ttlSeconds: number;
}

/** Reads the data folder's key, or makes it. Processes that do so at once end up with the same key. */
export async function openSigningKey(dataDir: string): Promise<SigningKey> {
  const folder = join(dataDir, "keys");
  const keyFile = join(folder, "signing.jwk");
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const privateJwk = (await readKey(keyFile)) ?? (await makeKey(keyFile));
  const { d: _, ...publicJwk } = privateJwk;
  const keySet = { keys: [publicJwk] };
  await writeFile(join(folder, "jwks.json"), `${JSON.stringify(keySet, null, 2)}\n`);
  const key = await importJWK(privateJwk, ALGORITHM);
  return {
    keySet,
    issueToken: async (request) => {
      const claims =
        request.carrierId === undefined
          ? { scope: request.scopes?.join(" ") ?? "" }
          : { tandem_carrier: request.carrierId };
      return await new SignJWT(claims)
        .setProtectedHeader({ alg: ALGORITHM, kid: privateJwk.kid ?? "" })
        .setIssuer(request.issuer)
        .setAudience(request.audience)
        .setSubject(request.identity)
        .setIssuedAt()
        .setExpirationTime(Math.floor(Date.now() / 1000) + request.ttlSeconds)
        .sign(key);
    },
  };
}

async function readKey(keyFile: string): Promise<JWK | undefined> {
  try {
    return JSON.parse(await readFile(keyFile, "utf8")) as JWK;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new Error(`${keyFile} cannot be read as a key`, { cause: error });
  }
}

async function makeKey(keyFile: string): Promise<JWK> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { extractable: true });
  const jwk = await exportJWK(privateKey);
  const named = { ...jwk, kid: await calculateJwkThumbprint(jwk), alg: ALGORITHM, use: "sig" };
  const unfinished = `${keyFile}.${randomBytes(6).toString("hex")}`;
  await writeFile(unfinished, JSON.stringify(named), { mode: 0o600, flush: true });
  try {
    // A link makes the file appear whole, and fails if another process was first: then its key is the key.
    await link(unfinished, keyFile);
    return named;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return (await readKey(keyFile)) as JWK;
  } finally {
    await rm(unfinished, { force: true });
  }
}

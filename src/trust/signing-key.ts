import { randomBytes, randomUUID } from "node:crypto";
import { link, readFile, rename, rm, writeFile } from "node:fs/promises";
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
import type { PlatformScope } from "../domain/carriers/scopes.ts";
import { Expiries } from "../domain/expiries.ts";
import { microsFromMs } from "../domain/time/instant.ts";
import { wallMs } from "../domain/time/wall-clock.ts";
import { makeFolder } from "../files/files.ts";
import { withFolderLock } from "../files/folder-lock.ts";

const ALGORITHM = "ES256";
const LOCK_WAIT_MS = 10_000;
/** Most keys that may be in their overlap at once. */
const MAX_RETIRED = 20;

/** The data folder's own key: for a server without an identity provider. */
export interface SigningKey {
  /** The id of the key in use. */
  readonly keyId: string;
  /**
   * The id of the folder's first key, which stays through rotations: another id means another
   * folder.
   */
  readonly lineage: string;
  /**
   * For verification: the key in use, and those before it whose overlap lasts. Also in
   * keys/jwks.json, for others that verify tokens.
   */
  readonly keySet: JSONWebKeySet;
  issueToken(request: TokenRequest): Promise<string>;
  /**
   * Reads the folder again, where another process may have rotated the key. Resolves with the key
   * set; rejects, and keeps what it has, when the key there is not one that came by rotation.
   */
  reload(): Promise<JSONWebKeySet>;
}

/** What a token says. */
export interface TokenRequest {
  readonly issuer: string;
  readonly audience: string;
  /** The subject. */
  readonly identity: string;
  /** Given for a carrier's token. Either this or scopes. */
  readonly carrierId?: string;
  /** With a carrier: a person of the platform acts as it, and the logs say so. */
  readonly byPlatform?: boolean;
  /** Given for a token of the platform. */
  readonly scopes?: readonly PlatformScope[];
  /** How long the token is good, seconds. */
  readonly ttlSeconds: number;
}

/**
 * Reads the data folder's key, or makes it: for servers only. Processes that do so at once end up
 * with the same key.
 */
export async function openSigningKey(dataDir: string): Promise<SigningKey> {
  const folder = await openFolder(dataDir);
  const keyFile = join(folder, "signing.jwk");
  return await keyOf(folder, (await readKey(keyFile)) ?? (await makeFirstKey(keyFile)));
}

/** Whether the data folder has a key. */
export async function hasSigningKey(dataDir: string): Promise<boolean> {
  return (await readKey(join(dataDir, "keys", "signing.jwk"))) !== undefined;
}

/**
 * Reads the data folder's key: for commands, since no server believes tokens of another key.
 * @throws Error when there is none.
 */
export async function findSigningKey(dataDir: string): Promise<SigningKey> {
  const folder = join(dataDir, "keys");
  const current = await readKey(join(folder, "signing.jwk"));
  if (!current) throw noKey(dataDir);
  return await keyOf(folder, current);
}

async function keyOf(folder: string, first: JWK): Promise<SigningKey> {
  const keyFile = join(folder, "signing.jwk");
  const lineage = lineageOf(first);
  let current = first;
  const overlaps = new Expiries();
  let keySet = await publishKeySet(folder, current, overlaps);
  return {
    get keyId() {
      return current.kid ?? "";
    },
    lineage,
    get keySet() {
      return keySet;
    },
    issueToken: (request) => sign(current, request),
    reload: async () => {
      const found = (await readKey(keyFile)) ?? current;
      if (lineageOf(found) !== lineage) {
        throw new Error(
          `${keyFile} was not made by \`tandem token rotate\`: put back the key that all processes share`,
        );
      }
      current = found;
      keySet = await publishKeySet(folder, current, overlaps);
      return keySet;
    },
  };
}

/**
 * Makes a new key. Tokens of the one before it are accepted for `overlapSeconds` more; 0 ends them
 * at once. Running servers notice by themselves. Resolves with the new key's id.
 */
export async function rotateSigningKey(dataDir: string, overlapSeconds: number): Promise<string> {
  const folder = join(dataDir, "keys");
  const keyFile = join(folder, "signing.jwk");
  if (!(await readKey(keyFile))) throw noKey(dataDir);
  return await withFolderLock(folder, AbortSignal.timeout(LOCK_WAIT_MS), async () => {
    const before = await readKey(keyFile);
    const overlaps = new Expiries();
    const fresh: OwnKey = { ...(await generateKey()), ...(before ? { lineage: lineageOf(before) } : {}) };
    const until = new Date(wallMs() + overlapSeconds * 1000).toISOString();
    const retired = (await readRetired(folder, overlaps)).slice(-MAX_RETIRED + 1);
    // In this order a crash in between loses no key: the old one is then both in use and about to
    // retire.
    if (before && overlapSeconds > 0)
      await replaceFile(retiredFile(folder), [...retired, { key: publicPart(before), until }]);
    else if (overlapSeconds === 0) await replaceFile(retiredFile(folder), []);
    await replaceFile(keyFile, fresh);
    await publishKeySet(folder, fresh, overlaps);
    return fresh.kid ?? "";
  });
}

/** The old keys whose tokens are still accepted, with the ends of their overlaps, ISO 8601. */
export async function listRetiredKeys(dataDir: string): Promise<{ keyId: string; until: string }[]> {
  const retired = await readRetired(join(dataDir, "keys"), new Expiries());
  return retired.map(({ key, until }) => ({ keyId: key.kid ?? "", until }));
}

function noKey(dataDir: string): Error {
  return new Error(
    `no signing key in ${join(dataDir, "keys")}: \`tandem serve\` makes one; ` +
      "name its folder with --data-dir or TANDEM_DATA_DIR",
  );
}

/** A private key as it is kept. The first of a folder has no lineage: it is its own. */
interface OwnKey extends JWK {
  readonly lineage?: string;
}

interface RetiredKey {
  readonly key: JWK;
  /** Until when it is accepted, ISO 8601. */
  readonly until: string;
}

async function openFolder(dataDir: string): Promise<string> {
  const folder = join(dataDir, "keys");
  await makeFolder(folder, 0o700);
  return folder;
}

async function sign(jwk: JWK, request: TokenRequest): Promise<string> {
  const claims =
    request.carrierId === undefined
      ? { scope: request.scopes?.join(" ") ?? "" }
      : { tandem_carrier: request.carrierId, ...(request.byPlatform ? { tandem_platform: true } : {}) };
  const nowS = Math.floor(wallMs() / 1000);
  return await new SignJWT(claims)
    .setProtectedHeader({ alg: ALGORITHM, kid: jwk.kid ?? "" })
    .setIssuer(request.issuer)
    .setAudience(request.audience)
    .setSubject(request.identity)
    .setJti(randomUUID())
    .setIssuedAt(nowS)
    .setNotBefore(nowS)
    .setExpirationTime(nowS + request.ttlSeconds)
    .sign(await importJWK(jwk, ALGORITHM));
}

async function publishKeySet(folder: string, current: JWK, overlaps: Expiries): Promise<JSONWebKeySet> {
  const retired = (await readRetired(folder, overlaps)).map(({ key }) => key).filter(({ kid }) => kid !== current.kid);
  const keySet = { keys: [publicPart(current), ...retired] };
  const text = `${JSON.stringify(keySet, null, 2)}\n`;
  const file = join(folder, "jwks.json");
  if ((await readFile(file, "utf8").catch(() => "")) !== text) await replaceFile(file, text, 0o644);
  return keySet;
}

/** Those whose overlap lasts. */
async function readRetired(folder: string, overlaps: Expiries): Promise<RetiredKey[]> {
  const text = await readFile(retiredFile(folder), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "[]";
    throw error;
  });
  return (JSON.parse(text) as RetiredKey[]).filter(
    ({ key, until }) => overlaps.endOf(`${until} ${key.kid}`, microsFromMs(Date.parse(until))) !== undefined,
  );
}

function retiredFile(folder: string): string {
  return join(folder, "retired.json");
}

function publicPart({ d: _, lineage: __, ...jwk }: OwnKey): JWK {
  return jwk;
}

function lineageOf({ lineage, kid }: OwnKey): string {
  return lineage ?? kid ?? "";
}

async function readKey(keyFile: string): Promise<JWK | undefined> {
  try {
    return JSON.parse(await readFile(keyFile, "utf8")) as JWK;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    // biome-ignore lint/style/useErrorCause: the parser's message quotes what it read, which is a secret
    throw new Error(`${keyFile} cannot be read as a key`);
  }
}

async function generateKey(): Promise<JWK> {
  const { privateKey } = await generateKeyPair(ALGORITHM, { extractable: true });
  const jwk = await exportJWK(privateKey);
  return { ...jwk, kid: await calculateJwkThumbprint(jwk), alg: ALGORITHM, use: "sig" };
}

async function makeFirstKey(keyFile: string): Promise<JWK> {
  const named = await generateKey();
  const unfinished = await writeUnfinished(keyFile, JSON.stringify(named), 0o600);
  try {
    // A link makes the file appear whole, and fails if another process was first: then that one's
    // key is the key.
    await link(unfinished, keyFile);
    return named;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return (await readKey(keyFile)) as JWK;
  } finally {
    await rm(unfinished, { force: true });
  }
}

async function replaceFile(file: string, content: object | string, mode = 0o600): Promise<void> {
  const text = typeof content === "string" ? content : JSON.stringify(content);
  await rename(await writeUnfinished(file, text, mode), file);
}

async function writeUnfinished(file: string, text: string, mode: number): Promise<string> {
  const unfinished = `${file}.${randomBytes(6).toString("hex")}`;
  await writeFile(unfinished, text, { mode, flush: true });
  return unfinished;
}

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import type { Config } from "../config/config.ts";
import { OneAtATime } from "../domain/one-at-a-time.ts";
import { ifThere } from "../files/files.ts";
import { every } from "../store/database/every.ts";
import { parseCertificates } from "../trust/certificates.ts";
import { Revocations } from "../trust/revocations.ts";
import { assertUsableTls, type TlsFiles } from "../trust/settings.ts";
import type { SigningKey } from "../trust/signing-key.ts";
import { parseKeySet, remoteTokenKeys, TokenKeys } from "../trust/token-keys.ts";
import { Trust } from "../trust/trust.ts";

/** Every look reads keys in files; this is for tokens that name a key between two looks. */
const FILE_KEYS = { maxAgeMs: Number.POSITIVE_INFINITY, cooldownMs: 100 };

/** Who is believed, kept up to date with the files. Dispose it to stop looking. */
export interface Rotation extends AsyncDisposable {
  readonly trust: Trust;
  /** Undefined: no token is believed. */
  readonly tokenKeys: TokenKeys | undefined;
  /** Given each new certificate pair and authorities. */
  onTls: ((tls: TlsFiles) => void) | undefined;
  /** Looks at once, and takes what it finds even if it is still being written: SIGHUP. */
  reload(): Promise<void>;
}

/** Keys of this process that must stay those that all processes on the database share. */
interface OwnKeys {
  /** Undefined: others issue the tokens. */
  readonly signingKey: SigningKey | undefined;
  /** Throws when the contents of the key file, if it is there, are not the key in use. */
  readonly assertSameErasureKey: (content: Buffer | undefined) => void;
}

/**
 * Reads what decides who is believed, and then looks for changes again and again. Events of the
 * file system would not do: they miss network file systems and links, by which orchestrators and
 * ACME clients replace files.
 * @throws Error when the revocations cannot be read at the start.
 */
export async function openRotation(
  config: Config,
  { signingKey, assertSameErasureKey }: OwnKeys,
  log: Logger,
): Promise<Rotation> {
  const trust = new Trust(config.tls?.clientCa ? parseCertificates(config.tls.clientCa) : []);
  const tokenKeys = openTokenKeys(config, signingKey, trust);
  const stop = new AbortController();
  const rotation: Rotation = {
    trust,
    tokenKeys,
    onTls: undefined,
    reload: () => {
      isForced = true;
      return looks.run();
    },
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running;
      await looks.pending;
    },
  };
  const parts = [
    revocationsPart(config, trust),
    tlsPart(config, trust, rotation),
    keysPart(config, tokenKeys),
    erasureKeyPart(config, assertSameErasureKey),
  ];
  const watched: ((isForced: boolean) => Promise<void>)[] = [];
  for (const part of parts) if (part !== undefined) watched.push(await watchFiles(part, log));
  // Never two looks side by side: the older contents might be taken last.
  let isForced = false;
  const looks = new OneAtATime(async () => {
    const isAsked = isForced;
    isForced = false;
    for (const look of watched) await look(isAsked);
  });
  const { reloadIntervalMs: intervalMs } = config;
  const { signal } = stop;
  const onError = (err: unknown) => log.error({ err }, "a look at the files failed");
  const running = every({ intervalMs, firstMs: intervalMs, signal, ref: false, onError }, () => looks.run());
  return rotation;
}

function openTokenKeys(config: Config, signingKey: SigningKey | undefined, trust: Trust): TokenKeys | undefined {
  const onChange = () => trust.changed();
  const { keys } = config.tokens;
  if (signingKey) {
    return new TokenKeys({ load: () => signingKey.reload(), initial: signingKey.keySet, ...FILE_KEYS, onChange });
  }
  if (keys.kind === "url") return remoteTokenKeys(keys.url, onChange);
  if (keys.kind !== "file") return undefined;
  const load = async () => parseKeySet(await readFile(keys.file, "utf8"));
  return new TokenKeys({ load, initial: keys.keySet, ...FILE_KEYS, onChange });
}

/** Files that belong together. */
interface Part {
  readonly what: string;
  readonly files: readonly string[];
  /** What is in use at the start; undefined: to be taken then. */
  readonly inUse?: readonly (Buffer | undefined)[];
  /** Takes their contents, or throws and leaves everything as it was. */
  readonly take: (contents: readonly (Buffer | undefined)[]) => Promise<void> | void;
  /** What to do at every look, whether the files changed or not. */
  readonly tick?: () => Promise<void>;
}

function revocationsPart({ revokedFile, dataDir }: Config, trust: Trust): Part {
  return {
    what: "revocations",
    files: [revokedFile ?? join(dataDir, "keys", "revoked")],
    take: ([content]) => {
      if (!content && revokedFile !== undefined) throw new Error("it cannot be read");
      trust.setRevocations(Revocations.parse(content?.toString("utf8") ?? ""));
    },
  };
}

function tlsPart({ tls: inUse, tlsPaths }: Config, trust: Trust, rotation: Rotation): Part | undefined {
  if (!tlsPaths || !inUse) return undefined;
  const { tlsCert, tlsKey, tlsClientCa } = tlsPaths;
  return {
    what: "certificates",
    files: [tlsCert, tlsKey, ...(tlsClientCa ? [tlsClientCa] : [])],
    inUse: [inUse.cert, inUse.key, ...(tlsClientCa ? [inUse.clientCa] : [])],
    take: ([cert, key, clientCa]) => {
      if (!cert || !key || (tlsClientCa && !clientCa)) throw new Error("one of the files cannot be read");
      const tls = { cert, key, clientCa };
      assertUsableTls(tls);
      rotation.onTls?.(tls);
      trust.setAuthorities(clientCa ? parseCertificates(clientCa) : []);
    },
  };
}

// A running process never takes another key, and a start with another is refused. So whoever puts
// another there is told now.
function erasureKeyPart({ erasureKeyFile }: Config, assertSame: OwnKeys["assertSameErasureKey"]): Part {
  return { what: "erasure key", files: [erasureKeyFile], take: ([content]) => assertSame(content) };
}

function keysPart({ tokens }: Config, keys: TokenKeys | undefined): Part | undefined {
  if (!keys) return undefined;
  const tick = async () => {
    // The first token asks for the keys at a URL. Then they are kept up to date for live streams.
    if (tokens.keys.kind !== "url") await keys.refresh();
    else if (keys.isLoaded) await keys.keepFresh();
  };
  return { what: "token keys", files: [], inUse: [], take: () => {}, tick };
}

/**
 * Takes files that are to be taken at the start.
 * @returns a look. It takes changed files if two looks saw the same, so nobody still writes them,
 *   or if forced. It never throws.
 * @throws Error when the files are not usable.
 */
async function watchFiles(part: Part, log: Logger): Promise<(isForced: boolean) => Promise<void>> {
  const { what, files, inUse, take, tick } = part;
  // That a file cannot be read is not as if it were not there: it may list what must not come in.
  const read = () => Promise.all(files.map((file) => ifThere(readFile(file))));
  const begin = async () => {
    const contents = inUse ?? (await read());
    if (!inUse) await take(contents);
    return digest(contents);
  };
  // What is in use, or was refused.
  let judged = await begin().catch((error: unknown) => {
    throw new Error(`${files.join(", ")}: ${messageOf(error)}`, { cause: error });
  });
  let [seen, problem] = ["", ""];
  /** Undefined when it fails, which is logged once for each way of failing. */
  const tryToRead = async () => {
    try {
      await tick?.();
      const contents = await read();
      problem = "";
      return contents;
    } catch (error) {
      const why = messageOf(error);
      if (why !== problem) log.warn({ files, why }, `${what}: cannot be read again, the old ones stay in use`);
      problem = why;
      return undefined;
    }
  };
  return async (isForced) => {
    const contents = await tryToRead();
    if (!contents) return;
    const found = digest(contents);
    const isSettled = isForced || found === seen;
    seen = found;
    if (found === judged || !isSettled) return;
    judged = found;
    try {
      await take(contents);
      log.info({ files }, `${what}: the new ones are in use`);
    } catch (error) {
      log.warn({ files, why: messageOf(error) }, `${what}: the new ones are refused, the old ones stay in use`);
    }
  };
}

function digest(contents: readonly (Buffer | undefined)[]): string {
  const hash = createHash("sha256");
  for (const content of contents)
    hash.update(content === undefined ? "-" : `+${content.length}:`).update(content ?? "");
  return hash.digest("hex");
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

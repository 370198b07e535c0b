import { join } from "node:path";
import type { Config } from "../config/config.ts";
import { findOpenMode } from "../files/file-modes.ts";
import { isLoopback } from "../trust/settings.ts";

/** Something that is open to more people than it need be. The start reports it, and goes on. */
export interface Exposure {
  /** Where: the file and its mode, or the setting's address. */
  readonly where: Readonly<Record<string, string>>;
  /** What it means, and what to do. */
  readonly problem: string;
}

/** Looks for files and addresses among the settings that others can reach. */
export async function findExposures(config: Config): Promise<Exposure[]> {
  return [...(await findOpenFiles(config)), ...findOpenAddresses(config)];
}

async function findOpenFiles(config: Config): Promise<Exposure[]> {
  const { tlsPaths, tokens, dataDir, erasureKeyFile, databaseUrl, revokedFile } = config;
  const secrets = [
    tlsPaths?.tlsKey,
    tokens.keys.kind === "own" ? join(dataDir, "keys", "signing.jwk") : undefined,
    erasureKeyFile,
    ...(databaseUrl === undefined
      ? ["password", "password-service"].map((name) => join(dataDir, "postgres", name))
      : []),
  ];
  // Whoever can write these decides who is let in: even rotated keys are believed for a time.
  const deciders = [
    tlsPaths?.tlsCert,
    tlsPaths?.tlsClientCa,
    tokens.keys.kind === "file" ? tokens.keys.file : undefined,
    tokens.keys.kind === "own" ? join(dataDir, "keys", "retired.json") : undefined,
    revokedFile ?? join(dataDir, "keys", "revoked"),
  ];
  return [
    ...(await openAmong(
      secrets,
      "read",
      "others can read this secret: chmod 600 it, and replace it if they may have read it",
    )),
    ...(await openAmong(
      [join(dataDir, "keys")],
      "write",
      "others can put files into this folder that decide who is let in: chmod 700 it",
    )),
    ...(await openAmong(deciders, "write", "others can change this file, which decides who is let in: chmod go-w it")),
  ];
}

async function openAmong(files: readonly (string | undefined)[], to: "read" | "write", problem: string) {
  const found: Exposure[] = [];
  for (const file of files) {
    const mode = await findOpenMode(file, to);
    if (file !== undefined && mode !== undefined) found.push({ where: { file, mode }, problem });
  }
  return found;
}

function findOpenAddresses({ host, tls, metrics, databaseUrl, hintsUrl }: Config): Exposure[] {
  const found: Exposure[] = [];
  const say = (address: string, problem: string) => found.push({ where: { address }, problem });
  if (metrics && isEveryAddress(metrics.host))
    say(
      metrics.host,
      "anyone can read metrics on every address of this machine: set TANDEM_METRICS_HOST to the address that Prometheus uses",
    );
  // Off loopback it listens without TLS only where TANDEM_ALLOW_CLEARTEXT says so.
  if (!tls && !isLoopback(host))
    say(
      host,
      "calls and tokens arrive without TLS (TANDEM_ALLOW_CLEARTEXT): let only the proxy that has TLS reach this address",
    );
  for (const [setting, url] of Object.entries({ TANDEM_DATABASE_URL: databaseUrl, TANDEM_HINTS_URL: hintsUrl })) {
    const database = url === undefined ? undefined : URL.parse(url);
    if (database && isCleartext(database))
      say(
        database.hostname,
        `the connection to the database is not encrypted, but carries numbers and keys: add sslmode=verify-full to ${setting}`,
      );
  }
  return found;
}

function isEveryAddress(host: string): boolean {
  return ["", "0.0.0.0", "0", "::", "[::]", "::0", "0:0:0:0:0:0:0:0"].includes(host);
}

// A host that is a folder is a socket of this machine.
function isCleartext({ hostname, searchParams }: URL): boolean {
  const host = decodeURIComponent(searchParams.get("host") ?? hostname);
  if (host === "" || host.startsWith("/") || isLoopback(host)) return false;
  const mode = searchParams.get("sslmode") ?? (searchParams.get("ssl") === "true" ? "require" : "disable");
  return mode === "disable" || mode === "allow";
}

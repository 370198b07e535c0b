import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { JSONWebKeySet } from "jose";
import { wallMs } from "../domain/time/wall-clock.ts";
import { parseCertificates } from "./certificates.ts";
import { parseKeySet } from "./token-keys.ts";

/** The contents of the PEM files. */
export interface TlsFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Authorities whose client certificates are believed; undefined: no certificate is asked for. */
  readonly clientCa: Buffer | undefined;
}

/** Where they are read from, at the start and again when they change. */
export interface TlsPaths {
  readonly tlsCert: string;
  readonly tlsKey: string;
  readonly tlsClientCa: string | undefined;
}

/** Whose tokens are believed. */
export interface TokenTrust {
  /** `own`: the key in the data folder. `none`: client certificates only. */
  readonly keys:
    | { readonly kind: "own" }
    | { readonly kind: "url"; readonly url: URL }
    | { readonly kind: "file"; readonly file: string; readonly keySet: JSONWebKeySet }
    | { readonly kind: "none" };
  readonly issuer: string;
  readonly audience: string;
  /**
   * A token for this audience is the platform's. Undefined: no audience makes a token the
   * platform's.
   */
  readonly platformAudience: string | undefined;
}

/** The settings that decide who is believed, as config.ts reads them. */
interface SecuritySettings {
  readonly databaseUrl?: string | undefined;
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  readonly tlsClientCa?: string | undefined;
  readonly jwksUrl?: string | undefined;
  readonly jwksFile?: string | undefined;
  readonly jwtIssuer?: string | undefined;
  readonly jwtAudience?: string | undefined;
  readonly jwtPlatformAudience?: string | undefined;
  readonly issueTokens?: boolean | undefined;
}

/** Reads the PEM files and tries them; adds what is wrong to the mistakes. */
export function readTls(settings: SecuritySettings, mistakes: string[]): TlsFiles | undefined {
  if (!settings.tlsCert && !settings.tlsKey) {
    if (settings.tlsClientCa) mistakes.push("TANDEM_TLS_CLIENT_CA: needs TANDEM_TLS_CERT and TANDEM_TLS_KEY");
    return undefined;
  }
  if (!settings.tlsCert) mistakes.push("TANDEM_TLS_CERT: missing, although TANDEM_TLS_KEY is set");
  if (!settings.tlsKey) mistakes.push("TANDEM_TLS_KEY: missing, although TANDEM_TLS_CERT is set");
  const cert = readSettingFile("TANDEM_TLS_CERT", settings.tlsCert, mistakes);
  const key = readSettingFile("TANDEM_TLS_KEY", settings.tlsKey, mistakes);
  const clientCa = readSettingFile("TANDEM_TLS_CLIENT_CA", settings.tlsClientCa, mistakes);
  if (!cert || !key) return undefined;
  tryPart("TANDEM_TLS_CERT and TANDEM_TLS_KEY", () => createSecureContext({ cert, key }), mistakes);
  if (clientCa) tryPart("TANDEM_TLS_CLIENT_CA", () => parseCertificates(clientCa), mistakes);
  return { cert, key, clientCa };
}

/**
 * Checks files that are to replace those in use: cert and key belong together, and no certificate
 * has expired.
 * @throws Error that tells what is wrong.
 */
export function assertUsableTls({ cert, key, clientCa }: TlsFiles): void {
  createSecureContext({ cert, key });
  const [own] = parseCertificates(cert);
  if (own && Date.parse(own.validTo) <= wallMs()) throw new Error(`the certificate expired at ${own.validTo}`);
  if (clientCa) parseCertificates(clientCa);
}

/** Decides whose tokens are believed; adds what is wrong to the mistakes. */
export function readTokenTrust(settings: SecuritySettings, mistakes: string[]): TokenTrust {
  const names = {
    issuer: settings.jwtIssuer ?? "tandem",
    audience: settings.jwtAudience ?? "tandem",
    platformAudience: settings.jwtPlatformAudience,
  };
  const hasKeySet = settings.jwksUrl !== undefined || settings.jwksFile !== undefined;
  return { ...names, keys: hasKeySet ? readOutsideKeys(settings, mistakes) : chooseOwnKey(settings, mistakes) };
}

/** Whether an address or host name is this machine's own. */
export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || host === "[::1]" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

function chooseOwnKey(settings: SecuritySettings, mistakes: string[]): TokenTrust["keys"] {
  if (settings.issueTokens ?? settings.databaseUrl === undefined) return { kind: "own" };
  if (!settings.tlsClientCa) {
    mistakes.push(
      "TANDEM_JWKS_URL: nobody could call. Set it or TANDEM_JWKS_FILE to accept an issuer's tokens, TANDEM_TLS_CLIENT_CA to accept " +
        "client certificates, or TANDEM_ISSUE_TOKENS=on to sign tokens with the data folder's own key",
    );
  }
  return { kind: "none" };
}

function readOutsideKeys(settings: SecuritySettings, mistakes: string[]): TokenTrust["keys"] {
  if (settings.jwksUrl && settings.jwksFile)
    mistakes.push("TANDEM_JWKS_URL and TANDEM_JWKS_FILE: set only one of them");
  if (settings.issueTokens)
    mistakes.push("TANDEM_ISSUE_TOKENS: cannot be on together with a JWKS, as there is only one issuer");
  if (!settings.jwtIssuer) mistakes.push("TANDEM_JWT_ISSUER: missing, but required with a JWKS");
  if (!settings.jwtAudience) mistakes.push("TANDEM_JWT_AUDIENCE: missing, but required with a JWKS");
  if (!settings.jwksUrl) return readKeySet(settings.jwksFile, mistakes);
  const url = URL.parse(settings.jwksUrl);
  if (url?.protocol === "https:" || (url?.protocol === "http:" && isLoopback(url.hostname)))
    return { kind: "url", url };
  mistakes.push("TANDEM_JWKS_URL: expected an https URL (http on loopback only)");
  return { kind: "none" };
}

function readKeySet(file: string | undefined, mistakes: string[]): TokenTrust["keys"] {
  const content = readSettingFile("TANDEM_JWKS_FILE", file, mistakes);
  if (!file || !content) return { kind: "none" };
  try {
    return { kind: "file", file, keySet: parseKeySet(content.toString("utf8")) };
  } catch {
    mistakes.push(
      `TANDEM_JWKS_FILE: ${file} is not a JSON Web Key Set of public keys (EC, RSA or OKP) with a key in it`,
    );
    return { kind: "none" };
  }
}

function readSettingFile(variable: string, file: string | undefined, mistakes: string[]): Buffer | undefined {
  if (!file) return undefined;
  try {
    return readFileSync(file);
  } catch (error) {
    mistakes.push(`${variable}: cannot read ${file} (${(error as NodeJS.ErrnoException).code})`);
    return undefined;
  }
}

function tryPart(names: string, attempt: () => unknown, mistakes: string[]): void {
  try {
    attempt();
  } catch (error) {
    mistakes.push(`${names}: ${error instanceof Error ? error.message : error}`);
  }
}

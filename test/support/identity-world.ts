import { createHash, X509Certificate } from "node:crypto";
import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import type { SecureClientSessionOptions } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Interceptor, Transport } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { sql } from "kysely";
import type { Credential } from "../../src/domain/carriers/carrier.ts";
import { type CredentialIdentity, identityText } from "../../src/domain/carriers/principal.ts";
import { PLATFORM_SCOPES } from "../../src/domain/carriers/scopes.ts";
import { writeCredentials } from "../../src/store/carriers/carriers.ts";
import { systemTransaction } from "../../src/store/database/database.ts";
import { run } from "../../src/store/database/run.ts";
import { addCarrier } from "./carriers.ts";
import { type CertificateFiles, createAuthority, type TestAuthority } from "./certificates.ts";
import { stepClockBack } from "./clock.ts";
import { type Exchange, startExchange } from "./exchange.ts";
import { createIssuer, type TestIssuer } from "./issuer.ts";

/** How callers show who they are. */
export type Mode = "own key" | "JWKS" | "certificate";
export const MODES: readonly Mode[] = ["own key", "JWKS", "certificate"];

/** What has become of an identity. */
export type State = "never known" | "active" | Change;
/**
 * What can happen to an identity while a call of it lives; elsewhere: its carrier is in another
 * region.
 */
export type Change = "suspended" | "elsewhere" | "removed" | "expired" | "moved" | "revoked";
export const CHANGES: readonly Change[] = ["suspended", "elsewhere", "removed", "expired", "moved", "revoked"];
export const STATES: readonly State[] = ["never known", "active", ...CHANGES];

/** What can happen to what the platform shows while a call of it lives. */
export type PlatformChange = "a carrier's" | "revoked" | "expired";
export const PLATFORM_CHANGES: readonly PlatformChange[] = ["a carrier's", "revoked", "expired"];

/** What a caller shows: a token, a certificate, or both. */
export interface Shown {
  readonly token?: string;
  readonly files?: CertificateFiles;
}

const ISSUER = "https://issuer.example";
export const PLATFORM_AUDIENCE = "tandem-platform";
export const ALL_SCOPES = PLATFORM_SCOPES.join(" ");
/** The platform's subject and name, by the settings. */
export const OPS = [jwt("JWKS", "ops"), { kind: "spiffe", uri: "spiffe://platform.example/ops" }] as const;
/** Subject and name that the settings call the platform's, and that were a carrier's since. */
export const TAINTED = [jwt("JWKS", "tainted"), { kind: "spiffe", uri: "spiffe://platform.example/tainted" }] as const;

/** A name that the settings call the platform's, for a test that changes what becomes of it. */
export function platformName(name: string): CredentialIdentity {
  return { kind: "spiffe", uri: `spiffe://platform.example/${name.replaceAll(/[^a-z]+/g, "-")}` };
}
const PLATFORM_NAMES = PLATFORM_CHANGES.flatMap((change) =>
  ["unary", "stream", "held"].map((kind) => platformName(`${change}-${kind}`)),
);

/** Longer than any credential of a test is good. */
const LATER_MS = 2 * 3_600_000;

/** The subject of an identity that is called by a name, such as its state. */
export function subjectOf(name: string): string {
  return `switch of ${name}`;
}

export function jwt(mode: Mode, subject: string): CredentialIdentity {
  return { kind: "jwt", issuer: mode === "JWKS" ? ISSUER : "tandem", subject };
}

export function identityOf(mode: Mode, name: string): CredentialIdentity {
  if (mode !== "certificate") return jwt(mode, subjectOf(name));
  return { kind: "dns", name: `${name.replaceAll(" ", "-")}.example` };
}

/** The carrier that has, or had, the identity of a name. */
export function carrierIdOf(mode: Mode, name: string): string {
  return `${mode.toLowerCase().replaceAll(" ", "-")}-${name.replaceAll(" ", "-")}`;
}

/**
 * Two servers, one that believes its own key and one that believes an issuer and client
 * certificates; with an identity in each state for each mode.
 */
export class IdentityWorld implements AsyncDisposable {
  readonly #resources: AsyncDisposableStack;
  readonly #servers: TestAuthority;
  readonly #clients: TestAuthority;
  readonly issuer: TestIssuer;
  readonly #own: Exchange;
  readonly #outside: Exchange;
  readonly #revokedFiles: RevokedFiles;
  /**
   * What each name shows, where that is a certificate: the same each time, so that it can be
   * revoked.
   */
  readonly #certificates = new Map<string, Promise<Shown>>();
  #takenBack = 0;

  private constructor(parts: WorldParts) {
    this.#resources = parts.resources;
    this.#servers = parts.servers;
    this.#clients = parts.clients;
    this.issuer = parts.issuer;
    this.#own = parts.own;
    this.#outside = parts.outside;
    this.#revokedFiles = parts.revokedFiles;
  }

  static async open(): Promise<IdentityWorld> {
    await using opening = new AsyncDisposableStack();
    const [servers, clients] = await Promise.all([createAuthority("servers"), createAuthority("clients")]);
    const issuer = opening.use(await createIssuer(ISSUER));
    const folder = await mkdtemp(join(tmpdir(), "tandem-identities-"));
    opening.defer(() => rm(folder, { recursive: true }));
    const { cert, key } = await servers.issue([{ type: "ip", value: "127.0.0.1" }]);
    const file = async (name: string, text: string) => {
      await writeFile(join(folder, name), text);
      return join(folder, name);
    };
    const common = {
      accessCacheMs: 20,
      reconcileIntervalMs: 0,
      retentionIntervalMs: 0,
      maxFeedStreams: 50,
      region: "eu",
    };
    const named = (identities: readonly CredentialIdentity[]) =>
      identities.map((identity) => `${identityText(identity)}=${ALL_SCOPES}`).join(";");
    const revokedFiles = { own: await file("revoked-own", ""), outside: await file("revoked-outside", "") };
    const own = opening.use(await startExchange({ ...common, revokedFile: revokedFiles.own }));
    const outside = opening.use(
      await startExchange({
        ...common,
        ...issuer.settings,
        tlsCert: await file("server.pem", cert),
        tlsKey: await file("server.key", key),
        tlsClientCa: await file("clients.pem", clients.cert),
        revokedFile: revokedFiles.outside,
        jwtPlatformAudience: PLATFORM_AUDIENCE,
        platformIdentities: named([...OPS, ...TAINTED, ...PLATFORM_NAMES]),
      }),
    );
    const world = new IdentityWorld({
      resources: opening.move(),
      servers,
      clients,
      issuer,
      own,
      outside,
      revokedFiles,
    });
    for (const mode of MODES) for (const state of STATES) await world.#make(mode, state);
    // By a process with other settings.
    await world.takeBack("JWKS", TAINTED[0]);
    await world.takeBack("certificate", TAINTED[1]);
    return world;
  }

  appOf(mode: Mode): Exchange {
    return mode === "own key" ? this.#own : this.#outside;
  }

  connect(mode: Mode, { token, files }: Shown): Transport {
    const bearer: Interceptor = (next) => (request) => {
      if (token !== undefined) request.header.set("authorization", `Bearer ${token}`);
      return next(request);
    };
    const options = { baseUrl: this.appOf(mode).url, interceptors: [bearer], idleConnectionTimeoutMs: 1_000 };
    return createGrpcTransport({ ...options, nodeOptions: this.tls(mode, files) });
  }

  tls(mode: Mode, files: CertificateFiles | undefined): SecureClientSessionOptions {
    return mode === "own key" ? {} : { ca: this.#servers.cert, ...files };
  }

  /**
   * What the identity of a name shows; its token has every scope, as far as the kind of token can.
   */
  async show(mode: Mode, name: string, claims: { readonly tandem_carrier?: string } = {}): Promise<Shown> {
    if (mode === "certificate") {
      const certificate = this.#certificates.get(name) ?? this.certificate(identityOf(mode, name));
      this.#certificates.set(name, certificate);
      return certificate;
    }
    if (mode === "JWKS")
      return { token: await this.issuer.sign({ sub: subjectOf(name), scope: ALL_SCOPES, ...claims }) };
    return this.#issue(subjectOf(name), claims.tandem_carrier);
  }

  /** A certificate with these names. */
  async certificate(...identities: readonly CredentialIdentity[]): Promise<Shown> {
    return { files: await this.#clients.issue(identities.map(nameIn)) };
  }

  /** A token of the issuer, bound to a certificate. */
  async bound(claims: Record<string, unknown>, { files }: Shown): Promise<string> {
    const { raw } = new X509Certificate(files?.cert ?? "");
    return this.issuer.sign({ ...claims, cnf: { "x5t#S256": createHash("sha256").update(raw).digest("base64url") } });
  }

  /** A carrier with one identity that calls are let in with. */
  async makeActive(mode: Mode, name: string): Promise<Shown> {
    const credentials = [{ identity: identityOf(mode, name) }];
    await addCarrier(this.appOf(mode).services.db, carrierIdOf(mode, name), { credentials });
    return this.show(mode, name);
  }

  /** Changes what is known of an identity, as another process would. */
  async apply(mode: Mode, name: string, change: Change): Promise<void> {
    const { db, access } = this.appOf(mode).services;
    const carrierId = carrierIdOf(mode, name);
    const identity = identityOf(mode, name);
    if (change === "suspended" || change === "elsewhere") {
      const changed = change === "suspended" ? sql`suspended = true` : sql`region = 'us'`;
      await systemTransaction(db, (tx) => run(tx)`UPDATE carrier SET ${changed} WHERE carrier_id = ${carrierId}`);
    } else if (change === "revoked") await this.#revoke(mode, subjectOf(name), await this.show(mode, name));
    else await this.#write(mode, carrierId, change === "expired" ? [{ identity, expireTime: 1n }] : []);
    if (change === "moved") await addCarrier(db, `${carrierId}-new`, { credentials: [{ identity }] });
    access.forget();
  }

  /** Gives an identity to a carrier and takes it back. */
  async takeBack(mode: Mode, identity: CredentialIdentity): Promise<void> {
    const { db, access } = this.appOf(mode).services;
    this.#takenBack += 1;
    const carrierId = `former-${this.#takenBack}`;
    await addCarrier(db, carrierId, { credentials: [{ identity }] });
    await this.#write(mode, carrierId, []);
    access.forget();
  }

  /**
   * What the platform shows: a token with scopes, of another issuer for its audience, or a
   * certificate with a name that the settings call its own.
   */
  async showPlatform(mode: Mode, name: string): Promise<Shown> {
    if (mode === "certificate") return this.certificate(platformName(name));
    if (mode === "own key") return this.#issue(name);
    return { token: await this.issuer.sign({ sub: name, aud: PLATFORM_AUDIENCE, scope: ALL_SCOPES }) };
  }

  /**
   * Changes what becomes of what the platform shows, until what is returned is disposed. Live
   * streams are judged again.
   */
  async applyToPlatform(mode: Mode, name: string, change: PlatformChange, shown: Shown): Promise<Disposable> {
    if (change === "a carrier's") {
      await this.takeBack(mode, mode === "certificate" ? platformName(name) : jwt(mode, name));
      return { [Symbol.dispose]: () => {} };
    }
    const later = change === "expired" ? stepClockBack(-LATER_MS) : { [Symbol.dispose]: () => {} };
    if (change === "revoked") await this.#revoke(mode, name, shown);
    else await this.#revoke(mode, `nobody ${name}`, {});
    return later;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#resources.disposeAsync();
  }

  async #make(mode: Mode, state: State): Promise<void> {
    const credentials = state === "never known" ? [] : [{ identity: identityOf(mode, state) }];
    await addCarrier(this.appOf(mode).services.db, carrierIdOf(mode, state), { credentials });
    if (state !== "never known" && state !== "active") await this.apply(mode, state, state);
  }

  /** Takes back the certificate that is shown, or the tokens of a subject. */
  async #revoke(mode: Mode, subject: string, { files }: Shown): Promise<void> {
    const entry = files ? { certificate: new X509Certificate(files.cert).fingerprint256 } : { subject };
    const file = mode === "own key" ? this.#revokedFiles.own : this.#revokedFiles.outside;
    await appendFile(file, `${JSON.stringify(entry)}\n`);
    await this.appOf(mode).reload();
  }

  /** A token of the own key: a carrier's by its claim, else one with every scope. */
  async #issue(identity: string, carrierId?: string): Promise<Shown> {
    if (!this.#own.signingKey) throw new Error("the app has no key");
    const who = carrierId === undefined ? { scopes: PLATFORM_SCOPES } : { carrierId };
    const common = { issuer: "tandem", audience: "tandem", identity, ttlSeconds: 600 };
    return { token: await this.#own.signingKey.issueToken({ ...common, ...who }) };
  }

  async #write(mode: Mode, carrierId: string, credentials: readonly Credential[]): Promise<void> {
    const { db, carriers } = this.appOf(mode).services;
    const carrier = await carriers.get(carrierId);
    if (!carrier) throw new Error(`no carrier ${carrierId}`);
    await systemTransaction(db, (tx) => writeCredentials(tx, { ...carrier, credentials }));
  }
}

interface WorldParts {
  readonly resources: AsyncDisposableStack;
  readonly servers: TestAuthority;
  readonly clients: TestAuthority;
  readonly issuer: TestIssuer;
  readonly own: Exchange;
  readonly outside: Exchange;
  readonly revokedFiles: RevokedFiles;
}

/** One for each server: the same subject may show tokens to both. */
interface RevokedFiles {
  readonly own: string;
  readonly outside: string;
}

function nameIn(identity: CredentialIdentity): { type: "dns" | "url"; value: string } {
  if (identity.kind === "jwt") throw new Error("a certificate has no subject of a token");
  return identity.kind === "spiffe" ? { type: "url", value: identity.uri } : { type: "dns", value: identity.name };
}

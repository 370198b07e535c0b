import { createHash, X509Certificate } from "node:crypto";
import { TLSSocket } from "node:tls";
import { type CredentialIdentity, identityText } from "../domain/carriers/principal.ts";
import { type Micros, microsFromMs } from "../domain/time/instant.ts";
import type { Trust } from "./trust.ts";

/** The longest chain that is looked at; OpenSSL takes no longer ones either. */
const MAX_CHAIN = 100;

/** What a client's certificate shows. */
export interface ClientCertificate {
  /**
   * Whether it leads to one of the authorities that this server believes now, and is not revoked.
   */
  readonly isTrusted: boolean;
  /**
   * The names in it that can be an identity, as texts: SPIFFE ids and DNS names of the subject
   * alternative name.
   */
  readonly identities: readonly string[];
  /** Its SHA-256, in DER. */
  readonly sha256: Buffer;
  /**
   * When it, or an authority between it and a root, expires, by the current time of day; in the
   * past: it has expired.
   */
  readonly expiresAt: Micros;
}

/** Reads the certificate that a client has shown; undefined when it has shown none. */
export function readClientCertificate(socket: unknown, trust: Trust): ClientCertificate | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  const known = certificates.get(socket);
  if (known) return known;
  const chain = readChain(socket);
  const [own] = chain;
  if (!own) return undefined;
  const certificate = new ShownCertificate(chain, own, socket.authorized, trust);
  certificates.set(socket, certificate);
  return certificate;
}

// A connection's certificate never changes, and is asked for with every call.
const certificates = new WeakMap<TLSSocket, ClientCertificate>();

class ShownCertificate implements ClientCertificate {
  readonly identities: readonly string[];
  readonly sha256: Buffer;
  readonly #fingerprint: string;
  readonly #writtenEnd: Micros;
  readonly #chain: readonly X509Certificate[];
  readonly #wasAuthorized: boolean;
  readonly #trust: Trust;
  #judged: { readonly generation: number; readonly isTrusted: boolean } | undefined;

  constructor(chain: readonly X509Certificate[], own: X509Certificate, wasAuthorized: boolean, trust: Trust) {
    this.#chain = chain;
    this.#wasAuthorized = wasAuthorized;
    this.#trust = trust;
    this.identities = parseSubjectAltName(own.subjectAltName ?? "").map(identityText);
    this.sha256 = createHash("sha256").update(own.raw).digest();
    this.#fingerprint = own.fingerprint256;
    this.#writtenEnd = microsFromMs(Math.min(...chain.map(({ validTo }) => Date.parse(validTo))));
  }

  get expiresAt(): Micros {
    return this.#trust.expiries.endOf(`${this.#writtenEnd} ${this.#fingerprint}`, this.#writtenEnd) ?? 0n;
  }

  // Judged once for each change of what is believed.
  get isTrusted(): boolean {
    const { generation } = this.#trust;
    if (this.#judged?.generation !== generation) this.#judged = { generation, isTrusted: this.#judge() };
    return this.#judged.isTrusted;
  }

  #judge(): boolean {
    const { revocations } = this.#trust;
    if (!this.#wasAuthorized || this.#chain.some((each) => revocations.hasCertificate(each.fingerprint256)))
      return false;
    return this.#trust.trustsChain(this.#chain);
  }
}

/** From the client's own certificate up; the root, which signs itself, is left out. */
function readChain(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = [];
  let shown: { raw: Buffer; issuerCertificate?: { raw: Buffer } } | undefined = socket.getPeerCertificate(true);
  while (shown?.raw && chain.length < MAX_CHAIN) {
    const certificate = new X509Certificate(shown.raw);
    if (chain.length > 0 && certificate.checkIssued(certificate)) break;
    chain.push(certificate);
    const above = shown.issuerCertificate as typeof shown;
    shown = above === shown ? undefined : above;
  }
  return chain;
}

/**
 * Node's text of a subject alternative name: `URI:spiffe://a/b, DNS:c`, a value with anything
 * special in it as a JSON string.
 */
export function parseSubjectAltName(text: string): CredentialIdentity[] {
  const identities: CredentialIdentity[] = [];
  for (const [, kind, written = ""] of text.matchAll(/(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)/g)) {
    const value = written.startsWith('"') ? String(JSON.parse(written)) : written;
    if (kind === "URI" && value.startsWith("spiffe://")) identities.push({ kind: "spiffe", uri: value });
    if (kind === "DNS") identities.push({ kind: "dns", name: value });
  }
  return identities;
}

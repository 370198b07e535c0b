import { TLSSocket } from "node:tls";
import { type Micros, microsFromMs } from "../domain/instant.ts";
import { type CredentialIdentity, identityText } from "../domain/principal.ts";

/** What a client's certificate shows. */
export interface ClientCertificate {
  /** Whether it leads to one of the authorities that this server believes. */
  readonly isTrusted: boolean;
  /** The names in it that can be an identity, as texts: SPIFFE ids and DNS names of the subject alternative name. */
  readonly identities: readonly string[];
  readonly expiresAt: Micros;
}

/** Reads the certificate that a client has shown; undefined when it has shown none. */
export function readClientCertificate(socket: unknown): ClientCertificate | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  const known = certificates.get(socket);
  if (known) return known;
  const x509 = socket.getPeerX509Certificate();
  if (!x509) return undefined;
  const certificate = {
    isTrusted: socket.authorized,
    identities: parseSubjectAltName(x509.subjectAltName ?? "").map(identityText),
    expiresAt: microsFromMs(Date.parse(x509.validTo)),
  };
  certificates.set(socket, certificate);
  return certificate;
}

// A connection's certificate never changes, and is asked for with every call.
const certificates = new WeakMap<TLSSocket, ClientCertificate>();

/** Node's text of a subject alternative name: `URI:spiffe://a/b, DNS:c`, a value with anything special in it as a JSON string. */
export function parseSubjectAltName(text: string): CredentialIdentity[] {
  const identities: CredentialIdentity[] = [];
  for (const [, kind, written = ""] of text.matchAll(/(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)/g)) {
    const value = written.startsWith('"') ? String(JSON.parse(written)) : written;
    if (kind === "URI" && value.startsWith("spiffe://")) identities.push({ kind: "spiffe", uri: value });
    if (kind === "DNS") identities.push({ kind: "dns", name: value });
  }
  return identities;
}

import "reflect-metadata";
import { webcrypto } from "node:crypto";
import * as x509 from "@peculiar/x509";

x509.cryptoProvider.set(webcrypto as never);
const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** A certificate and its key, in PEM. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** An authority of a test's own. */
export interface TestAuthority {
  readonly cert: string;
  /** A certificate for names: `dns` and `ip` for a server, `uri` for a SPIFFE id. */
  issue(
    names: readonly { type: "dns" | "ip" | "url"; value: string }[],
    options?: { notAfter?: Date },
  ): Promise<CertificateFiles>;
  /** The authority's certificate made anew, with the same name and key. */
  renew(): Promise<string>;
}

export async function createAuthority(name: string): Promise<TestAuthority> {
  const keys = await generateKeys();
  const certify = () =>
    x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: serial(),
      name: `CN=${name}`,
      notBefore: new Date(Date.now() - 3_600_000),
      notAfter: new Date(Date.now() + 86_400_000),
      signingAlgorithm: algorithm,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, 1, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      ],
    });
  const authority = await certify();
  return {
    cert: authority.toString("pem"),
    renew: async () => (await certify()).toString("pem"),
    issue: async (names, { notAfter = new Date(Date.now() + 3_600_000) } = {}) => {
      const own = await generateKeys();
      const certificate = await x509.X509CertificateGenerator.create({
        serialNumber: serial(),
        subject: "CN=test",
        issuer: authority.subject,
        notBefore: new Date(Date.now() - 3_600_000),
        notAfter,
        signingAlgorithm: algorithm,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        extensions: [new x509.SubjectAlternativeNameExtension([...names])],
      });
      return { cert: certificate.toString("pem"), key: await exportKey(own.privateKey) };
    },
  };
}

function serial(): string {
  return Buffer.from(webcrypto.getRandomValues(new Uint8Array(8))).toString("hex");
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return (await webcrypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as webcrypto.CryptoKeyPair;
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", key)).toString("base64");
  return `-----BEGIN PRIVATE KEY-----\n${der.match(/.{1,64}/g)?.join("\n")}\n-----END PRIVATE KEY-----\n`;
}

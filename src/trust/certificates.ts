import { X509Certificate } from "node:crypto";

const MAX_CERTIFICATES = 1_000;

/**
 * The certificates of a PEM file. Throws an Error when there is none, or one that cannot be read.
 */
export function parseCertificates(pem: Buffer): X509Certificate[] {
  const text = pem.toString("latin1");
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const begun = text.split("-----BEGIN CERTIFICATE-----").length - 1;
  if (blocks.length === 0 || blocks.length !== begun) throw new Error("no certificates, or an incomplete one");
  if (blocks.length > MAX_CERTIFICATES) throw new Error(`over ${MAX_CERTIFICATES} certificates`);
  return blocks.map((block) => new X509Certificate(block));
}

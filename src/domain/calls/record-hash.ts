import { hash } from "node:crypto";

/** The kind is hashed too, so no hash can stand for another kind. */
export const HashedContent = { DURATION: 1, CDR: 2, DURATION_PARTIES: 3, CDR_PARTIES: 4, UNREADABLE: 5 } as const;
export type HashedContent = (typeof HashedContent)[keyof typeof HashedContent];

/** Raise it only when what counts as content changes: stored hashes are compared with new ones. */
const VERSION = 1;
const KEPT_BYTES = 65_536;

let input = Buffer.allocUnsafeSlow(KEPT_BYTES);
const output = new DataView(new ArrayBuffer(8));

/**
 * The first 8 bytes of SHA-256 over secret, version, kind and content, as a signed integer. The key
 * keeps readers of the table from finding numbers by hashing all of them; the cut keeps them from
 * extending the hash.
 */
export function hashContent(secret: Uint8Array, kind: HashedContent, content: Uint8Array): bigint {
  const at = begin(secret, kind, content.length);
  input.set(content, at);
  return finish(at + content.length);
}

export function hashText(secret: Uint8Array, kind: HashedContent, text: string): bigint {
  const at = begin(secret, kind, text.length * 3);
  return finish(at + input.write(text, at, "utf8"));
}

function begin(secret: Uint8Array, kind: HashedContent, contentBytes: number): number {
  const bytes = secret.length + 2 + contentBytes;
  if (bytes > input.length || input.length > Math.max(KEPT_BYTES, bytes))
    input = Buffer.allocUnsafeSlow(Math.max(KEPT_BYTES, bytes));
  input.set(secret, 0);
  input[secret.length] = VERSION;
  input[secret.length + 1] = kind;
  return secret.length + 2;
}

// A digest as a binary string costs a third of a Buffer.
function finish(length: number): bigint {
  const digest = hash("sha256", input.subarray(0, length), "binary");
  for (let at = 0; at < 8; at++) output.setUint8(at, digest.charCodeAt(at));
  return output.getBigInt64(0);
}

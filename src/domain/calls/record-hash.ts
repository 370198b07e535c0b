import { hash } from "node:crypto";

/**
 * What is hashed; each kind of input has a range of its own, so that no hash of one can stand for
 * another.
 */
export const HashedContent = { DURATION: 1, CDR: 2, DURATION_PARTIES: 3, CDR_PARTIES: 4, UNREADABLE: 5 } as const;
export type HashedContent = (typeof HashedContent)[keyof typeof HashedContent];

/**
 * Part of what is hashed. To be raised when what counts as content changes, and never else: stored
 * hashes are compared with new ones.
 */
const VERSION = 1;
const KEPT_BYTES = 65_536;

let input = Buffer.allocUnsafeSlow(KEPT_BYTES);
const output = new DataView(new ArrayBuffer(8));

/**
 * The keyed hash of a record's content: the first 8 bytes of SHA-256 over secret, version, kind and
 * content, as a signed integer. Keyed, so that who reads the table cannot find out a number by
 * hashing all of them; cut to 8 bytes, so that the secret cannot be extended.
 */
export function hashContent(secret: Uint8Array, kind: HashedContent, content: Uint8Array): bigint {
  const at = begin(secret, kind, content.length);
  input.set(content, at);
  return finish(at + content.length);
}

/** The keyed hash of a text, as `hashContent`. */
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

// A digest as a string of bytes costs a third of one as a Buffer.
function finish(length: number): bigint {
  const digest = hash("sha256", input.subarray(0, length), "binary");
  for (let at = 0; at < 8; at++) output.setUint8(at, digest.charCodeAt(at));
  return output.getBigInt64(0);
}

import { hash } from "node:crypto";

/** The kind is hashed too, so no hash can stand for another kind. */
export const HashedContent = { DURATION: 1, CDR: 2, DURATION_PARTIES: 3, CDR_PARTIES: 4, UNREADABLE: 5 } as const;
export type HashedContent = (typeof HashedContent)[keyof typeof HashedContent];

/** Raise it only when what counts as content changes: stored hashes are compared with new ones. */
const VERSION = 1;
const KEPT_BYTES = 65_536;

/** Longer inputs are rare. */
const REMEMBERED_INPUTS = 1_024;

let input = Buffer.allocUnsafeSlow(KEPT_BYTES);
/** The first bytes of `input`, by their number: a new view each time would cost too much. */
const inputs: Buffer[] = [];
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

/** As `hashContent`, of bytes `[start, end)` of a buffer. Writes the hash's 8 bytes at a place. */
export function writeContentHash(
  secret: Uint8Array,
  kind: HashedContent,
  content: { readonly bytes: Buffer; readonly start: number; readonly end: number },
  into: { readonly bytes: Buffer; readonly at: number },
): void {
  const { bytes, start, end } = content;
  const from = begin(secret, kind, end - start);
  bytes.copy(input, from, start, end);
  const digest = hash("sha256", inputOf(from + end - start), "binary");
  for (let at = 0; at < 8; at++) into.bytes[into.at + at] = digest.charCodeAt(at);
}

function begin(secret: Uint8Array, kind: HashedContent, contentBytes: number): number {
  const bytes = secret.length + 2 + contentBytes;
  if (bytes > input.length || input.length > Math.max(KEPT_BYTES, bytes)) {
    input = Buffer.allocUnsafeSlow(Math.max(KEPT_BYTES, bytes));
    inputs.length = 0;
  }
  input.set(secret, 0);
  input[secret.length] = VERSION;
  input[secret.length + 1] = kind;
  return secret.length + 2;
}

// A digest as a binary string costs a third of a Buffer.
function finish(length: number): bigint {
  const digest = hash("sha256", inputOf(length), "binary");
  for (let at = 0; at < 8; at++) output.setUint8(at, digest.charCodeAt(at));
  return output.getBigInt64(0);
}

function inputOf(length: number): Buffer {
  if (length >= REMEMBERED_INPUTS) return input.subarray(0, length);
  let view = inputs[length];
  if (view === undefined) {
    view = input.subarray(0, length);
    inputs[length] = view;
  }
  return view;
}

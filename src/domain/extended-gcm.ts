import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

// XAES-256-GCM as C2SP specifies it (c2sp.org/XAES-256-GCM): AES-256-GCM with a key for each
// message, which the first half of a nonce of 24 bytes chooses. So any number of nonces may be
// random. With plain GCM only four thousand million may.

const KEY_BYTES = 32;
const NONCE_BYTES = 24;
const TAG_BYTES = 16;
const BLOCK = 16;

/** How many bytes longer a message is once it is encrypted. */
export const EXTENDED_GCM_OVERHEAD = NONCE_BYTES + TAG_BYTES;

/** A key that encrypts and authenticates. Throws unless it has 32 bytes. */
export class ExtendedGcmKey {
  readonly #key: Buffer;
  readonly #mask: Buffer;

  constructor(key: Uint8Array) {
    if (key.length !== KEY_BYTES) throw new Error(`expected a key of ${KEY_BYTES} bytes`);
    this.#key = Buffer.from(key);
    this.#mask = doubled(encryptBlocks(this.#key, Buffer.alloc(BLOCK)));
  }

  /**
   * Encrypts: nonce, cipher text, tag.
   * @param context is authenticated but not contained: whoever decrypts must name the same.
   */
  encrypt(context: Uint8Array, message: Uint8Array, nonce: Buffer = randomBytes(NONCE_BYTES)): Buffer {
    const cipher = createCipheriv("aes-256-gcm", this.#keyOf(nonce), nonce.subarray(BLOCK - 4)).setAAD(context);
    return Buffer.concat([nonce, cipher.update(message), cipher.final(), cipher.getAuthTag()]);
  }

  /** Decrypts; undefined if key or context differ, or the text was changed. */
  decrypt(context: Uint8Array, encrypted: Buffer): Buffer | undefined {
    if (encrypted.length < EXTENDED_GCM_OVERHEAD) return undefined;
    const nonce = encrypted.subarray(0, NONCE_BYTES);
    const decipher = createDecipheriv("aes-256-gcm", this.#keyOf(nonce), nonce.subarray(BLOCK - 4), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(context).setAuthTag(encrypted.subarray(-TAG_BYTES));
    const message = decipher.update(encrypted.subarray(NONCE_BYTES, -TAG_BYTES));
    try {
      return Buffer.concat([message, decipher.final()]);
    } catch {
      return undefined;
    }
  }

  #keyOf(nonce: Buffer): Buffer {
    const blocks = Buffer.alloc(2 * BLOCK);
    for (const [at, counter] of [1, 2].entries()) {
      blocks.set([0, counter, 0x58, 0], at * BLOCK);
      blocks.set(nonce.subarray(0, BLOCK - 4), at * BLOCK + 4);
      for (let byte = 0; byte < BLOCK; byte++)
        blocks[at * BLOCK + byte] = (blocks[at * BLOCK + byte] ?? 0) ^ (this.#mask[byte] ?? 0);
    }
    return encryptBlocks(this.#key, blocks);
  }
}

function encryptBlocks(key: Buffer, blocks: Buffer): Buffer {
  return createCipheriv("aes-256-ecb", key, null).setAutoPadding(false).update(blocks);
}

// The first subkey of CMAC: doubled in GF(2^128).
function doubled(block: Buffer): Buffer {
  const result = Buffer.alloc(BLOCK);
  for (let byte = 0; byte < BLOCK; byte++) result[byte] = ((block[byte] ?? 0) << 1) | ((block[byte + 1] ?? 0) >> 7);
  if ((block[0] ?? 0) & 0x80) result[BLOCK - 1] = (result[BLOCK - 1] ?? 0) ^ 0x87;
  return result;
}

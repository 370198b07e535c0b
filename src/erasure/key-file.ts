import { createCipheriv, createDecipheriv, createHmac, randomBytes } from "node:crypto";
import { chmod, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { makeFolder } from "../files/files.ts";

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const ALGORITHM = "aes-256-gcm";
/**
 * Hexadecimal digits of a fingerprint: enough to tell keys apart, and it says nothing of the key.
 */
const FINGERPRINT_DIGITS = 16;

/**
 * The key of the erasure journal. What it encrypts is bound to a name, so that no entry can stand
 * for another.
 */
export class ErasureKey {
  readonly #key: Buffer;

  constructor(key: Buffer) {
    this.#key = key;
  }

  /** Tells keys apart, and may be shown and kept. */
  get fingerprint(): string {
    return createHmac("sha256", this.#key).update("tandem erasure key").digest("hex").slice(0, FINGERPRINT_DIGITS);
  }

  /** Encrypts a text: nonce, tag and cipher text. */
  encrypt(name: string, text: string): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.#key, nonce).setAAD(Buffer.from(name));
    const encrypted = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), encrypted]);
  }

  /**
   * Decrypts what `encrypt` made. Throws when it was made under another key or name, or was
   * changed.
   */
  decrypt(name: string, bytes: Buffer): string {
    const decipher = createDecipheriv(ALGORITHM, this.#key, bytes.subarray(0, NONCE_BYTES)).setAAD(Buffer.from(name));
    decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    return decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES), undefined, "utf8") + decipher.final("utf8");
  }
}

/** Reads the key file; undefined: there is none. Throws when it holds no key. */
export async function readErasureKey(path: string): Promise<ErasureKey | undefined> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  return text === undefined ? undefined : parseErasureKey(path, text);
}

/** Makes the key file, or reads it where another process made it just now. */
export async function makeErasureKey(path: string): Promise<ErasureKey> {
  await makeFolder(dirname(path));
  const key = (await makeKey(path)) ?? (await readErasureKey(path));
  if (!key) throw new Error(`${path}: it was made just now, and is gone`);
  return key;
}

/** What a key file has in it. */
export function parseErasureKey(path: string, text: string): ErasureKey {
  const key = Buffer.from(text.trim(), "base64");
  if (key.length !== KEY_BYTES) throw new Error(`${path}: expected a key of the erasure journal, 32 bytes in base64`);
  return new ErasureKey(key);
}

// Undefined when another process made one just now.
async function makeKey(path: string): Promise<ErasureKey | undefined> {
  const key = randomBytes(KEY_BYTES);
  const file = await open(path, "wx", 0o600).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "EEXIST") return undefined;
    throw error;
  });
  if (!file) return undefined;
  try {
    await file.writeFile(`${key.toString("base64")}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await chmod(path, 0o600);
  return new ErasureKey(key);
}

import { createCipheriv, createDecipheriv, createHmac, randomBytes } from "node:crypto";
import { chmod, open, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { makeFolder } from "../files/files.ts";

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const ALGORITHM = "aes-256-gcm";
/** Enough digits to tell keys apart, too few to say anything about the key. */
const FINGERPRINT_DIGITS = 16;

/** The journal's key. Cipher texts are bound to a name, so no entry can stand in for another. */
export class ErasureKey {
  readonly #key: Buffer;

  constructor(key: Buffer) {
    this.#key = key;
  }

  /** Tells keys apart; not secret. */
  get fingerprint(): string {
    return createHmac("sha256", this.#key).update("tandem erasure key").digest("hex").slice(0, FINGERPRINT_DIGITS);
  }

  /** Returns nonce, tag and cipher text. */
  encrypt(name: string, text: string): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.#key, nonce).setAAD(Buffer.from(name));
    const encrypted = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), encrypted]);
  }

  /** Throws when the key or name differs or the bytes were changed. */
  decrypt(name: string, bytes: Buffer): string {
    const decipher = createDecipheriv(ALGORITHM, this.#key, bytes.subarray(0, NONCE_BYTES)).setAAD(Buffer.from(name));
    decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    return decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES), undefined, "utf8") + decipher.final("utf8");
  }
}

/** Undefined: no file. Throws when it holds no key. */
export async function readErasureKey(path: string): Promise<ErasureKey | undefined> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  return text === undefined ? undefined : parseErasureKey(path, text);
}

/** Makes the key file, or reads one that another process has just made. */
export async function makeErasureKey(path: string): Promise<ErasureKey> {
  await makeFolder(dirname(path));
  const key = (await makeKey(path)) ?? (await readErasureKey(path));
  if (!key) throw new Error(`${path}: it was created just now, but is gone`);
  return key;
}

export function parseErasureKey(path: string, text: string): ErasureKey {
  const key = Buffer.from(text.trim(), "base64");
  if (key.length !== KEY_BYTES) throw new Error(`${path}: expected a key of the erasure journal, 32 bytes in base64`);
  return new ErasureKey(key);
}

// Undefined: another process has just made one.
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

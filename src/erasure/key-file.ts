import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { chmod, open, readFile } from "node:fs/promises";

const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const ALGORITHM = "aes-256-gcm";

/** The key of the erasure journal. What it encrypts is bound to a name, so that no entry can stand for another. */
export class ErasureKey {
  readonly #key: Buffer;

  constructor(key: Buffer) {
    this.#key = key;
  }

  /** Encrypts a text: nonce, tag and cipher text. */
  encrypt(name: string, text: string): Buffer {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.#key, nonce).setAAD(Buffer.from(name));
    const encrypted = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
    return Buffer.concat([nonce, cipher.getAuthTag(), encrypted]);
  }

  /** Decrypts what `encrypt` made. Throws when it was made under another key or name, or was changed. */
  decrypt(name: string, bytes: Buffer): string {
    const decipher = createDecipheriv(ALGORITHM, this.#key, bytes.subarray(0, NONCE_BYTES)).setAAD(Buffer.from(name));
    decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    return decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES), undefined, "utf8") + decipher.final("utf8");
  }
}

/**
 * Opens the key file, and makes it when nothing was ever encrypted.
 * @param isNeeded whether entries exist, which no new key could read.
 * @throws Error that says what to do, when it is needed and missing, or is not a key.
 */
export async function openErasureKey(path: string, isNeeded: boolean): Promise<ErasureKey> {
  const text = await readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text !== undefined) return new ErasureKey(keyOf(path, text));
  if (isNeeded) {
    throw new Error(
      `the key of the erasure journal, ${path}, is missing, and there are erasures that only it can read: put the file back, or say where it is with TANDEM_ERASURE_KEY_FILE`,
    );
  }
  return (await makeKey(path)) ?? openErasureKey(path, true);
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

function keyOf(path: string, text: string): Buffer {
  const key = Buffer.from(text.trim(), "base64");
  if (key.length !== KEY_BYTES) throw new Error(`${path}: expected a key of the erasure journal, 32 bytes in base64`);
  return key;
}

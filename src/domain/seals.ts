import { hkdfSync } from "node:crypto";
import { EXTENDED_GCM_OVERHEAD, ExtendedGcmKey } from "./extended-gcm.ts";

/** What is sealed. Each purpose has its own key, so a seal for one never opens for another. */
export type SealPurpose = "cursor" | "page token";

/** A secret that all processes share, from which the keys are derived. */
export interface SealSecret {
  /** 1 to 2^32 - 1. */
  readonly keyId: number;
  /** 32 bytes. */
  readonly secret: Buffer;
}

/** What opening came to: the body; its key is gone; or it was not sealed for this. */
export type Opened = { readonly body: Buffer } | "key gone" | "not genuine";

/** The first byte. Another format gets another number. */
const VERSION = 2;
const HEADER_BYTES = 1 + 4;

/**
 * Seals what clients keep for us and cannot read or make: cursors and page tokens. A seal is
 * version, key id, nonce, cipher text and tag, as base64url. The same body gives another seal each
 * time.
 */
export class Seals {
  readonly #readAgain: () => Promise<void>;
  #keys: ReadonlyMap<number, DerivedKeys>;
  #current: DerivedKeys;
  /** The installation's secret: it made the texts of the time before seals. */
  readonly unsealedSecret: Buffer;

  /**
   * @param secrets the newest last; it seals.
   * @param readAgain calls `replace` with the present keys: another process may have made a key
   *   just now.
   */
  constructor(secrets: readonly SealSecret[], unsealedSecret: Buffer, readAgain: () => Promise<void> = async () => {}) {
    ({ keys: this.#keys, current: this.#current } = derive(secrets));
    this.unsealedSecret = unsealedSecret;
    this.#readAgain = readAgain;
  }

  /** Takes the keys that there are now, the newest last. */
  replace(secrets: readonly SealSecret[]): void {
    ({ keys: this.#keys, current: this.#current } = derive(secrets, this.#keys));
  }

  /**
   * Seals a body.
   * @param scope everything that it is good for; whoever opens it must name the same.
   */
  seal(purpose: SealPurpose, scope: readonly string[], body: Uint8Array): string {
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt8(VERSION, 0);
    header.writeUInt32BE(this.#current.keyId, 1);
    const sealed = this.#current.of(purpose).encrypt(contextOf(header, scope), body);
    return Buffer.concat([header, sealed]).toString("base64url");
  }

  /**
   * Opens a seal. An unknown key is looked for first, which may take a second. Throws when the
   * database does not answer then.
   */
  async open(purpose: SealPurpose, scope: readonly string[], text: string): Promise<Opened> {
    const bytes = Buffer.from(text, "base64url");
    const isSeal =
      bytes.length >= HEADER_BYTES + EXTENDED_GCM_OVERHEAD &&
      bytes.readUInt8(0) === VERSION &&
      bytes.toString("base64url") === text;
    if (!isSeal) return "not genuine";
    const keyId = bytes.readUInt32BE(1);
    if (!this.#keys.has(keyId)) await this.#readAgain();
    const keys = this.#keys.get(keyId);
    if (!keys) return "key gone";
    const context = contextOf(bytes.subarray(0, HEADER_BYTES), scope);
    const body = keys.of(purpose).decrypt(context, bytes.subarray(HEADER_BYTES));
    return body ? { body } : "not genuine";
  }
}

class DerivedKeys implements SealSecret {
  readonly keyId: number;
  readonly secret: Buffer;
  readonly #keys = new Map<SealPurpose, ExtendedGcmKey>();

  constructor({ keyId, secret }: SealSecret) {
    this.keyId = keyId;
    this.secret = secret;
  }

  of(purpose: SealPurpose): ExtendedGcmKey {
    const known = this.#keys.get(purpose);
    if (known) return known;
    const bytes = hkdfSync("sha256", this.secret, "", `tandem seal: ${purpose}`, 32);
    const key = new ExtendedGcmKey(new Uint8Array(bytes));
    this.#keys.set(purpose, key);
    return key;
  }
}

function derive(secrets: readonly SealSecret[], known: ReadonlyMap<number, DerivedKeys> = new Map()) {
  const keys = new Map<number, DerivedKeys>();
  for (const secret of secrets) {
    const old = known.get(secret.keyId);
    keys.set(secret.keyId, old?.secret.equals(secret.secret) ? old : new DerivedKeys(secret));
  }
  const current = keys.get(secrets.at(-1)?.keyId ?? 0);
  if (!current) throw new Error("there is no key to seal with");
  return { keys, current };
}

function contextOf(header: Buffer, scope: readonly string[]): Buffer {
  return Buffer.concat([header, Buffer.from(JSON.stringify(scope), "utf8")]);
}

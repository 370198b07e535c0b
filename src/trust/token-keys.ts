import type { JSONWebKeySet, JWTVerifyGetKey } from "jose";
import * as errors from "jose/errors";
import { createLocalJWKSet } from "jose/jwks/local";
import { z } from "zod";
import { TandemError } from "../domain/errors.ts";
import { OneAtATime } from "../domain/one-at-a-time.ts";
import { limitTime } from "../domain/time-limit.ts";

/** How long to wait for an issuer's keys, milliseconds. */
const FETCH_TIMEOUT_MS = 5_000;
const MAX_KEY_SET_BYTES = 512 * 1024;
const MAX_KEYS = 100;
/** How long keys from a URL are used before they are asked for again, milliseconds. */
const MAX_AGE_MS = 600_000;
/** How much longer they are used while the URL does not answer. */
const MAX_STALE_MS = 3_600_000;
/**
 * Least time between two requests to a URL because of an unknown key id, so that invented key ids
 * cause no more than these.
 */
const COOLDOWN_MS = 10_000;

const KeySet = z.object({
  keys: z
    .array(z.looseObject({ kty: z.string() }).refine((key) => key.kty !== "oct" && !("d" in key), "a secret key"))
    .max(MAX_KEYS),
});
/** An issuer may have keys of other types, with which nothing is verified. */
const KEY_TYPES = new Set(["EC", "RSA", "OKP"]);

/** Reads a JSON Web Key Set: no secret keys, and at least one that can be used. Throws an Error. */
export function parseKeySet(content: string): JSONWebKeySet {
  const keys = KeySet.parse(JSON.parse(content)).keys.filter(({ kty }) => KEY_TYPES.has(kty));
  if (keys.length === 0) throw new Error("no key of type EC, RSA or OKP");
  return { keys };
}

export interface TokenKeysOptions {
  /** Reads the keys anew. A failure leaves those that are known. */
  readonly load: () => Promise<JSONWebKeySet>;
  /** Undefined: read when first needed. */
  readonly initial?: JSONWebKeySet;
  /** How old the keys may get before they are read again, milliseconds. */
  readonly maxAgeMs: number;
  /**
   * Least time between two readings because of an unknown key id, or after a failure, milliseconds.
   */
  readonly cooldownMs: number;
  /** Called when other keys are in force than before. */
  readonly onChange?: () => void;
  readonly now?: () => number;
}

/**
 * The keys that tokens are verified with, as the issuer changes them: read again when they are old,
 * and when a token names a key that is not among them. While the source does not answer, the last
 * keys are used for an hour; whether a token of another key is genuine is then unknown.
 */
export class TokenKeys {
  readonly #options: TokenKeysOptions;
  readonly #now: () => number;
  #text: string | undefined;
  #find: ReturnType<typeof createLocalJWKSet> | undefined;
  #loadedMs = Number.NEGATIVE_INFINITY;
  #askedMs = Number.NEGATIVE_INFINITY;
  #missedMs = Number.NEGATIVE_INFINITY;
  /** Why the last reading failed; undefined: it did not. */
  #failure: { readonly cause: unknown } | undefined;
  readonly #readings = new OneAtATime(() => this.#load());

  constructor(options: TokenKeysOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    if (options.initial) this.#take(options.initial, this.#now());
  }

  /** For jose: the key that a token's header names. */
  readonly find: JWTVerifyGetKey = async (header, token) => {
    await this.keepFresh();
    const known = await this.#find?.(header, token).catch(onlyUnknownKey);
    if (known) return known;
    // Within the cooldown another token has asked for it just now.
    const isDue = this.#now() - this.#missedMs >= this.#options.cooldownMs;
    if (isDue) this.#missedMs = this.#now();
    await (isDue ? this.refresh() : this.#readings.pending)?.catch(() => {});
    const found = await this.#find?.(header, token).catch(onlyUnknownKey);
    if (found) return found;
    // The current keys are not known: the token may be genuine.
    if (!this.#find || this.#failure) throw this.#unreadUntilDue();
    return await this.#find(header, token);
  };

  /** Whether there are any keys yet. */
  get isLoaded(): boolean {
    return this.#find !== undefined;
  }

  /**
   * Reads the keys if they are old. Rejects with STORE_UNAVAILABLE when there are none that may
   * still be used.
   */
  async keepFresh(): Promise<void> {
    const { maxAgeMs, cooldownMs } = this.#options;
    const age = this.#now() - this.#loadedMs;
    if (this.#find && age < maxAgeMs) return;
    const mayUseOld = this.#find !== undefined && age < maxAgeMs + MAX_STALE_MS;
    if (mayUseOld && this.#now() - this.#askedMs < cooldownMs) return;
    try {
      // A reading that is under way is fresh enough.
      await (this.#readings.pending ?? this.refresh());
    } catch (error) {
      if (!mayUseOld) throw unreadable(error);
    }
  }

  /**
   * Reads the keys now. A request during a reading gets the next one, since the current one may
   * have read older keys; all such requests share it. Rejects when the source does not answer or
   * makes no sense.
   */
  refresh(): Promise<void> {
    return this.#readings.run();
  }

  async #load(): Promise<void> {
    const askedMs = this.#now();
    this.#askedMs = askedMs;
    try {
      this.#take(await this.#options.load(), askedMs);
      this.#failure = undefined;
    } catch (cause) {
      this.#failure = { cause };
      throw cause;
    }
  }

  // A retry before the keys are read again would be in vain.
  #unreadUntilDue(): TandemError {
    const dueMs = this.#missedMs + this.#options.cooldownMs - this.#now();
    return unreadable(this.#failure?.cause, Math.max(1, Math.ceil(dueMs)));
  }

  #take(keySet: JSONWebKeySet, askedMs: number): void {
    const text = JSON.stringify(keySet);
    this.#loadedMs = askedMs;
    if (text === this.#text) return;
    const isChange = this.#text !== undefined;
    this.#text = text;
    this.#find = createLocalJWKSet(keySet);
    if (isChange) this.#options.onChange?.();
  }
}

/**
 * The keys at an issuer's URL: kept for ten minutes, with a limit on time and size, and no
 * redirects.
 */
export function remoteTokenKeys(url: URL, onChange?: () => void): TokenKeys {
  const timing = { maxAgeMs: MAX_AGE_MS, cooldownMs: COOLDOWN_MS };
  return new TokenKeys({ load: () => fetchKeySet(url), ...timing, ...(onChange ? { onChange } : {}) });
}

/** Asks an issuer for its keys, once. Throws an Error within five seconds if it gives none. */
export async function fetchKeySet(url: URL): Promise<JSONWebKeySet> {
  using limit = limitTime(FETCH_TIMEOUT_MS);
  const response = await fetch(url, {
    signal: limit.signal,
    redirect: "error",
    headers: { accept: "application/json" },
  });
  if (response.status !== 200) {
    await response.body?.cancel();
    throw new Error(`the issuer's keys: HTTP ${response.status}`);
  }
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_KEY_SET_BYTES) throw new Error(`the issuer's keys are over ${MAX_KEY_SET_BYTES} bytes`);
    chunks.push(chunk);
  }
  return parseKeySet(Buffer.concat(chunks).toString("utf8"));
}

function onlyUnknownKey(error: unknown): undefined {
  if (error instanceof errors.JWKSNoMatchingKey) return undefined;
  throw error;
}

function unreadable(cause: unknown, retryAfterMs = 2_000): TandemError {
  const message = "the token issuer's keys cannot be read at the moment: call again";
  return new TandemError("STORE_UNAVAILABLE", message, {}, { cause, retryAfterMs });
}

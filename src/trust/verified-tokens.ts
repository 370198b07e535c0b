import { createHash } from "node:crypto";
import { Expiries } from "../domain/expiries.ts";
import { TokenExpired, type TokenVerifier, type VerifiedToken } from "./tokens.ts";
import type { Trust } from "./trust.ts";

/**
 * How long a verification is believed, milliseconds; a change of keys or revocations ends it at
 * once.
 */
const BELIEVED_MS = 60_000;
const MAX_REMEMBERED = 10_000;

/**
 * Remembers which tokens were found genuine, by their hash, and which of them had expired: neither
 * is verified again.
 */
export class VerifiedTokens {
  readonly #verify: TokenVerifier;
  readonly #trust: Trust;
  readonly #known = new Map<string, Verification>();
  /** Tokens that were genuine once, whatever was learned since: who shows one is no stranger. */
  readonly #genuine = new Set<string>();
  readonly #expiries = new Expiries();
  #generation = -1;

  constructor(verify: TokenVerifier, trust: Trust) {
    this.#verify = verify;
    this.#trust = trust;
  }

  /**
   * The content of a token that was verified a moment ago; undefined for any other. Throws
   * CREDENTIAL_EXPIRED.
   */
  find(token: string): VerifiedToken | undefined {
    this.#forgetIfChanged();
    const known = this.#known.get(hash(token));
    if (!known || known.untilMs <= performance.now()) return undefined;
    if (known.isExpired) throw new TokenExpired(known.token.issuer, known.token.subject);
    return this.#withEnd(known.token);
  }

  /** Whether this very token was found genuine before. */
  wasGenuine(token: string): boolean {
    return this.#genuine.has(hash(token));
  }

  /** As {@link TokenVerifier}. */
  async verify(token: string): Promise<VerifiedToken> {
    const { generation } = this.#trust;
    try {
      const genuine = await this.#verify(token);
      this.#remember(token, { token: genuine, isExpired: false }, generation);
      return this.#withEnd(genuine);
    } catch (error) {
      if (error instanceof TokenExpired) {
        const { issuer, subject } = error;
        this.#remember(token, { token: { issuer, subject }, isExpired: true }, generation);
      }
      throw error;
    }
  }

  #remember(token: string, found: Found, generation: number): void {
    this.#forgetIfChanged();
    if (generation !== this.#generation) return;
    const key = hash(token);
    forgetOldest(this.#known);
    this.#known.set(key, { ...found, untilMs: performance.now() + BELIEVED_MS });
    forgetOldest(this.#genuine);
    this.#genuine.add(key);
  }

  // A token is good for no longer than it had left when it was first seen, however the time of day
  // was set since. The key is its content: the same can be written in more than one way.
  #withEnd(token: VerifiedToken): VerifiedToken {
    const { issuer, subject, expiresAt: written } = token;
    const expiresAt = this.#expiries.endOf(hash(JSON.stringify([issuer, subject, String(written)])), written);
    if (expiresAt === undefined) throw new TokenExpired(issuer, subject);
    return { ...token, expiresAt };
  }

  #forgetIfChanged(): void {
    if (this.#generation === this.#trust.generation) return;
    this.#generation = this.#trust.generation;
    this.#known.clear();
  }
}

type Found =
  | { readonly token: VerifiedToken; readonly isExpired: false }
  | { readonly token: Pick<VerifiedToken, "issuer" | "subject">; readonly isExpired: true };
type Verification = Found & { readonly untilMs: number };

function forgetOldest(memory: Map<string, unknown> | Set<string>): void {
  const [oldest] = memory.keys();
  if (memory.size >= MAX_REMEMBERED && oldest !== undefined) memory.delete(oldest);
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("base64");
}

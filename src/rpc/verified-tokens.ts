import { createHash } from "node:crypto";
import { Expiries } from "../domain/expiries.ts";
import { credentialExpired, type TokenVerifier, type VerifiedToken } from "./tokens.ts";
import type { Trust } from "./trust.ts";

/** How long a verification is believed, milliseconds; a change of keys or revocations ends it at once. */
const BELIEVED_MS = 60_000;
const MAX_REMEMBERED = 10_000;

/** Remembers which tokens were found genuine, by their hash. */
export class VerifiedTokens {
  readonly #verify: TokenVerifier;
  readonly #trust: Trust;
  readonly #known = new Map<string, { readonly token: VerifiedToken; readonly untilMs: number }>();
  readonly #expiries = new Expiries();
  #generation = -1;

  constructor(verify: TokenVerifier, trust: Trust) {
    this.#verify = verify;
    this.#trust = trust;
  }

  /** What a token says that was verified a moment ago; undefined for any other. Throws CREDENTIAL_EXPIRED. */
  find(token: string): VerifiedToken | undefined {
    this.#forgetIfChanged();
    const known = this.#known.get(hash(token));
    if (!known || known.untilMs <= performance.now()) return undefined;
    return this.#withEnd(known.token);
  }

  /** As {@link TokenVerifier}. */
  async verify(token: string): Promise<VerifiedToken> {
    const { generation } = this.#trust;
    const genuine = await this.#verify(token);
    const verified = this.#withEnd(genuine);
    this.#forgetIfChanged();
    if (generation === this.#generation) {
      const [oldest] = this.#known.keys();
      if (this.#known.size >= MAX_REMEMBERED && oldest !== undefined) this.#known.delete(oldest);
      this.#known.set(hash(token), { token: genuine, untilMs: performance.now() + BELIEVED_MS });
    }
    return verified;
  }

  // A token that was good once is good for no longer than it then had left, however the time of day was set since. By what it says: the same can be written in
  // more than one way.
  #withEnd(token: VerifiedToken): VerifiedToken {
    const { issuer, subject, expiresAt: written } = token;
    const expiresAt = this.#expiries.endOf(hash(JSON.stringify([issuer, subject, String(written)])), written);
    if (expiresAt === undefined) throw credentialExpired();
    return { ...token, expiresAt };
  }

  #forgetIfChanged(): void {
    if (this.#generation === this.#trust.generation) return;
    this.#generation = this.#trust.generation;
    this.#known.clear();
  }
}

function hash(text: string): string {
  return createHash("sha256").update(text).digest("base64");
}

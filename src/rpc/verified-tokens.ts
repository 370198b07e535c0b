import { createHash } from "node:crypto";
import { microsFromMs } from "../domain/instant.ts";
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
  #generation = -1;

  constructor(verify: TokenVerifier, trust: Trust) {
    this.#verify = verify;
    this.#trust = trust;
  }

  /** What a token says that was verified a moment ago; undefined for any other. Throws CREDENTIAL_EXPIRED. */
  find(token: string): VerifiedToken | undefined {
    this.#forgetIfChanged();
    const known = this.#known.get(hash(token));
    if (!known || known.untilMs <= Date.now()) return undefined;
    if (known.token.expiresAt <= microsFromMs(Date.now())) throw credentialExpired();
    return known.token;
  }

  /** As {@link TokenVerifier}. */
  async verify(token: string): Promise<VerifiedToken> {
    const { generation } = this.#trust;
    const verified = await this.#verify(token);
    this.#forgetIfChanged();
    if (generation === this.#generation) {
      const [oldest] = this.#known.keys();
      if (this.#known.size >= MAX_REMEMBERED && oldest !== undefined) this.#known.delete(oldest);
      this.#known.set(hash(token), { token: verified, untilMs: Date.now() + BELIEVED_MS });
    }
    return verified;
  }

  #forgetIfChanged(): void {
    if (this.#generation === this.#trust.generation) return;
    this.#generation = this.#trust.generation;
    this.#known.clear();
  }
}

function hash(token: string): string {
  return createHash("sha256").update(token).digest("base64");
}

import { type ErrorReason, rateLimited, TandemError } from "../../../domain/errors.ts";
import { Buckets } from "../../../port/buckets.ts";

/** What may be refused at once after a rest, in seconds of the rate. */
const BURST_S = 10;

/** The errors with which a call is refused for its credential, once it is known whose it is. */
const DENIALS: ReadonlySet<ErrorReason> = new Set([
  "UNAUTHENTICATED",
  "CREDENTIAL_EXPIRED",
  "PERMISSION_DENIED",
  "CARRIER_SUSPENDED",
  "REGION_MISMATCH",
]);

/**
 * Limits how often a credential is refused. Beyond the rate it is refused before a signature is
 * verified and before the store is asked. The key is the credential with the method: what it may do
 * goes on, and so does every other credential. Each process counts for itself.
 */
export class DenialLimit {
  readonly #buckets: Buckets;

  /** @param perSecond 0: no limit. */
  constructor(perSecond: number, now?: () => number) {
    this.#buckets = new Buckets({ perSecond, burst: perSecond * BURST_S, ...(now ? { now } : {}) });
  }

  /** A call that may or may not be let in. */
  begin(method: string): DenialAttempt {
    return new DenialAttempt(this.#buckets, method);
  }
}

/** A call that asks to be let in. */
export class DenialAttempt {
  readonly #buckets: Buckets;
  readonly #method: string;
  #key: string | undefined;

  constructor(buckets: Buckets, method: string) {
    this.#buckets = buckets;
    this.#method = method;
  }

  /**
   * Sets the key of the credential: everything about it that decides what it may do.
   * @throws TandemError RATE_LIMITED
   */
  identify(credential: string): void {
    this.#key = `${this.#method} ${credential}`;
    this.#assertAllowed(this.#key);
  }

  /**
   * Counts a call that is refused for its credential. Of calls at the same time that all came this
   * far, those over the rate are refused for it too.
   * @throws TandemError RATE_LIMITED
   */
  failed(error: unknown): void {
    if (this.#key === undefined || !(error instanceof TandemError) || !DENIALS.has(error.reason)) return;
    this.#assertAllowed(this.#key);
    this.#buckets.spend(this.#key, 1);
  }

  #assertAllowed(key: string): void {
    const retryAfterMs = this.#buckets.waitMs(key);
    if (retryAfterMs === 0) return;
    const message = "calls of this credential to this method were refused too often of late: call again later";
    throw rateLimited(message, retryAfterMs);
  }
}

import { rateLimited } from "../domain/errors.ts";
import type { Limits } from "../domain/limits.ts";
import { Buckets } from "./buckets.ts";
import { type PlaceLimits, Places } from "./places.ts";

/** What an address may send at once after a rest, in seconds of its rate. */
const BURST_S = 10;
/** This many bytes of an answer cost as much as one message. */
const BYTES_FOR_ONE = 16_384;

/**
 * Limits how much of this process an address may use without a credential: messages a second, and
 * calls and streams at once.
 */
export class AnonymousLimits {
  readonly #buckets: Buckets;
  readonly #calls = new Places();
  readonly #streams = new Places();
  readonly #callLimits: PlaceLimits;
  readonly #streamLimits: PlaceLimits;

  constructor(limits: Limits) {
    const { maxAnonymousPerSecond: perSecond, maxAnonymousStreams: most } = limits;
    this.#buckets = new Buckets({ perSecond, burst: perSecond * BURST_S });
    const of = (what: string, mostOfOne: number) => ({
      ...{ most, mostOfOne },
      refusal: () => `too many ${what} without a credential are open`,
    });
    this.#callLimits = of("calls", limits.maxAnonymousCallsPerAddress);
    this.#streamLimits = of("streams", limits.maxAnonymousStreamsPerAddress);
  }

  /** @throws TandemError RATE_LIMITED */
  takeMessage(address: string): void {
    const retryAfterMs = this.#buckets.take(address);
    if (retryAfterMs > 0)
      throw rateLimited("this address has called too often without a credential: call again later", retryAfterMs);
  }

  /** A long answer is paid for afterwards. */
  spendAnswer(address: string, bytes: number): void {
    this.#buckets.spend(address, Math.floor(bytes / BYTES_FOR_ONE));
  }

  /** Takes the place of a call until it is disposed. @throws TandemError TOO_MANY_STREAMS */
  openCall(address: string): Disposable {
    return this.#calls.takeWithin(address, this.#callLimits);
  }

  /** Takes the place of a stream until it is disposed. @throws TandemError TOO_MANY_STREAMS */
  openStream(address: string): Disposable {
    return this.#streams.takeWithin(address, this.#streamLimits);
  }
}

import { TandemError } from "../domain/errors.ts";
import type { Limits } from "../domain/limits.ts";
import { Buckets } from "./buckets.ts";
import { Places } from "./places.ts";

/** What an address may send at once after a rest, in seconds of its rate. */
const BURST_S = 10;
/** So many bytes of an answer are paid for as one message is. */
const BYTES_FOR_ONE = 16_384;

type AnonymousBounds = Pick<
  Limits,
  "maxAnonymousPerSecond" | "maxAnonymousStreams" | "maxAnonymousStreamsPerAddress" | "maxAnonymousCallsPerAddress"
>;

/**
 * Limits how much of this process an address may take without a credential: messages a second, and
 * calls and streams at once.
 */
export class AnonymousLimits {
  readonly #buckets: Buckets | undefined;
  readonly #calls: Places;
  readonly #streams: Places;

  constructor(limits: AnonymousBounds) {
    const { maxAnonymousPerSecond: perSecond, maxAnonymousStreams: most } = limits;
    if (perSecond > 0) this.#buckets = new Buckets({ perSecond, burst: perSecond * BURST_S });
    this.#calls = new Places("calls without a credential", most, limits.maxAnonymousCallsPerAddress);
    this.#streams = new Places("streams without a credential", most, limits.maxAnonymousStreamsPerAddress);
  }

  /** @throws TandemError RATE_LIMITED */
  takeMessage(address: string): void {
    const retryAfterMs = this.#buckets?.take(address) ?? 0;
    if (retryAfterMs === 0) return;
    const message = "this address has called too often without a credential: call again later";
    throw new TandemError("RATE_LIMITED", message, {}, { retryAfterMs });
  }

  /** A long answer is paid for afterwards. */
  spendAnswer(address: string, bytes: number): void {
    this.#buckets?.spend(address, Math.floor(bytes / BYTES_FOR_ONE));
  }

  /** Takes the place of a call until it is disposed. @throws TandemError TOO_MANY_STREAMS */
  openCall(address: string): Disposable {
    return this.#calls.take(address);
  }

  /** Takes the place of a stream until it is disposed. @throws TandemError TOO_MANY_STREAMS */
  openStream(address: string): Disposable {
    return this.#streams.take(address);
  }
}

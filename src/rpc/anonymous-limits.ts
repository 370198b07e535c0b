import { TandemError } from "../domain/errors.ts";
import type { Limits } from "../domain/limits.ts";
import { Buckets } from "./buckets.ts";

/** What an address may send at once after a rest, in seconds of its rate. */
const BURST_S = 10;
/** So many bytes of an answer are paid for as one message is. */
const BYTES_FOR_ONE = 16_384;

/** Limits how much of this process an address may take without a credential: messages a second, and streams at once. */
export class AnonymousLimits {
  readonly #buckets: Buckets | undefined;
  readonly #maxStreams: number;
  readonly #maxStreamsPerAddress: number;
  readonly #streams = new Map<string, number>();
  #streamCount = 0;

  constructor(limits: Pick<Limits, "maxAnonymousPerSecond" | "maxAnonymousStreams" | "maxAnonymousStreamsPerAddress">) {
    const { maxAnonymousPerSecond: perSecond } = limits;
    if (perSecond > 0) this.#buckets = new Buckets({ perSecond, burst: perSecond * BURST_S });
    this.#maxStreams = limits.maxAnonymousStreams;
    this.#maxStreamsPerAddress = limits.maxAnonymousStreamsPerAddress;
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

  /** Takes the place of a stream until it is disposed. @throws TandemError TOO_MANY_STREAMS */
  openStream(address: string): Disposable {
    const open = this.#streams.get(address) ?? 0;
    const limit = open >= this.#maxStreamsPerAddress ? this.#maxStreamsPerAddress : this.#maxStreams;
    if (open >= this.#maxStreamsPerAddress || this.#streamCount >= this.#maxStreams) {
      const message = "too many streams without a credential are open";
      throw new TandemError("TOO_MANY_STREAMS", message, { limit: String(limit) });
    }
    this.#streams.set(address, open + 1);
    this.#streamCount += 1;
    let isOpen = true;
    return {
      [Symbol.dispose]: () => {
        if (!isOpen) return;
        isOpen = false;
        this.#streamCount -= 1;
        const left = (this.#streams.get(address) ?? 1) - 1;
        if (left > 0) this.#streams.set(address, left);
        else this.#streams.delete(address);
      },
    };
  }
}

import { constants } from "node:http2";
import { setTimeout as wait } from "node:timers/promises";
import { type MemoryBudget, MemoryHold, type Spender } from "./memory-budget.ts";
import type { PortRequest, PortResponse } from "./port.ts";
import { ReceivedBytes } from "./received-bytes.ts";

/**
 * Called with the bytes that went in or out; returns how long the call should wait before it reads
 * on, milliseconds.
 */
type Charge = (bytes: number) => number;

/** How long one exchange may wait for its client. */
export interface MeterLimits {
  /** For a request that is one message, from its headers to its end, milliseconds. */
  readonly requestMs: number;
  /** For a client that does not take what was sent, milliseconds. */
  readonly answerMs: number;
}

/** The memory that exchanges use, and whom this one's is charged to at first. */
export interface MeterMemory {
  readonly received: MemoryBudget;
  readonly decoded: MemoryBudget;
  readonly spender: Spender;
}

/**
 * Stands between one HTTP exchange and the method that serves it: counts its bytes, paces its
 * request, and gives up on a client that is too slow.
 */
export class CallMeter {
  readonly #limits: MeterLimits;
  readonly #reset: () => void;
  readonly #over = new AbortController();
  /** Received parts of messages that are not whole yet, held by Node or by us. */
  readonly received: MemoryHold;
  /** What whole messages cost while they are decoded and worked on. */
  readonly decoded: MemoryHold;
  readonly #receivedBytes: ReceivedBytes;
  #decodedUntil: Promise<unknown> = Promise.resolve();
  readonly #kept = new DisposableStack();
  readonly #keptForRequest = new DisposableStack();
  #answerMs: number;
  #isInMessage = false;
  #messageLimit: { readonly late: () => Error; readonly ms: number } | undefined;
  #charge: Charge = () => 0;
  #uncharged = 0;
  #failure: { readonly error: unknown } | undefined;
  #failNext: ((error: unknown) => void) | undefined;
  #requestTimer: NodeJS.Timeout | undefined;
  #answerTimer: NodeJS.Timeout | undefined;

  constructor(request: PortRequest, response: PortResponse, limits: MeterLimits, memory: MeterMemory) {
    this.#limits = limits;
    this.#answerMs = limits.answerMs;
    this.received = new MemoryHold(memory.received, memory.spender);
    this.decoded = new MemoryHold(memory.decoded, memory.spender);
    this.#receivedBytes = new ReceivedBytes(request, this.received, (error) => this.#fail(error));
    // With a code: without one, Node would wait until everything that is to be sent was taken.
    this.#reset = () => ("stream" in request ? request.stream.close(constants.NGHTTP2_CANCEL) : request.destroy());
    this.#meterRequest(request);
    this.#meterResponse(response);
    response.once("close", () => {
      this.#over.abort();
      this.received[Symbol.dispose]();
      // A client that leaves does not end the work on its message.
      const release = () => this.decoded[Symbol.dispose]();
      this.#decodedUntil.then(release, release);
      this.#kept.dispose();
      this.#keptForRequest.dispose();
      clearTimeout(this.#requestTimer);
      clearTimeout(this.#answerTimer);
    });
  }

  /** From now on, and for what went before, bytes are charged. */
  charge(charge: Charge): void {
    this.#charge = charge;
    if (this.#uncharged > 0) charge(this.#uncharged);
  }

  /**
   * Has the request fail with an error unless it ends in time: for methods whose request is one
   * message.
   */
  limitRequest(late: () => Error, ms = this.#limits.requestMs): void {
    clearTimeout(this.#requestTimer);
    if (this.#over.signal.aborted) return;
    this.#requestTimer = setTimeout(() => this.#fail(late()), ms);
  }

  /** Has the request fail with an error unless each message that has begun is whole in time. */
  limitMessages(late: () => Error, ms: number): void {
    this.#messageLimit = { late, ms };
  }

  messageBegan(): void {
    if (!this.#messageLimit || this.#isInMessage) return;
    this.#isInMessage = true;
    this.limitRequest(this.#messageLimit.late, this.#messageLimit.ms);
  }

  messageCame(): void {
    this.#isInMessage = false;
    if (this.#messageLimit) clearTimeout(this.#requestTimer);
  }

  keepUntilClosed(resource: Disposable): void {
    keep(this.#kept, resource);
  }

  keepUntilRequestCame(resource: Disposable): void {
    keep(this.#keptForRequest, resource);
  }

  /** The call is refused without having been read: from now on the client has only a short time. */
  refuse(): void {
    this.#answerMs = Math.min(this.#answerMs, REFUSAL_MS);
  }

  /**
   * Charges the exchange's memory to another from now on: its caller is known.
   * @throws TandemError RATE_LIMITED
   */
  become(spender: Spender): void {
    this.received.become(spender);
    this.decoded.become(spender);
  }

  /** Memory for decoded messages is held until this has settled, too. */
  holdDecoded(until: Promise<unknown>): void {
    this.#decodedUntil = until;
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#failNext?.(error);
  }

  #spend(bytes: number): number {
    this.#uncharged += bytes;
    return this.#charge(bytes);
  }

  #meterRequest(request: PortRequest): void {
    // Over HTTP/1.1 a request whose reader leaves early is not destroyed: its connection could then
    // read nothing more, and would be offered to the next call all the same.
    const whole = request[Symbol.asyncIterator].bind(request);
    const iterate = "stream" in request ? whole : () => request.iterator({ destroyOnReturn: false });
    const metered = (): AsyncIterator<Buffer> => {
      const inner = iterate();
      return {
        next: () => this.#next(inner),
        return: async () => (await inner.return?.()) ?? { done: true, value: undefined },
      };
    };
    Object.defineProperty(request, Symbol.asyncIterator, { value: metered });
  }

  async #next(inner: AsyncIterator<Buffer>): Promise<IteratorResult<Buffer>> {
    if (this.#failure) throw this.#failure.error;
    // Not Promise.race with a promise that lives as long as the call: each race would add a
    // reaction to it.
    const result = await new Promise<IteratorResult<Buffer>>((resolve, reject) => {
      this.#failNext = reject;
      inner.next().then(resolve, reject);
    });
    if (result.done) {
      clearTimeout(this.#requestTimer);
      this.#keptForRequest.dispose();
      return result;
    }
    this.#receivedBytes.read(result.value.length);
    const pauseMs = this.#spend(result.value.length);
    if (pauseMs > 0) await wait(pauseMs, undefined, { signal: this.#over.signal }).catch(() => {});
    return result;
  }

  #meterResponse(response: PortResponse): void {
    // The two kinds of response have the same methods, in types that TypeScript cannot join.
    const taker = response as unknown as Taker;
    const { write, end } = taker;
    let isEnded = false;
    taker.write = (chunk, ...rest) => {
      this.#spend(chunk.length);
      const isTaken = write.call(taker, chunk, ...rest.map(namingHangUps));
      if (!isTaken) this.#awaitClient();
      return isTaken;
    };
    taker.end = (...args) => {
      isEnded = true;
      this.#awaitClient();
      return end.apply(taker, args);
    };
    response.on("drain", () => {
      if (!isEnded) clearTimeout(this.#answerTimer);
    });
  }

  #awaitClient(): void {
    clearTimeout(this.#answerTimer);
    // What is written after the end goes nowhere, and its timer would never be cleared.
    if (this.#over.signal.aborted) return;
    this.#answerTimer = setTimeout(this.#reset, this.#answerMs);
  }
}

function keep(stack: DisposableStack, resource: Disposable): void {
  if (stack.disposed) resource[Symbol.dispose]();
  else stack.use(resource);
}

// A stream that is closed with unsent bytes fails the write this way; Connect would print it to
// standard error as a fault of ours.
function namingHangUps(argument: unknown): unknown {
  if (typeof argument !== "function") return argument;
  return (error?: NodeJS.ErrnoException | null) => {
    if (error?.code === "ECANCELED") error.code = "ECONNRESET";
    argument(error);
  };
}

/**
 * How long a client has to take a refusal, milliseconds. Until then what it sends is kept unread.
 */
const REFUSAL_MS = 5_000;

interface Taker {
  write(chunk: Uint8Array | string, ...rest: unknown[]): boolean;
  end(...args: unknown[]): unknown;
}

import { StreamBroken } from "./errors.ts";

/** What `receive` needs of a call. */
export interface Receiving<Message> {
  /**
   * Makes the call. Its signal aborts with the caller's, after silence, and when the caller stops
   * reading.
   */
  readonly open: (signal: AbortSignal) => AsyncIterable<Message>;
  /** The caller's signal. */
  readonly signal: AbortSignal;
  /**
   * How long the server may be silent while the caller listens, milliseconds. Read before each
   * message.
   */
  readonly silenceMs: () => number;
}

/**
 * The messages of one call. A server that is silent for too long is given up (a half-open
 * connection would otherwise look alive for hours). The call is reset however the reader leaves,
 * since Connect's iterators do not do so by themselves.
 */
export async function* receive<Message>(options: Receiving<Message>): AsyncGenerator<Message, void, undefined> {
  const attempt = new AbortController();
  const abort = () => attempt.abort(options.signal.reason);
  if (options.signal.aborted) abort();
  options.signal.addEventListener("abort", abort, { once: true });
  let silent = false;
  try {
    const messages = options.open(attempt.signal)[Symbol.asyncIterator]();
    while (true) {
      const silence = setTimeout(() => {
        silent = true;
        attempt.abort();
      }, options.silenceMs());
      const next = await messages.next().finally(() => clearTimeout(silence));
      if (next.done === true) return;
      yield next.value;
    }
  } catch (error) {
    if (silent) throw new StreamBroken("the server was silent for three heartbeat intervals", { cause: error });
    throw error;
  } finally {
    options.signal.removeEventListener("abort", abort);
    attempt.abort();
  }
}

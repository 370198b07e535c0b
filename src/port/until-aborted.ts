import { unlessAborted } from "../domain/unless-aborted.ts";

/**
 * The messages of a request until a signal aborts; then it simply ends. Reading a request body
 * waits for the client alone, whatever happens to the call, so a loop over it must be freed from
 * outside.
 */
export async function* untilAborted<T>(messages: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  while (!signal.aborted) {
    const next = await unlessAborted(iterator.next(), signal).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
    if (!next || next.done) return;
    yield next.value;
  }
}

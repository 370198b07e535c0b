/**
 * The messages of a request until a signal aborts; then it simply ends. Reading a request body
 * waits for the client alone, whatever happens to the call, so a loop over it must be freed from
 * outside.
 */
export async function* untilAborted<T>(messages: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const { promise: aborted, resolve } = Promise.withResolvers<undefined>();
  const onAbort = () => resolve(undefined);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const iterator = messages[Symbol.asyncIterator]();
    while (!signal.aborted) {
      const step = iterator.next();
      const next = await Promise.race([step, aborted]);
      if (next === undefined) {
        // Nobody awaits it any more: that it fails when the connection closes must not be an
        // unhandled rejection.
        step.catch(() => {});
        return;
      }
      if (next.done) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

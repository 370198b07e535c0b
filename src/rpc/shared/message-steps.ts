/**
 * Passes each step of the messages through `next`, and their end through `end`. Written by hand and
 * not as a generator: the inner iterator's return must be called at once, even while its next is
 * pending.
 * @param end default: what the inner iterator answers.
 */
export function throughSteps<T, U>(
  messages: AsyncIterable<T>,
  next: (step: () => Promise<IteratorResult<T>>) => Promise<IteratorResult<U>>,
  end: (step: () => Promise<unknown>) => Promise<unknown> = (step) => step(),
): AsyncIterable<U> {
  return {
    [Symbol.asyncIterator]() {
      const inner = messages[Symbol.asyncIterator]();
      return {
        next: () => next(() => inner.next()),
        return: async (value) => {
          await end(async () => inner.return?.(value));
          return { done: true, value };
        },
        throw: (error) => next(() => inner.throw?.(error) ?? Promise.reject(error)),
      };
    },
  };
}

/** Each message as `read` reads it. */
export function readEach<T, U>(messages: AsyncIterable<T>, read: (message: T) => U): AsyncIterable<U> {
  return throughSteps(messages, async (step) => {
    const result = await step();
    return result.done ? result : { done: false, value: read(result.value) };
  });
}

/** Aborts its signal after a while, with a TimeoutError. Dispose it once nobody waits any more. */
export interface TimeLimit extends Disposable {
  readonly signal: AbortSignal;
}

/**
 * Limits a wait to `ms` milliseconds. `AbortSignal.timeout` cannot be ended: until it fires, Node
 * keeps it and the call that made it.
 */
export function limitTime(ms: number): TimeLimit {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new DOMException("it took too long", "TimeoutError")), ms);
  return { signal: controller.signal, [Symbol.dispose]: () => clearTimeout(timer) };
}

import type { Interceptor } from "@connectrpc/connect";
import { tandemReason } from "../../client/errors.ts";
import { pause, Retry } from "../../client/retry.ts";

/** How often a unary call is tried in all. */
const MAX_TRIES = 6;
/** A server that asks for a longer wait than this gets no other try, milliseconds. */
const MAX_RETRY_AFTER_MS = 5_000;

/**
 * Repeats a unary call that the server refused with "call again" (RetryInfo), as the contract's
 * error_reason.proto allows for every method. A call that was cut off is not repeated: only the
 * caller can find out whether it was carried out. At most 6 tries, with waits of up to 5 s.
 */
export const retryUnary: Interceptor = (next) => async (request) => {
  if (request.stream) return await next(request);
  const retry = new Retry({ maxDelayMs: MAX_RETRY_AFTER_MS });
  for (let tries = 1; ; tries++) {
    try {
      return await next(request);
    } catch (error) {
      const retryAfterMs = tandemReason(error)?.retryAfterMs;
      if (tries >= MAX_TRIES || retryAfterMs === undefined || retryAfterMs > MAX_RETRY_AFTER_MS) throw error;
      await pause(retry.delayAfter(error), request.signal);
      request.signal.throwIfAborted();
    }
  }
};

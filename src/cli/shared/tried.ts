import type { Interceptor } from "@connectrpc/connect";

const tried = new WeakMap<object, string>();

/** What a call's error was thrown by: its method and server; undefined: not a call of ours. */
export function triedCall(error: unknown): string | undefined {
  return typeof error === "object" && error !== null ? tried.get(error) : undefined;
}

/** Remembers of each failed call which one it was. */
export const rememberTried: Interceptor = (next) => async (request) => {
  try {
    return await next(request);
  } catch (error) {
    if (typeof error === "object" && error !== null)
      tried.set(error, `${request.method.name} at ${new URL(request.url).origin}`);
    throw error;
  }
};

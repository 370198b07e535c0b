import type { Interceptor } from "@connectrpc/connect";
import { tellSlowly } from "./progress.ts";

/** Says in a terminal which call is waited for, if it takes more than two seconds. */
export const tellWaiting: Interceptor = (next) => async (request) => {
  if (request.stream || process.stderr.isTTY !== true) return await next(request);
  using progress = tellSlowly();
  progress.tell(`waiting for ${request.method.name}`);
  return await next(request);
};

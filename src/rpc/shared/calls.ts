import { Code, ConnectError, createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { Logger } from "pino";
import type { CallTrace } from "./call-traces.ts";
import { completeError, type FaultReporter } from "./errors.ts";
import type { Metrics } from "./metrics.ts";
import { errorTypeOf, isLongLived, methodNameOf, statusNameOf, systemNameOf } from "./rpc-names.ts";

/** Whether the connection or stream of the call is gone; set by the port. */
export const goneKey = createContextKey<() => boolean>(() => false, { description: "gone" });

/** Resets the call's HTTP exchange, for a client that does not read; set by the port. */
export const resetKey = createContextKey<() => void>(() => {}, { description: "reset" });

/**
 * Follows a call to its end, whichever way it ends: completes an error that Connect made before our
 * interceptors could see it, counts the call, ends its trace, and logs it at level debug.
 */
export function observeCall(
  context: HandlerContext,
  log: Logger,
  metrics: Metrics,
  report: FaultReporter,
  trace: CallTrace | undefined,
): void {
  completeBeforeSent(context, report);
  const method = methodNameOf(context);
  const isStream = context.method.methodKind !== "unary";
  const startedMs = performance.now();
  if (isStream) metrics.liveStreams.add(1, { method });
  const finish = () => {
    const ended = codeOf(context);
    const code = ended === undefined ? "Ok" : Code[ended];
    const durationMs = performance.now() - startedMs;
    metrics.calls.add(1, { method, code });
    if (isStream) metrics.liveStreams.add(-1, { method });
    else metrics.callDuration.record(durationMs / 1000, { method });
    if (!isLongLived(context.method)) measureByConventions(context, metrics, ended, durationMs);
    trace?.end(ended);
    log.debug({ method, code, durationMs: Math.round(durationMs) }, "call ended");
  };
  // Connect aborts the signal when a call ends, with the error that it is about to send, if any.
  if (context.signal.aborted) finish();
  else context.signal.addEventListener("abort", finish, { once: true });
}

function measureByConventions(context: HandlerContext, metrics: Metrics, ended: Code | undefined, durationMs: number) {
  const errorType = errorTypeOf(ended);
  metrics.serverCallDuration.record(durationMs / 1000, {
    "rpc.system.name": systemNameOf(context),
    "rpc.method": methodNameOf(context),
    "rpc.status_code": statusNameOf(ended),
    ...(errorType === undefined ? {} : { "error.type": errorType }),
  });
}

// Undefined: it ended in order. A client that closed its connection gives no reason. A call that
// ended in order still has its stream.
function codeOf({ signal, values }: HandlerContext): Code | undefined {
  if (signal.reason instanceof ConnectError) return signal.reason.code;
  return values.get(goneKey)() ? Code.Canceled : undefined;
}

// Connect aborts a call with the error that it is about to send, also one whose signal its deadline
// has aborted before.
function completeBeforeSent(context: HandlerContext, report: FaultReporter): void {
  const { signal } = context;
  const ended = context as HandlerContext & { abort(reason?: unknown): void };
  const { abort } = ended;
  ended.abort = (reason) => {
    if (reason instanceof ConnectError) completeError(reason, report);
    abort.call(ended, reason);
  };
  const complete = () => {
    if (signal.reason instanceof ConnectError) completeError(signal.reason, report);
  };
  if (signal.aborted) complete();
  else signal.addEventListener("abort", complete, { once: true });
}

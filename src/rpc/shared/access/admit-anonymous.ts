import type { HandlerContext } from "@connectrpc/connect";
import type { Limits } from "../../../domain/limits.ts";
import type { AnonymousLimits } from "../../../port/anonymous-limits.ts";
import type { CallMeter } from "../../../port/call-meter.ts";
import { addressSpender } from "../../../port/memory-budget.ts";
import { callerAddressKey } from "./caller.ts";

/**
 * Lets in a call to a method that anyone may call. A credential that it shows is not judged: its
 * memory is charged as a stranger's, and it has a few seconds to send a message. A unary call holds
 * a place until its answer was taken; Watch holds one until its message has come, and then a
 * stream's place.
 * @throws TandemError RATE_LIMITED, TOO_MANY_STREAMS.
 */
export function admitAnonymous(
  { method, values }: Pick<HandlerContext, "method" | "values">,
  anonymous: AnonymousLimits,
  meter: CallMeter | undefined,
  { limits, late }: { readonly limits: Limits; readonly late: () => Error },
): void {
  const address = values.get(callerAddressKey);
  meter?.become(addressSpender("stranger", address));
  anonymous.takeMessage(address);
  const ms = Math.min(limits.anonymousRequestMs, limits.requestMs);
  if (method.methodKind === "bidi_streaming") meter?.limitMessages(late, ms);
  else meter?.limitRequest(late, ms);
  if (method.methodKind === "unary") meter?.keepUntilClosed(anonymous.openCall(address));
  if (method.methodKind === "server_streaming") meter?.keepUntilRequestCame(anonymous.openCall(address));
}

import type { HandlerContext } from "@connectrpc/connect";
import { principalOf } from "./auth.ts";

/** Who an act is by, for the audit log: the identity of the call's credential. */
export function actorOf(context: Pick<HandlerContext, "values">): string {
  return principalOf(context).identity;
}

/** The method of a call, for the audit log. */
export function methodOf(context: Pick<HandlerContext, "service" | "method">): string {
  return `${context.service.typeName}/${context.method.name}`;
}

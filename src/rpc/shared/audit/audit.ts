import type { HandlerContext } from "@connectrpc/connect";
import type { AuditAct } from "../../../domain/privacy/audit.ts";
import { principalOf } from "../access/caller.ts";

/** Who an act is by, for the audit log: the identity of the call's credential. */
export function actorOf(context: Pick<HandlerContext, "values">): string {
  return principalOf(context).identity;
}

/** The method of a call, for the audit log. */
export function methodOf({ service, method }: Pick<HandlerContext, "service" | "method">): string {
  return `${service.typeName}/${method.name}`;
}

/** An act that a call has done, to be appended in the same transaction. */
export function doneBy(context: HandlerContext, act: Omit<AuditAct, "actor" | "method">): AuditAct {
  return { ...act, actor: actorOf(context), method: methodOf(context) };
}

import type { Principal } from "../../../domain/carriers/principal.ts";
import type { Caller, Judged } from "../../../store/database/callers.ts";

/**
 * Whose share of the database's connections a call uses. Each identity of the platform has its own,
 * as for every other limit.
 * @param judged of a call without a watch.
 */
export function callerOf(principal: Principal | undefined, signal: AbortSignal, judged?: Judged): Caller | undefined {
  if (!principal) return undefined;
  return principal.kind === "carrier"
    ? { kind: "carrier", carrierId: principal.carrierId, signal, judged }
    : { kind: "platform", identity: principal.identity, signal, judged };
}

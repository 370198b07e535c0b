import type { Principal } from "../../../domain/carriers/principal.ts";
import type { Caller, Judged } from "../../../store/database/callers.ts";

/**
 * To whose share of the database's connections a call counts. Of the platform each identity is one,
 * as for every other limit.
 * @param judged of a call without a watch.
 */
export function callerOf(principal: Principal | undefined, signal: AbortSignal, judged?: Judged): Caller | undefined {
  if (!principal) return undefined;
  return principal.kind === "carrier"
    ? { kind: "carrier", carrierId: principal.carrierId, signal, judged }
    : { kind: "platform", identity: principal.identity, signal, judged };
}

import type { Principal } from "../domain/principal.ts";
import type { Caller } from "../store/callers.ts";

/** To whose share of the database's connections a call counts. Of the platform each identity is one, as for every other limit. */
export function callerOf(principal: Principal | undefined, signal: AbortSignal): Caller | undefined {
  if (!principal) return undefined;
  return principal.kind === "carrier"
    ? { kind: "carrier", carrierId: principal.carrierId, signal }
    : { kind: "platform", identity: principal.identity, signal };
}

import type { HandlerContext } from "@connectrpc/connect";
import { createContextKey } from "@connectrpc/connect";
import type { CarrierPrincipal, Principal } from "../../../domain/carriers/principal.ts";
import type { PlatformScope } from "../../../domain/carriers/scopes.ts";
import { TandemError, unauthenticated } from "../../../domain/errors.ts";
import type { Judged } from "../../../store/database/callers.ts";
import type { ClientCertificate } from "../../../trust/client-certificate.ts";

/** The certificate of the call's connection, set by the port. */
export const clientCertificateKey = createContextKey<ClientCertificate | undefined>(undefined, {
  description: "client certificate",
});

/** The group of the caller's address, set by the port; empty when it is not known. */
export const callerAddressKey = createContextKey("", { description: "caller's address" });

/** How many authorization headers the call came with, set by the port. */
export const authorizationCountKey = createContextKey(0, { description: "authorization headers" });

export const principalKey = createContextKey<Principal | undefined>(undefined, { description: "principal" });

export const watchKey = createContextKey<(end: () => void) => Disposable>(() => ({ [Symbol.dispose]: () => {} }), {
  description: "watch of the credential",
});

export const judgedKey = createContextKey<Judged | undefined>(undefined, { description: "how the call was judged" });

export const againKey = createContextKey<() => Promise<void>>(async () => {}, { description: "second judgement" });

/** Who calls; undefined for methods that anyone may call. */
export function findPrincipal(context: Pick<HandlerContext, "values">): Principal | undefined {
  return context.values.get(principalKey);
}

/** Who calls. Every method but health and reflection has a principal. */
export function principalOf(context: Pick<HandlerContext, "values">): Principal {
  const principal = findPrincipal(context);
  if (!principal) throw unauthenticated("the call has no credential");
  return principal;
}

/** The carrier that calls. */
export function carrierOf(context: Pick<HandlerContext, "values">): CarrierPrincipal {
  const principal = principalOf(context);
  if (principal.kind !== "carrier") throw denied("only a carrier's credential reaches this method");
  return principal;
}

/**
 * Whether the call's principal has a scope that a method asks for besides its own, such as
 * `locations.read`.
 */
export function hasScope(context: Pick<HandlerContext, "values">, scope: PlatformScope): boolean {
  const principal = principalOf(context);
  return principal.kind === "platform" && principal.scopes.has(scope);
}

/**
 * Calls `end`, once, when the call's credential is no longer believed: its key, its authority or it
 * itself was withdrawn. Dispose it when the call ends.
 */
export function watchCredential(context: Pick<HandlerContext, "values">, end: () => void): Disposable {
  return context.values.get(watchKey)(end);
}

/** Every name in the call's credentials, the principal's own first. */
export function shownIdentities(context: Pick<HandlerContext, "values">): string[] {
  const { identity } = principalOf(context);
  const certificate = context.values.get(clientCertificateKey);
  return [...new Set([identity, ...(certificate?.isTrusted ? certificate.identities : [])])];
}

/**
 * Judges a call again once its message has come, perhaps long after its headers, and gives it the
 * principal that it has now. Nothing is counted, since it is no new call. Does nothing for methods
 * that anyone may call.
 * @throws TandemError as `authorize` of auth.ts does. UNAUTHENTICATED too when the credential shows
 *   another principal than before.
 */
export function judgeAgain({ values }: Pick<HandlerContext, "values">): Promise<void> {
  return values.get(againKey)();
}

/**
 * How a call was judged, with which it can be judged once more after a wait. That counts nothing
 * and leaves its principal; it rejects with UNAUTHENTICATED, CREDENTIAL_EXPIRED, CARRIER_SUSPENDED
 * or REGION_MISMATCH.
 */
export function judgedOf({ values }: Pick<HandlerContext, "values">): Judged | undefined {
  return values.get(judgedKey);
}

export function denied(message: string, metadata: Record<string, string> = {}): TandemError {
  return new TandemError("PERMISSION_DENIED", message, metadata);
}

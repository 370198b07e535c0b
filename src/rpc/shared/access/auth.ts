import type { HandlerContext } from "@connectrpc/connect";
import { type CarrierPrincipal, isSamePrincipal, type Principal } from "../../../domain/carriers/principal.ts";
import type { PlatformScope } from "../../../domain/carriers/scopes.ts";
import { type ErrorReason, isNoLongerServed, TandemError, unauthenticated } from "../../../domain/errors.ts";
import type { Micros } from "../../../domain/time/instant.ts";
import { wallMicros } from "../../../domain/time/wall-clock.ts";
import type { CredentialRow } from "../../../store/carriers/carrier-access.ts";
import { readBearerToken } from "../../../trust/bearer-token.ts";
import type { ClientCertificate } from "../../../trust/client-certificate.ts";
import { assertBound } from "../../../trust/token-binding.ts";
import { claimedIdentity, credentialExpired, TokenExpired, type VerifiedToken } from "../../../trust/tokens.ts";
import type { Trust } from "../../../trust/trust.ts";
import type { VerifiedTokens } from "../../../trust/verified-tokens.ts";
import { type AccessRule, accessRuleOf } from "../method-rules.ts";
import {
  againKey,
  authorizationCountKey,
  callerAddressKey,
  clientCertificateKey,
  denied,
  findPrincipal,
  judgedKey,
  principalKey,
  principalOf,
  watchKey,
} from "./caller.ts";
import type { CarrierAccess } from "./carrier-access.ts";
import { credentialKey, expiredCertificateKey, expiredTokenKey, tokenIdentity, unboundKey } from "./credential-key.ts";
import type { DenialAttempt, DenialLimit } from "./denial-limit.ts";
import { platformScopes } from "./platform-identities.ts";
import type { FailureLimit } from "./principal-limits.ts";

export interface AuthOptions {
  /** Undefined: no token is believed. */
  readonly tokens: VerifiedTokens | undefined;
  /** Undefined: no limit to failures. */
  readonly failures: FailureLimit | undefined;
  /** Undefined: no limit to refusals of a credential. */
  readonly denials: DenialLimit | undefined;
  /**
   * Whether the verified tokens are signed with the server's own key: then the claim alone is
   * enough for a carrier's token.
   */
  readonly signsTokens: boolean;
  readonly platformIdentities: ReadonlyMap<string, ReadonlySet<PlatformScope>>;
  readonly access: CarrierAccess;
  readonly trust: Trust;
}

/**
 * Decides, before the request's body is read, whether a call may go on, and gives it its principal.
 * @throws TandemError UNAUTHENTICATED, CREDENTIAL_EXPIRED, PERMISSION_DENIED, CARRIER_SUSPENDED,
 * REGION_MISMATCH, RATE_LIMITED, STORE_UNAVAILABLE.
 */
export async function authorize(context: HandlerContext, options: AuthOptions): Promise<void> {
  const rule = accessRuleOf(context.method);
  if (!rule) throw denied("nobody may call this method");
  if (rule.principal === "anyone") return;
  const attempt = options.denials?.begin(`${context.service.typeName}/${context.method.name}`);
  try {
    await judge(context, rule, { ...options, attempt });
  } catch (error) {
    attempt?.failed(error);
    throw error;
  }
  let atMs = performance.now();
  context.values.set(judgedKey, {
    get atMs() {
      return atMs;
    },
    again: async () => {
      const nowMs = performance.now();
      if (await isStillServed(context, rule, options)) atMs = nowMs;
    },
  });
  context.values.set(againKey, async () => {
    const before = principalOf(context);
    // Until it is judged again nobody is known whose refusal could be recorded, as at the headers.
    context.values.set(principalKey, undefined);
    const nowMs = performance.now();
    await judge(context, rule, { ...options, failures: undefined }, before);
    atMs = nowMs;
  });
}

/** How a credential is judged. */
interface Judgement extends AuthOptions {
  /** Is told whose the credential is. Undefined when this is not an attempt to get in. */
  readonly attempt?: DenialAttempt | undefined;
}

/** @param before whom the credential has shown already. */
async function judge(
  context: HandlerContext,
  rule: Exclude<AccessRule, { principal: "anyone" }>,
  options: Judgement,
  before?: Principal,
): Promise<void> {
  const { generation } = options.trust;
  const principal = await authenticate(context, options);
  if (before) assertSame(before, principal);
  context.values.set(principalKey, principal);
  context.values.set(watchKey, (end) => {
    const recheck = () =>
      stillShows(context, options, principal).catch(() => {
        end();
        return true;
      });
    return options.trust.watch(recheck, generation);
  });
  assertAllowed(context, principal, rule);
  await assertServed(principal, rule, options);
}

function assertSame(before: Principal, now: Principal): void {
  if (!isSamePrincipal(before, now)) throw unauthenticated("the credential is no longer what it was: call again");
}

/**
 * Whether the call's credential still shows who it showed; false: that cannot be judged at the
 * moment. It was let in before, so this is not an attempt to get in, and must not fail because of
 * limits on those. Throws when it shows somebody else, or nobody.
 */
async function stillShows(context: HandlerContext, options: Judgement, before: Principal): Promise<boolean> {
  try {
    assertSame(before, await authenticate(context, { ...options, failures: undefined, attempt: undefined }));
    return true;
  } catch (error) {
    if (isNoLongerServed(error)) throw error;
    return false;
  }
}

/**
 * Whether a call may still be served; false: it cannot be judged at the moment. Throws when it may
 * not.
 */
async function isStillServed(
  context: HandlerContext,
  rule: Exclude<AccessRule, { principal: "anyone" }>,
  options: AuthOptions,
): Promise<boolean> {
  const before = findPrincipal(context);
  if (!before || !(await stillShows(context, options, before))) return false;
  try {
    await assertServed(before, rule, options);
    return true;
  } catch (error) {
    if (isNoLongerServed(error)) throw error;
    return false;
  }
}

async function assertServed(principal: Principal, rule: AccessRule, { access }: AuthOptions): Promise<void> {
  if (principal.kind === "carrier" && rule.principal === "carrier")
    await access.assertServed(principal.carrierId, rule.evenSuspended ?? false);
}

const REFUSALS: ReadonlySet<ErrorReason> = new Set(["UNAUTHENTICATED", "CREDENTIAL_EXPIRED"]);

function assertAllowed(context: HandlerContext, principal: Principal, rule: AccessRule): void {
  const method = `${context.service.typeName}/${context.method.name}`;
  if (rule.principal === "carrier" && principal.kind !== "carrier") {
    throw denied("only a carrier's credential reaches this method", { method });
  }
  if (rule.principal !== "platform") return;
  if (principal.kind !== "platform") {
    throw denied("only a credential of the platform reaches this method", { method, scope: rule.scope });
  }
  if (!principal.scopes.has(rule.scope)) {
    throw denied(`the credential lacks the scope ${rule.scope}`, { method, scope: rule.scope });
  }
}

/**
 * The one principal of everything that the caller shows. Where token and certificate both name one,
 * it must be the same carrier.
 */
async function authenticate(context: HandlerContext, options: Judgement): Promise<Principal> {
  // Node passes on only the first of two, and a proxy in front of us may have judged the other.
  if (context.values.get(authorizationCountKey) > 1) throw unauthenticated("the call has two authorization headers");
  const token = readBearerToken(context.requestHeader.get("authorization"));
  const certificate = context.values.get(clientCertificateKey);
  if (certificate) assertCertificateLives(certificate, options);
  if (token === undefined) return authenticateByCertificate(certificate, options);
  const verified = await verifyBoundToken(token, certificate, context.values.get(callerAddressKey), options);
  const found = await findTokenPrincipal(verified, options);
  if (!certificate?.isTrusted) return found;
  const shown = await findCertificatePrincipal(certificate, options);
  const principal = withExpiry(found, certificate.expiresAt);
  if (!shown) {
    if (principal.kind === "platform") await assertNeverCarriers(certificate, options);
    return principal;
  }
  const isSame =
    principal.kind === "carrier"
      ? shown.kind === "carrier" && shown.carrierId === principal.carrierId
      : shown.kind === "platform";
  if (!isSame) throw unauthenticated("token and client certificate are not of the same carrier");
  return withExpiry(principal, shown.expiresAt);
}

async function authenticateByCertificate(
  certificate: ClientCertificate | undefined,
  options: Judgement,
): Promise<Principal> {
  if (!certificate) throw unauthenticated("the call has no credential");
  if (certificate.isTrusted) options.attempt?.identify(credentialKey(undefined, certificate));
  const shown = await findCertificatePrincipal(certificate, options);
  if (!shown) throw unauthenticated("the client certificate is not accepted here");
  return shown;
}

/** Verifies a token, and that it came with what it is bound to. */
async function verifyBoundToken(
  token: string,
  certificate: ClientCertificate | undefined,
  address: string,
  options: Judgement,
): Promise<VerifiedToken> {
  const verified = await verifyToken(token, address, options);
  try {
    assertBound(verified.binding, certificate);
  } catch (error) {
    options.attempt?.identify(unboundKey(verified, address));
    throw error;
  }
  options.attempt?.identify(credentialKey(verified, certificate));
  return verified;
}

async function verifyToken(token: string, address: string, options: Judgement): Promise<VerifiedToken> {
  const { tokens, attempt } = options;
  if (!tokens) throw unauthenticated("this server believes no tokens: use a client certificate");
  try {
    return tokens.find(token) ?? (await verifyUnknown(tokens, token, address, options));
  } catch (error) {
    if (error instanceof TokenExpired) attempt?.identify(expiredTokenKey(error));
    throw error;
  }
}

async function verifyUnknown(
  tokens: VerifiedTokens,
  token: string,
  address: string,
  { failures }: Judgement,
): Promise<VerifiedToken> {
  const claimed = () => {
    const identity = claimedIdentity(token);
    return identity && tokenIdentity(identity);
  };
  const key = tokens.wasGenuine(token) ? undefined : failures?.assertAllowed(address, claimed);
  try {
    const verified = await tokens.verify(token);
    failures?.letIn(address, tokenIdentity(verified));
    return verified;
  } catch (error) {
    // An expired one was verified too, the first time that it was shown.
    const isRefused = error instanceof TandemError && REFUSALS.has(error.reason);
    if (isRefused && key !== undefined) failures?.spend(key);
    throw error;
  }
}

async function findTokenPrincipal(verified: VerifiedToken, options: AuthOptions): Promise<Principal> {
  const identity = tokenIdentity(verified);
  const [owner] = await options.access.findOwners([identity]);
  const { carrierId, expiresAt } = verified;
  if (owner) {
    if (!verified.isForCarriers) throw unauthenticated("the token's subject is a carrier's, and its audience is not");
    if (carrierId !== undefined && carrierId !== owner.carrierId) {
      throw unauthenticated("the token's claim tandem_carrier is not the carrier that its subject belongs to");
    }
    return registeredCarrier(owner, expiresAt);
  }
  // An identity that was ever a carrier's is never the platform's, whatever else the token says.
  if (await options.access.isEverCarriers([identity]))
    throw unauthenticated("the token's subject is no longer among its carrier's credential identities");
  if (carrierId !== undefined) return claimedCarrier(verified, carrierId, identity, options);
  return { kind: "platform", identity, scopes: platformScopes(verified, identity, options), expiresAt };
}

// Another issuer's claim is not enough: the platform says which subjects may act as a carrier, and
// can take it back (carrier.proto).
function claimedCarrier(
  verified: VerifiedToken,
  carrierId: string,
  identity: string,
  options: AuthOptions,
): CarrierPrincipal {
  if (!options.signsTokens)
    throw unauthenticated("the token's subject is not among its carrier's credential identities");
  const { byPlatform, expiresAt } = verified;
  return { kind: "carrier", carrierId, identity, standing: "claimed", expiresAt, ...(byPlatform && { byPlatform }) };
}

function registeredCarrier({ carrierId, identity, expireTime }: CredentialRow, expiresAt: Micros): CarrierPrincipal {
  return withExpiry({ kind: "carrier", carrierId, identity, standing: "registered", expiresAt }, expireTime);
}

// Also when a token comes with it. A certificate that is not trusted is ignored.
function assertCertificateLives(certificate: ClientCertificate, { attempt }: Judgement): void {
  if (!certificate.isTrusted || certificate.expiresAt > wallMicros()) return;
  attempt?.identify(expiredCertificateKey(certificate));
  throw credentialExpired();
}

async function findCertificatePrincipal(
  certificate: ClientCertificate,
  options: AuthOptions,
): Promise<Principal | undefined> {
  if (!certificate.isTrusted) return undefined;
  const { identities, expiresAt } = certificate;
  const owners = await options.access.findOwners(identities);
  const platform = identities.filter((identity) => options.platformIdentities.has(identity));
  const [owner] = owners;
  if (owner) {
    const isOne = platform.length === 0 && owners.every((other) => other.carrierId === owner.carrierId);
    if (!isOne) throw unauthenticated("the client certificate has names of more than one principal");
    return registeredCarrier(owner, expiresAt);
  }
  const [identity] = platform;
  if (identity === undefined) return undefined;
  await assertNeverCarriers(certificate, options);
  const scopes = new Set(platform.flatMap((name) => [...(options.platformIdentities.get(name) ?? [])]));
  return { kind: "platform", identity, scopes, expiresAt };
}

async function assertNeverCarriers({ identities }: ClientCertificate, { access }: AuthOptions): Promise<void> {
  if (await access.isEverCarriers(identities))
    throw unauthenticated("the client certificate has the name of one that was a carrier's");
}

function withExpiry<P extends Principal>(principal: P, other: Micros | undefined): P {
  if (other === undefined || (principal.expiresAt !== undefined && principal.expiresAt <= other)) return principal;
  return { ...principal, expiresAt: other };
}

import { decodeJwt, errors, type JWTPayload, type JWTVerifyGetKey, type JWTVerifyResult, jwtVerify } from "jose";
import { isPlatformScope, type PlatformScope } from "../domain/carriers/scopes.ts";
import { TandemError, unauthenticated } from "../domain/errors.ts";
import { type Micros, microsFromMs } from "../domain/time/instant.ts";
import { wallMs } from "../domain/time/wall-clock.ts";
import type { Revocations } from "./revocations.ts";
import { readTokenBinding, type TokenBinding } from "./token-binding.ts";
import { assertAccessToken } from "./token-kind.ts";

/** Asymmetric algorithms only: nobody who can verify a token can make one. */
const ALGORITHMS = ["ES256", "RS256", "EdDSA", "Ed25519"];
/**
 * How far the issuer's clock may be ahead of ours, seconds. It does not lengthen a token's life.
 */
const CLOCK_TOLERANCE_S = 10;

/** What a genuine token says. */
export interface VerifiedToken {
  readonly issuer: string;
  readonly subject: string;
  /** The claim `tandem_carrier`. */
  readonly carrierId: string | undefined;
  /** The claim `tandem_platform`: a person of the platform acts as that carrier. */
  readonly byPlatform?: true;
  /**
   * Those scopes of the claim `scope`, or else `scp`, that Tandem knows. Undefined: it has neither.
   */
  readonly scopes: ReadonlySet<PlatformScope> | undefined;
  /** Whether its audience is that of carriers' tokens. */
  readonly isForCarriers: boolean;
  /** Whether its audience is the platform's own. */
  readonly isForPlatform: boolean;
  /** The certificate that it has to come with; checked with every call. */
  readonly binding: TokenBinding | undefined;
  readonly expiresAt: Micros;
}

/**
 * Verifies a bearer token: signature, issuer, audience, time, revocation. Throws UNAUTHENTICATED,
 * CREDENTIAL_EXPIRED, STORE_UNAVAILABLE.
 */
export type TokenVerifier = (token: string) => Promise<VerifiedToken>;

/** Whose tokens are believed, and where the keys are. */
export interface TokenVerifierOptions {
  readonly findKey: JWTVerifyGetKey;
  readonly issuer: string;
  readonly audience: string;
  /** The platform's own audience. */
  readonly platformAudience?: string | undefined;
  /** What was revoked, as of now. */
  readonly revocations?: () => Revocations;
  readonly now?: () => number;
}

export function createTokenVerifier(options: TokenVerifierOptions): TokenVerifier {
  const { now = wallMs } = options;
  return async (token) => {
    const { payload, protectedHeader } = await verify(token, options, now());
    assertAccessToken(protectedHeader, payload);
    const { tandem_carrier: carrierId, exp = 0, sub = "", iat, nbf, jti } = payload;
    const expiresAt = microsFromMs(exp * 1000);
    if (expiresAt <= microsFromMs(now())) throw tokenExpired(payload);
    assertStarted(iat, nbf, now());
    if (carrierId !== undefined && typeof carrierId !== "string")
      throw unauthenticated("the claim tandem_carrier is not a text");
    options.revocations?.().assertToken({ id: jti, subject: sub, issuedAtS: iat ?? nbf });
    return {
      issuer: payload.iss ?? "",
      subject: sub,
      carrierId,
      ...(payload["tandem_platform"] === true ? { byPlatform: true } : {}),
      scopes: readScopes(payload["scope"] ?? payload["scp"]),
      isForCarriers: isFor(payload, options.audience),
      isForPlatform: isFor(payload, options.platformAudience),
      binding: readTokenBinding(payload["cnf"]),
      expiresAt,
    };
  };
}

// A text (RFC 8693, 4.2), or a list, as some issuers write it.
function readScopes(claim: unknown): ReadonlySet<PlatformScope> | undefined {
  if (claim === undefined) return undefined;
  const words: unknown[] = typeof claim === "string" ? claim.split(" ") : [claim].flat();
  return new Set(words.filter((word) => typeof word === "string").filter(isPlatformScope));
}

function isFor({ aud }: JWTPayload, audience: string | undefined): boolean {
  return audience !== undefined && [aud].flat().includes(audience);
}

// jose has checked nbf, if there is one. Not every issuer sets it; all that follow RFC 9068 set
// iat.
function assertStarted(iat: number | undefined, nbf: number | undefined, nowMs: number): void {
  if (iat === undefined && nbf === undefined) throw unauthenticated("the token has neither the claim nbf nor iat");
  if (iat !== undefined && iat > Math.floor(nowMs / 1000) + CLOCK_TOLERANCE_S)
    throw unauthenticated("the token's claim iat is missing or not what this server expects");
}

/** The error of a credential that was good once. */
export function credentialExpired(cause?: unknown): TandemError {
  return new TandemError("CREDENTIAL_EXPIRED", "the credential has expired: get a new one", {}, { cause });
}

/** The error of a genuine token that has expired. */
export class TokenExpired extends TandemError {
  readonly issuer: string;
  readonly subject: string;

  constructor(issuer: string, subject: string, cause?: unknown) {
    const { reason, message, metadata } = credentialExpired();
    super(reason, message, metadata, { cause });
    this.issuer = issuer;
    this.subject = subject;
  }
}

/** The identity that a token claims, unverified; undefined for what is no token. */
export function claimedIdentity(token: string): { issuer: string; subject: string } | undefined {
  try {
    const { iss, sub } = decodeJwt(token);
    return iss === undefined || sub === undefined ? undefined : { issuer: iss, subject: sub };
  } catch {
    return undefined;
  }
}

function tokenExpired({ iss = "", sub = "" }: JWTPayload, cause?: unknown): TokenExpired {
  return new TokenExpired(iss, sub, cause);
}

async function verify(token: string, options: TokenVerifierOptions, nowMs: number): Promise<JWTVerifyResult> {
  const audiences = [options.audience, options.platformAudience].filter((audience) => audience !== undefined);
  try {
    return await jwtVerify(token, options.findKey, {
      issuer: options.issuer,
      audience: audiences,
      algorithms: ALGORITHMS,
      requiredClaims: ["sub", "exp"],
      clockTolerance: CLOCK_TOLERANCE_S,
      currentDate: new Date(nowMs),
    });
  } catch (error) {
    throw explain(error);
  }
}

function explain(error: unknown): TandemError {
  if (error instanceof TandemError) return error;
  // jose checks the times last, so the signature is genuine.
  if (error instanceof errors.JWTExpired) return tokenExpired(error.payload, error);
  if (error instanceof errors.JWTClaimValidationFailed) {
    return unauthenticated(`the token's claim ${error.claim} is missing or not what this server expects`, error);
  }
  if (error instanceof errors.JWKSNoMatchingKey)
    return unauthenticated("the token is signed with an unknown key", error);
  if (error instanceof errors.JOSEError) return unauthenticated("the token is not genuine", error);
  const message = "the token issuer's keys cannot be read at the moment: call again";
  return new TandemError("STORE_UNAVAILABLE", message, {}, { cause: error, retryAfterMs: 2_000 });
}

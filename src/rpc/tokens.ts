import {
  createLocalJWKSet,
  createRemoteJWKSet,
  errors,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyGetKey,
  jwtVerify,
} from "jose";
import { TandemError } from "../domain/errors.ts";
import { type Micros, microsFromMs } from "../domain/instant.ts";
import { isPlatformScope, type PlatformScope } from "../domain/scopes.ts";

/** Asymmetric algorithms only: nobody who can verify a token can make one. */
const ALGORITHMS = ["ES256", "RS256", "EdDSA", "Ed25519"];
/** How far the issuer's clock may be ahead of ours, seconds. */
const CLOCK_TOLERANCE_S = 10;
/** How long to wait for an issuer's keys, milliseconds. */
const KEYS_TIMEOUT_MS = 5_000;

/** What a genuine token says. */
export interface VerifiedToken {
  readonly issuer: string;
  readonly subject: string;
  /** The claim `tandem_carrier`. */
  readonly carrierId: string | undefined;
  /** Those scopes of the claim `scope` that Tandem knows. */
  readonly scopes: ReadonlySet<PlatformScope>;
  readonly expiresAt: Micros;
}

/** Verifies a bearer token: signature, issuer, audience, time. Throws UNAUTHENTICATED, CREDENTIAL_EXPIRED, STORE_UNAVAILABLE. */
export type TokenVerifier = (token: string) => Promise<VerifiedToken>;

/** Whose tokens are believed, and where the keys are. */
export interface TokenVerifierOptions {
  readonly keys: { readonly url: URL } | { readonly keySet: JSONWebKeySet };
  readonly issuer: string;
  readonly audience: string;
}

/** Makes the verifier. Keys at a URL are fetched when first needed, kept for ten minutes, and fetched again for an unknown key id. */
export function createTokenVerifier(options: TokenVerifierOptions): TokenVerifier {
  const getKey: JWTVerifyGetKey =
    "url" in options.keys
      ? createRemoteJWKSet(options.keys.url, { timeoutDuration: KEYS_TIMEOUT_MS })
      : createLocalJWKSet(options.keys.keySet);
  return async (token) => {
    const payload = await verify(token, getKey, options);
    const expiresAt = microsFromMs((payload.exp ?? 0) * 1000);
    // The tolerance is for clocks that lie behind the issuer's; it does not lengthen a token's life.
    if (expiresAt <= microsFromMs(Date.now())) throw credentialExpired();
    const { tandem_carrier: carrierId, scope } = payload;
    if (carrierId !== undefined && typeof carrierId !== "string")
      throw unauthenticated("the claim tandem_carrier is not a text");
    return {
      issuer: payload.iss ?? "",
      subject: payload.sub ?? "",
      carrierId,
      scopes: new Set(typeof scope === "string" ? scope.split(" ").filter(isPlatformScope) : []),
      expiresAt,
    };
  };
}

/** No credential, or one that cannot be verified. The text tells the client what to mend and nothing of the token. */
export function unauthenticated(message: string, cause?: unknown): TandemError {
  return new TandemError("UNAUTHENTICATED", message, {}, { cause });
}

/** A credential that was good once. */
export function credentialExpired(cause?: unknown): TandemError {
  return new TandemError("CREDENTIAL_EXPIRED", "the credential has expired: get a new one", {}, { cause });
}

async function verify(token: string, getKey: JWTVerifyGetKey, options: TokenVerifierOptions): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, getKey, {
      issuer: options.issuer,
      audience: options.audience,
      algorithms: ALGORITHMS,
      requiredClaims: ["sub", "exp"],
      clockTolerance: CLOCK_TOLERANCE_S,
    });
    return payload;
  } catch (error) {
    throw explain(error);
  }
}

function explain(error: unknown): TandemError {
  if (error instanceof errors.JWTExpired) return credentialExpired(error);
  if (error instanceof errors.JWTClaimValidationFailed) {
    return unauthenticated(`the token's claim ${error.claim} is missing or not what this server expects`, error);
  }
  if (error instanceof errors.JWKSNoMatchingKey)
    return unauthenticated("the token is signed with an unknown key", error);
  const isKeysFault = error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid;
  if (isKeysFault || !(error instanceof errors.JOSEError) || error.code === "ERR_JOSE_GENERIC") {
    const message = "the token issuer's keys cannot be read at the moment: call again";
    return new TandemError("STORE_UNAVAILABLE", message, {}, { cause: error, retryAfterMs: 2_000 });
  }
  return unauthenticated("the token is not genuine", error);
}

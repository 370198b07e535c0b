import type { z } from "zod";
import { identityText, parseIdentityText } from "../domain/carriers/principal.ts";
import { isPlatformScope, PLATFORM_SCOPES, type PlatformScope } from "../domain/carriers/scopes.ts";
import type { TokenTrust } from "../trust/settings.ts";

/** Who calls as the platform: identity text to scopes. */
export type PlatformIdentities = ReadonlyMap<string, ReadonlySet<PlatformScope>>;

/** Reads `identity=scope scope; identity=scope`. */
export function parsePlatformIdentities(value: string, context: z.RefinementCtx): PlatformIdentities {
  const identities = new Map<string, Set<PlatformScope>>();
  const refuse = (message: string) => context.addIssue({ code: "custom", message });
  for (const entry of value.split(";").filter((part) => part.trim())) {
    const equals = entry.lastIndexOf("=");
    const identity = equals < 0 ? undefined : readIdentity(entry.slice(0, equals).trim());
    const scopes = entry
      .slice(equals + 1)
      .split(/[\s,]+/)
      .filter(Boolean);
    if (identity === undefined) {
      refuse(`expected spiffe://...=scopes, dns:name=scopes or jwt:issuer:subject=scopes, not "${entry.trim()}"`);
      continue;
    }
    if (identities.has(identity)) refuse(`${identity} appears twice`);
    const unknown = scopes.filter((scope) => !isPlatformScope(scope));
    if (unknown.length > 0)
      refuse(`${unknown.join(", ")} is not a scope; the scopes are ${PLATFORM_SCOPES.join(", ")}`);
    identities.set(identity, new Set(scopes.filter(isPlatformScope)));
  }
  return identities;
}

// As the database has it, in which carriers' identities are looked up.
function readIdentity(text: string): string | undefined {
  if (!/^(spiffe:\/\/.|dns:.|jwt:)/.test(text)) return undefined;
  try {
    // What is left of an issuer that is not encoded has too many parts.
    if (text.startsWith("jwt:") && text.split(":").length !== 3) return undefined;
    const identity = parseIdentityText(text);
    return identity && identityText(identity);
  } catch {
    // A percent sign that encodes nothing.
    return undefined;
  }
}

/** Adds what is wrong with the settings that say who is the platform by its tokens. */
export function checkPlatformTokens(
  settings: { readonly jwtPlatformAudience?: string | undefined },
  identities: PlatformIdentities,
  { keys, issuer, audience }: TokenTrust,
  mistakes: string[],
): void {
  const isOutside = keys.kind === "url" || keys.kind === "file";
  if (settings.jwtPlatformAudience !== undefined) {
    if (!isOutside) mistakes.push("TANDEM_JWT_PLATFORM_AUDIENCE: needs TANDEM_JWKS_URL or TANDEM_JWKS_FILE");
    if (settings.jwtPlatformAudience === audience) {
      mistakes.push(
        "TANDEM_JWT_PLATFORM_AUDIENCE: must differ from TANDEM_JWT_AUDIENCE, which is for carriers' tokens",
      );
    }
  }
  for (const text of identities.keys()) {
    const identity = parseIdentityText(text);
    if (identity?.kind !== "jwt") continue;
    if (!isOutside) {
      mistakes.push(`TANDEM_PLATFORM_IDENTITIES: ${text} needs TANDEM_JWKS_URL or TANDEM_JWKS_FILE`);
    } else if (identity.issuer !== issuer) {
      mistakes.push(`TANDEM_PLATFORM_IDENTITIES: ${text} names another issuer than TANDEM_JWT_ISSUER`);
    }
  }
}

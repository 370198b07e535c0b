/** Scopes of the platform's credentials; method-rules.ts says which method needs which. */
export const PLATFORM_SCOPES = [
  "carriers.read",
  "carriers.write",
  "numbers.read",
  "numbers.write",
  "locations.read",
  "locations.write",
  "cdrs.read",
  "cdrs.write",
  "reconciliation.read",
  "usage.read",
  "usage.write",
  "privacy.read",
  "privacy.write",
  "parties.read",
] as const;

/**
 * Some are checked inside methods: `locations.read` and `locations.write` for location_id,
 * `parties.read` for unmasked numbers of others.
 */
export type PlatformScope = (typeof PLATFORM_SCOPES)[number];

export function isPlatformScope(text: string): text is PlatformScope {
  return (PLATFORM_SCOPES as readonly string[]).includes(text);
}

/**
 * What a platform's credential may be allowed; rpc/shared/access/access.ts says which method needs
 * which.
 */
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
 * One of {@link PLATFORM_SCOPES}. Three of them are asked for inside methods: `locations.read` and
 * `locations.write` for a number's location_id, `parties.read` to see numbers of parties outside
 * the platform unmasked.
 */
export type PlatformScope = (typeof PLATFORM_SCOPES)[number];

/** Whether a text names a scope. */
export function isPlatformScope(text: string): text is PlatformScope {
  return (PLATFORM_SCOPES as readonly string[]).includes(text);
}

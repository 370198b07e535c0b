import { join } from "node:path";
import { visibleText } from "../../domain/privacy/visible-text.ts";

/**
 * Says on standard error, apart from the output, what a command used, as a person would look for
 * it.
 */
export function sayUsed(used: { readonly [What in "database" | "server" | "key"]?: string }): void {
  const parts = Object.entries(used).filter(([, value]) => value !== undefined);
  console.error(visibleText(parts.map(([name, value]) => `${name}: ${value}`).join("; ")));
}

/** A signing key by its id and place. */
export function keyUsed(keyId: string, dataDir: string): string {
  return `${keyId} in ${join(dataDir, "keys")}`;
}

/** A database by its place. Never its password, nor what else its URL may carry. */
export function databaseUsed(databaseUrl: string | undefined, dataDir: string): string {
  if (databaseUrl === undefined) return `the embedded PostgreSQL in ${join(dataDir, "postgres")}`;
  const url = URL.parse(databaseUrl);
  if (url === null) return "the one of TANDEM_DATABASE_URL";
  return `${url.host || url.searchParams.get("host") || "the default host"}${url.pathname}`;
}

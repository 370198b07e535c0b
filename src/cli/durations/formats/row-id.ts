import { createHash } from "node:crypto";
import type { Row } from "./format.ts";

/** An id for a row whose format has none: the same for the same content. */
export function idOfRow({ cells }: Row): string {
  const hash = createHash("sha256").update(JSON.stringify(Object.values(cells)));
  return `row-${hash.digest("hex").slice(0, 24)}`;
}

import { TandemError } from "../../domain/errors.ts";
import type { Seals } from "../../domain/seals.ts";
import { decodeUnsealedPageToken } from "./unsealed-page-token.ts";

/** What a page token carries, made of strings: a bigint is written in decimal. */
export type PageTokenValue = Readonly<Record<string, string>>;

/** Longest token that is looked at, characters. */
const MAX_TOKEN_LENGTH = 2_048;

/**
 * Encodes where the next page starts as URL-safe text that clients can neither read nor make up. It
 * comes out different each time.
 * @param scope everything that the token is good for and that the next request must name again: the
 * method, the carrier, the filter.
 */
export function encodePageToken(seals: Seals, scope: readonly string[], value: PageTokenValue): string {
  return seals.seal("page token", scope, Buffer.from(JSON.stringify(value), "utf8"));
}

/**
 * Decodes the token of a request: undefined for an empty one, which asks for the first page. Not to
 * be called inside a transaction: it may ask the database for a key.
 * @throws TandemError PAGE_TOKEN_INVALID for text that this installation did not make for this
 * scope, or whose key is gone.
 */
export async function decodePageToken(
  seals: Seals,
  scope: readonly string[],
  token: string,
): Promise<PageTokenValue | undefined> {
  if (token === "") return undefined;
  const text = token.length <= MAX_TOKEN_LENGTH ? token : "";
  // Before the seal: of the old ones, which begin with any byte, one in 256 looks like a seal of a
  // key that is gone.
  const unsealed = decodeUnsealedPageToken(seals.unsealedSecret, scope, text);
  if (unsealed) return unsealed;
  const opened = await seals.open("page token", scope, text);
  if (opened === "key gone")
    throw invalid("page_token: the key that it was made with is no longer kept; begin again at the first page");
  if (opened === "not genuine") throw invalid("page_token: not a token of this method, carrier and filter");
  return JSON.parse(opened.body.toString("utf8")) as PageTokenValue;
}

function invalid(message: string): TandemError {
  return new TandemError("PAGE_TOKEN_INVALID", message, { field: "page_token" });
}

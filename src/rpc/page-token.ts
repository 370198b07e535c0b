import { createHmac, timingSafeEqual } from "node:crypto";
import { TandemError } from "../domain/errors.ts";

/** What a page token carries, made of strings: a bigint is written in decimal. */
export type PageTokenValue = Readonly<Record<string, string>>;

const TAG_BYTES = 12;
/** Longest token that is looked at, characters. */
const MAX_TOKEN_LENGTH = 2_048;

/**
 * Encodes where the next page starts as URL-safe text that clients can neither read meaning into nor make up.
 * @param secret the installation's secret.
 * @param scope everything that the token is good for and that the next request must name again: the method, the carrier, the filter.
 */
export function encodePageToken(secret: Buffer, scope: readonly string[], value: PageTokenValue): string {
  const body = Buffer.from(JSON.stringify(value), "utf8");
  return Buffer.concat([tagOf(secret, scope, body), body]).toString("base64url");
}

/**
 * Decodes the token of a request: undefined for an empty one, which asks for the first page.
 * @throws TandemError PAGE_TOKEN_INVALID for text that this installation did not make for this scope.
 */
export function decodePageToken(secret: Buffer, scope: readonly string[], token: string): PageTokenValue | undefined {
  if (token === "") return undefined;
  const bytes = token.length <= MAX_TOKEN_LENGTH ? Buffer.from(token, "base64url") : Buffer.alloc(0);
  const body = bytes.subarray(TAG_BYTES);
  const genuine =
    bytes.length > TAG_BYTES &&
    bytes.toString("base64url") === token &&
    timingSafeEqual(bytes.subarray(0, TAG_BYTES), tagOf(secret, scope, body));
  if (!genuine) {
    throw new TandemError("PAGE_TOKEN_INVALID", "page_token: not a token of this method, carrier and filter", {
      field: "page_token",
    });
  }
  return JSON.parse(body.toString("utf8")) as PageTokenValue;
}

function tagOf(secret: Buffer, scope: readonly string[], body: Buffer): Buffer {
  const mac = createHmac("sha256", secret).update("tandem page token\0").update(JSON.stringify(scope)).update("\0");
  return mac.update(body).digest().subarray(0, TAG_BYTES);
}

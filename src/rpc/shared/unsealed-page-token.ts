import { createHmac, timingSafeEqual } from "node:crypto";

// Page tokens as they were made before they were sealed (00d3f3f). A client may be in the middle of
// a list while the server is replaced, or may have stored one, so they are taken for as long as 0.x
// lives; with 1.0 this file goes, and its one call in page-token.ts. None is made any more.

const TAG_BYTES = 12;

/** Decodes one; undefined for text that this installation did not make for this scope. */
export function decodeUnsealedPageToken(
  secret: Buffer,
  scope: readonly string[],
  token: string,
): Record<string, string> | undefined {
  const bytes = Buffer.from(token, "base64url");
  const body = bytes.subarray(TAG_BYTES);
  const genuine =
    bytes.length > TAG_BYTES &&
    bytes.toString("base64url") === token &&
    timingSafeEqual(bytes.subarray(0, TAG_BYTES), tagOf(secret, scope, body));
  return genuine ? (JSON.parse(body.toString("utf8")) as Record<string, string>) : undefined;
}

function tagOf(secret: Buffer, scope: readonly string[], body: Buffer): Buffer {
  const mac = createHmac("sha256", secret).update("tandem page token\0").update(JSON.stringify(scope)).update("\0");
  return mac.update(body).digest().subarray(0, TAG_BYTES);
}

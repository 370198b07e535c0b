import { createHmac, timingSafeEqual } from "node:crypto";
import type { Micros } from "../domain/time/instant.ts";

// Cursors as they were made before they were sealed (00d3f3f). Clients have stored them, so they
// are taken for as long as 0.x lives; with 1.0 this file goes, and its one call in cursor.ts. None
// is made any more.

const VERSION = 1;
const FIXED_BYTES = 1 + 1 + 8 + 8 + 8 + 8;
const TAG_BYTES = 12;

interface UnsealedCursor {
  epoch: bigint;
  sequence: bigint;
  ingestTime: Micros;
  snapshot?: { afterKey: string; rowCount: number };
}

/**
 * Decodes one; undefined for text that this installation did not make for this carrier and feed.
 * The filter is as it was made with.
 */
export function decodeUnsealedCursor(
  secret: Buffer,
  scope: { carrierId: string; feed: number },
  text: string,
): { cursor: UnsealedCursor; filter: bigint } | undefined {
  const bytes = Buffer.from(text, "base64url");
  const body = bytes.subarray(0, Math.max(0, bytes.length - TAG_BYTES));
  const genuine =
    body.length >= FIXED_BYTES &&
    bytes.toString("base64url") === text &&
    timingSafeEqual(bytes.subarray(body.length), tagOf(secret, scope.carrierId, body)) &&
    body.readUInt8(0) === VERSION &&
    body.readUInt8(1) === scope.feed;
  if (!genuine) return undefined;
  const cursor: UnsealedCursor = {
    epoch: body.readBigInt64BE(2),
    sequence: body.readBigInt64BE(10),
    ingestTime: body.readBigInt64BE(18),
  };
  const [rowCount, ...key] = body.subarray(FIXED_BYTES).toString("utf8").split(":");
  if (rowCount) cursor.snapshot = { afterKey: key.join(":"), rowCount: Number(rowCount) };
  return { cursor, filter: body.readBigInt64BE(26) };
}

function tagOf(secret: Buffer, carrierId: string, body: Buffer): Buffer {
  const mac = createHmac("sha256", secret).update("tandem cursor\0").update(carrierId).update("\0");
  return mac.update(body).digest().subarray(0, TAG_BYTES);
}

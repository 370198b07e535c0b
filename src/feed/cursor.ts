import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { TandemError } from "../domain/errors.ts";
import type { Micros } from "../domain/instant.ts";

/** A position in a feed. On the wire it is opaque, bound to one carrier, feed and filter, and cannot be made up. */
export interface Cursor {
  /** The epoch in which the entry was read. */
  epoch: bigint;
  /** The sequence of the last entry that was delivered; 0 before the first. */
  sequence: bigint;
  /** The ingest time of that entry, by which rewritten history is recognised; 0 when the entry is not known. */
  ingestTime: Micros;
  /** Within a snapshot as of `sequence`: the key of the last row that was delivered (empty before the first), and how many were. */
  snapshot?: { afterKey: string; rowCount: number };
}

/** What a cursor is good for. */
export interface CursorScope {
  carrierId: string;
  feed: number;
  /** From `filterHash`: 0 when unfiltered. */
  filter: bigint;
}

const VERSION = 1;
const FIXED_BYTES = 1 + 1 + 8 + 8 + 8 + 8;
const TAG_BYTES = 12;
/** Longest cursor that is looked at, characters. */
const MAX_CURSOR_LENGTH = 512;

/** Encodes a cursor as URL-safe text. */
export function encodeCursor(secret: Buffer, scope: CursorScope, cursor: Cursor): string {
  const { snapshot } = cursor;
  const key = Buffer.from(snapshot ? `${snapshot.rowCount}:${snapshot.afterKey}` : "", "utf8");
  const body = Buffer.allocUnsafe(FIXED_BYTES + key.length);
  body.writeUInt8(VERSION, 0);
  body.writeUInt8(scope.feed, 1);
  body.writeBigInt64BE(cursor.epoch, 2);
  body.writeBigInt64BE(cursor.sequence, 10);
  body.writeBigInt64BE(cursor.ingestTime, 18);
  body.writeBigInt64BE(scope.filter, 26);
  body.set(key, FIXED_BYTES);
  return Buffer.concat([body, tagOf(secret, scope.carrierId, body)]).toString("base64url");
}

/**
 * Decodes a cursor for a scope. Throws CURSOR_MALFORMED for text that this installation did not make for this carrier and feed, and
 * CURSOR_FILTER_MISMATCH for one made with another filter.
 */
export function decodeCursor(secret: Buffer, scope: CursorScope, text: string): Cursor {
  const bytes = text.length <= MAX_CURSOR_LENGTH ? Buffer.from(text, "base64url") : Buffer.alloc(0);
  const body = bytes.subarray(0, Math.max(0, bytes.length - TAG_BYTES));
  const tag = bytes.subarray(body.length);
  const genuine =
    body.length >= FIXED_BYTES &&
    bytes.toString("base64url") === text &&
    timingSafeEqual(tag, tagOf(secret, scope.carrierId, body)) &&
    body.readUInt8(0) === VERSION &&
    body.readUInt8(1) === scope.feed;
  if (!genuine)
    throw new TandemError("CURSOR_MALFORMED", "cursor: not a cursor that this feed gave to this carrier", {
      field: "cursor",
    });
  if (body.readBigInt64BE(26) !== scope.filter) {
    throw new TandemError(
      "CURSOR_FILTER_MISMATCH",
      "cursor: it was made with another filter; resume with the filter that it was made with",
      {
        field: "cursor",
      },
    );
  }
  const cursor: Cursor = {
    epoch: body.readBigInt64BE(2),
    sequence: body.readBigInt64BE(10),
    ingestTime: body.readBigInt64BE(18),
  };
  const [rowCount, ...key] = body.subarray(FIXED_BYTES).toString("utf8").split(":");
  if (rowCount) cursor.snapshot = { afterKey: key.join(":"), rowCount: Number(rowCount) };
  return cursor;
}

/** A filter as the number that cursors carry; 0 when there is none. The same conditions in another order are another filter. */
export function filterHash(encodedFilter: Uint8Array | undefined): bigint {
  if (!encodedFilter || encodedFilter.length === 0) return 0n;
  return createHash("sha256").update(encodedFilter).digest().readBigInt64BE(0) || 1n;
}

function tagOf(secret: Buffer, carrierId: string, body: Buffer): Buffer {
  return createHmac("sha256", secret)
    .update("tandem cursor\0")
    .update(carrierId)
    .update("\0")
    .update(body)
    .digest()
    .subarray(0, TAG_BYTES);
}

/** The filter that a cursor says it was made with; `decodeCursor` decides whether that is true. */
export function cursorFilter(text: string): bigint {
  const bytes = Buffer.from(text.slice(0, MAX_CURSOR_LENGTH), "base64url");
  return bytes.length >= FIXED_BYTES ? bytes.readBigInt64BE(26) : 0n;
}

/** Whether a cursor says that it lies within a snapshot; `decodeCursor` decides whether that is true. */
export function isSnapshotCursor(text: string): boolean {
  return Buffer.from(text.slice(0, MAX_CURSOR_LENGTH), "base64url").length > FIXED_BYTES + TAG_BYTES;
}

import { createHash } from "node:crypto";
import { TandemError } from "../domain/errors.ts";
import type { Seals } from "../domain/seals.ts";
import type { Micros } from "../domain/time/instant.ts";
import { decodeUnsealedCursor } from "./unsealed-cursor.ts";

/**
 * A position in a feed. On the wire it is sealed: opaque, bound to one carrier, feed and filter,
 * and cannot be made up.
 */
export interface Cursor {
  /** The epoch in which the entry was read. */
  epoch: bigint;
  /** The sequence of the last entry that was delivered; 0 before the first. */
  sequence: bigint;
  /**
   * The ingest time of that entry, by which rewritten history is recognised; 0 when the entry is
   * not known.
   */
  ingestTime: Micros;
  /**
   * Within a snapshot as of `sequence`: the key of the last row that was delivered (empty before
   * the first), and how many were.
   */
  snapshot?: { afterKey: string; rowCount: number };
}

/** What a cursor is good for. */
export interface CursorScope {
  carrierId: string;
  feed: number;
  /** From `filterHash`: 0 when unfiltered. */
  filter: bigint;
}

/**
 * A cursor that was genuine when it was opened, with the filter that it was made with; or one whose
 * key is gone, of which nothing is known.
 */
export type OpenedCursor = { readonly cursor: Cursor; readonly filter: bigint } | "key gone";

const FIXED_BYTES = 8 + 8 + 8 + 8;
/** Longest cursor that is looked at, characters. */
const MAX_CURSOR_LENGTH = 512;

/** Encodes a cursor as URL-safe text. It comes out different each time. */
export function encodeCursor(seals: Seals, scope: CursorScope, cursor: Cursor): string {
  const { snapshot } = cursor;
  const key = Buffer.from(snapshot ? `${snapshot.rowCount}:${snapshot.afterKey}` : "", "utf8");
  const body = Buffer.allocUnsafe(FIXED_BYTES + key.length);
  body.writeBigInt64BE(cursor.epoch, 0);
  body.writeBigInt64BE(cursor.sequence, 8);
  body.writeBigInt64BE(cursor.ingestTime, 16);
  // Inside, and not part of the scope: a cursor of another filter is told apart from a false one.
  body.writeBigInt64BE(scope.filter, 24);
  body.set(key, FIXED_BYTES);
  return seals.seal("cursor", sealScope(scope), body);
}

/**
 * Opens a cursor of a carrier's feed, whatever its filter. Not to be called inside a transaction:
 * it may ask the database for a key.
 * @throws TandemError CURSOR_MALFORMED for text that this installation did not make for this
 * carrier and feed.
 */
export async function openCursor(
  seals: Seals,
  scope: Omit<CursorScope, "filter">,
  text: string,
): Promise<OpenedCursor> {
  const checked = text.length <= MAX_CURSOR_LENGTH ? text : "";
  const unsealed = decodeUnsealedCursor(seals.unsealedSecret, scope, checked);
  if (unsealed) return unsealed;
  const opened = await seals.open("cursor", sealScope(scope), checked);
  if (opened === "key gone") return opened;
  if (opened === "not genuine")
    throw new TandemError("CURSOR_MALFORMED", "cursor: this feed did not issue it to this carrier", {
      field: "cursor",
    });
  const { body } = opened;
  const cursor: Cursor = {
    epoch: body.readBigInt64BE(0),
    sequence: body.readBigInt64BE(8),
    ingestTime: body.readBigInt64BE(16),
  };
  const [rowCount, ...key] = body.subarray(FIXED_BYTES).toString("utf8").split(":");
  if (rowCount) cursor.snapshot = { afterKey: key.join(":"), rowCount: Number(rowCount) };
  return { cursor, filter: body.readBigInt64BE(24) };
}

/** Throws CURSOR_FILTER_MISMATCH for a cursor that was made with another filter. */
export function assertFilter(opened: OpenedCursor, filter: bigint): void {
  if (opened === "key gone" || opened.filter === filter) return;
  throw new TandemError(
    "CURSOR_FILTER_MISMATCH",
    "cursor: it belongs to another filter; resume with the filter that you used before",
    { field: "cursor" },
  );
}

/**
 * Whether two cursors of one feed are the same position, read with the same filter. Their texts
 * differ all the same.
 */
export function isSamePosition(one: OpenedCursor, other: OpenedCursor): boolean {
  if (one === "key gone" || other === "key gone") return false;
  const { epoch, sequence, ingestTime } = one.cursor;
  return (
    epoch === other.cursor.epoch &&
    sequence === other.cursor.sequence &&
    ingestTime === other.cursor.ingestTime &&
    one.filter === other.filter
  );
}

/**
 * A filter as the number that cursors carry; 0 when there is none. The same conditions in another
 * order are another filter.
 */
export function filterHash(encodedFilter: Uint8Array | undefined): bigint {
  if (!encodedFilter || encodedFilter.length === 0) return 0n;
  return createHash("sha256").update(encodedFilter).digest().readBigInt64BE(0) || 1n;
}

function sealScope({ carrierId, feed }: Omit<CursorScope, "filter">): string[] {
  return [carrierId, String(feed)];
}

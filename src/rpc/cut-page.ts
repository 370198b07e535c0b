import {
  create,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { Limits } from "../domain/limits.ts";
import { batchFormat } from "./feed-frames.ts";

/** Most bytes of a page's items, as in a feed: well below the 4 MiB that gRPC clients take by default, also with what masking adds. */
const PAGE_BYTES = 2_097_152;
/** What the server writes of an answer, in sizes of the largest message: what is bounded in bytes of protobuf is larger as JSON. */
export const ANSWER_GROWTH = 4;

/** Which of what was found make a page, and how they are shown. */
export interface PageRules<Found, Desc extends DescMessage> {
  /** Most items. Whatever was found beyond it only tells that there is more. */
  readonly size: number;
  /** Of an item's message. */
  readonly schema: Desc;
  /** Makes the message of an item. */
  readonly show: (found: Found) => MessageInitShape<Desc>;
  /** Whose answer it is: it decides between protobuf and JSON. */
  readonly context: Pick<HandlerContext, "requestHeader">;
  readonly limits: Limits;
}

/** A page of a list. */
export interface CutPage<Found, Desc extends DescMessage> {
  readonly page: readonly Found[];
  /** What is sent of each item of the page. */
  readonly messages: MessageShape<Desc>[];
  /** The page's last item, after which the next page begins; undefined when there is no more. */
  readonly last: Found | undefined;
}

/**
 * Cuts a page of what was found, which is best one item more than the page's size: as many items as the size allows, and as many as fit in the
 * bytes of a page, in the form in which they are sent. One item at least, however large, so that a reader always gets on.
 */
export function cutPage<Found, Desc extends DescMessage>(
  found: readonly Found[],
  { size, schema, show, context, limits }: PageRules<Found, Desc>,
): CutPage<Found, Desc> {
  const isJson = batchFormat(context) === "json";
  // The largest message may be set to less than usual.
  const mostWritten = (limits.maxMessageBytes * ANSWER_GROWTH) / 2;
  const maxBytes = isJson ? mostWritten : Math.min(PAGE_BYTES, mostWritten);
  const messages: MessageShape<Desc>[] = [];
  let bytes = 0;
  for (const item of found.slice(0, size)) {
    const message = create(schema, show(item));
    bytes += isJson ? Buffer.byteLength(toJsonString(schema, message)) : toBinary(schema, message).length;
    if (bytes > maxBytes && messages.length > 0) break;
    messages.push(message);
  }
  const page = found.slice(0, messages.length);
  return { page, messages, last: found.length > page.length ? page.at(-1) : undefined };
}

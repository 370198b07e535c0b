import { createContextKey, type HandlerContext } from "@connectrpc/connect";
import { readEach } from "../shared/message-steps.ts";
import type { SplitRequest } from "./split-binary.ts";

/** A message of a request as it came: whole, inflated and counted, but not decoded. */
export interface RawMessage {
  readonly bytes: Uint8Array;
  readonly isJson: boolean;
  /** For JSON: how it was taken apart when it was counted. */
  readonly split?: SplitRequest | undefined;
}

/**
 * The messages of a call whose method takes them undecoded, in order. The guard puts them here, and
 * gives Connect an empty message in place of each: Connect decodes a message whole or not at all,
 * so that one bad record would refuse all that came with it.
 */
export const rawMessagesKey = createContextKey<RawMessage[]>([], { description: "raw messages" });

/** Reads the messages of a stream in place of the empty ones that the method gets. */
export function readRaw<T>(
  messages: AsyncIterable<unknown>,
  context: Pick<HandlerContext, "values">,
  read: (message: RawMessage) => T,
): AsyncIterable<T> {
  return readEach(messages, () => read(nextRaw(context)));
}

/** The message that came in place of the next empty one. */
export function nextRaw({ values }: Pick<HandlerContext, "values">): RawMessage {
  const message = values.get(rawMessagesKey).shift();
  if (!message) throw new Error("a message came past the guard");
  return message;
}

import {
  create,
  type DescField,
  type DescMessage,
  type Message,
  type MessageInitShape,
  type MessageShape,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import type { Limits } from "../../domain/limits.ts";
import { LoopTurn } from "../../domain/loop-turn.ts";
import { forwardedField } from "../../feed/forwarded-batch.ts";
import { batchFormat } from "./feed-frames.ts";

/**
 * Most bytes of a page's items, as in a feed: well below the 4 MiB that gRPC clients take by
 * default, also with what masking adds.
 */
const PAGE_BYTES = 2_097_152;
/**
 * How much larger than the largest message an answer may become when it is written: what is bounded
 * in bytes of protobuf is larger as JSON.
 */
export const ANSWER_GROWTH = 4;

/** Which of what was found make a page, and how they are shown. */
export interface PageRules<Found, Desc extends DescMessage> {
  /** Most items. Anything found beyond it only shows that there is more. */
  readonly size: number;
  /** The schema of an item's message. */
  readonly schema: Desc;
  /** Makes the message of an item. */
  readonly show: (found: Found) => MessageInitShape<Desc>;
  /** The call that is answered: it decides between protobuf and JSON. */
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
 * Cuts a page of what was found, which is best one item more than the page's size: as many items as
 * the size allows, and as many as fit in the bytes of a page, in the form in which they are sent.
 * One item at least, however large, so that a reader always gets on.
 */
export async function cutPage<Found, Desc extends DescMessage>(
  found: readonly Found[],
  { size, schema, show, context, limits }: PageRules<Found, Desc>,
): Promise<CutPage<Found, Desc>> {
  const isJson = batchFormat(context) === "json";
  const messages = await cut(found, { size, maxBytes: mostBytes(isJson, limits) }, (item) => {
    const shown = create(schema, show(item));
    const bytes = isJson ? Buffer.byteLength(toJsonString(schema, shown)) : toBinary(schema, shown).length;
    return { shown, bytes };
  });
  return { messages, ...pageOf(found, messages.length) };
}

/** Which stored items make a page, and how the answer holds them. */
export interface ForwardRules<Found, Desc extends DescMessage> extends PageRules<Found, Desc> {
  /** The encoding of an item, in parts that are to be joined. */
  readonly partsOf: (found: Found) => readonly Uint8Array[];
  /** The field of the answer that holds the items. */
  readonly field: DescField;
}

/** A page whose items are in its answer. */
export interface ForwardedPage<Found> extends Pick<CutPage<Found, DescMessage>, "page" | "last"> {
  /** Puts the items into the answer. */
  readonly fill: <Answer extends Message>(answer: Answer) => Answer;
}

/**
 * Cuts a page as `cutPage`, of items that are stored as they are sent: a binary answer forwards
 * their bytes, and nothing is decoded. Not for readers to whom something is masked.
 */
export async function cutForwardedPage<Found, Desc extends DescMessage>(
  found: readonly Found[],
  rules: ForwardRules<Found, Desc>,
): Promise<ForwardedPage<Found>> {
  const { size, context, limits, partsOf, field } = rules;
  if (batchFormat(context) === "json") {
    const { messages, page, last } = await cutPage(found, rules);
    return { page, last, fill: (answer) => Object.assign(answer, { [field.localName]: messages }) };
  }
  const items = await cut(found, { size, maxBytes: mostBytes(false, limits) }, (item) => {
    const shown = partsOf(item);
    return { shown, bytes: shown.reduce((sum, part) => sum + part.length, 0) };
  });
  const fill = <Answer extends Message>(answer: Answer): Answer => {
    if (items.length > 0) answer.$unknown = [forwardedField(field.number, items)];
    return answer;
  };
  return { fill, ...pageOf(found, items.length) };
}

function mostBytes(isJson: boolean, { maxMessageBytes }: Limits): number {
  // The largest message may be configured smaller than usual.
  const mostWritten = (maxMessageBytes * ANSWER_GROWTH) / 2;
  return isJson ? mostWritten : Math.min(PAGE_BYTES, mostWritten);
}

async function cut<Found, Shown>(
  found: readonly Found[],
  { size, maxBytes }: { readonly size: number; readonly maxBytes: number },
  show: (item: Found) => { readonly shown: Shown; readonly bytes: number },
): Promise<Shown[]> {
  const turn = new LoopTurn();
  const page: Shown[] = [];
  let total = 0;
  for (const item of found.slice(0, size)) {
    const { shown, bytes } = show(item);
    total += bytes;
    if (total > maxBytes && page.length > 0) break;
    page.push(shown);
    if (turn.isOver) await turn.pass();
  }
  return page;
}

function pageOf<Found>(found: readonly Found[], length: number) {
  const page = found.slice(0, length);
  return { page, last: found.length > length ? page.at(-1) : undefined };
}

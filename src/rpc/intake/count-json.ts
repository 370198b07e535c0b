import { type ElementBounds, type ElementCount, MAX_DEPTH, tooDeep, tooMany } from "./count-elements.ts";

/** The same of JSON, where a list is a level of its own. */
const MAX_JSON_DEPTH = 2 * MAX_DEPTH;

export const QUOTE = 0x22;
export const COMMA = 0x2c;
const BACKSLASH = 0x5c;

/** What each byte is, outside a text: part of a number or word, or one of these, by their order. */
const KIND = new Uint8Array(256);
for (const [index, characters] of ['"', "[{", "]}", ":", ", \t\n\r"].entries())
  for (const byte of Buffer.from(characters)) KIND[byte] = index + 1;

/**
 * Counts the values of a JSON message before it is parsed. Of what is not JSON, it counts at least
 * as many as a parser would make before it fails.
 * @param countCommas whether commas within texts count, escaped ones too: the text of a field mask
 *   becomes as many paths.
 * @throws TandemError MESSAGE_TOO_LARGE
 */
export function countJson(bytes: Uint8Array, bounds: ElementBounds, countCommas = false): ElementCount {
  const counter = new JsonCounter(bounds, countCommas);
  counter.read(bytes);
  return counter;
}

class JsonCounter implements ElementCount {
  elements = 0;
  objects = 0;
  readonly #bounds: ElementBounds;
  readonly #countCommas: boolean;
  #depth = 0;

  constructor(bounds: ElementBounds, countCommas: boolean) {
    this.#bounds = bounds;
    this.#countCommas = countCommas;
  }

  read(bytes: Uint8Array): void {
    let isInWord = false;
    for (let position = 0; position < bytes.length; position++) {
      const kind = KIND[bytes[position] as number];
      if (kind === 0) {
        // A number or a word is one value, however long.
        if (!isInWord) this.#count(1);
        isInWord = true;
        continue;
      }
      isInWord = false;
      if (kind === 1) position = this.#text(bytes, position + 1);
      else if (kind === 2) this.#open();
      else if (kind === 3) this.#depth -= 1;
      // What came before was a name, and no value.
      else if (kind === 4) this.elements -= 1;
    }
    if (this.elements > this.#bounds.maxElements) throw tooMany(this.#bounds.maxElements, "elements");
  }

  #text(bytes: Uint8Array, start: number): number {
    const end = endOfText(bytes, start);
    this.#count(1 + (this.#countCommas ? commasIn(bytes, start, end) : 0));
    return end;
  }

  #open(): void {
    this.#count(1);
    this.#depth += 1;
    this.objects += 1;
    if (this.#depth > MAX_JSON_DEPTH) throw tooDeep(MAX_JSON_DEPTH);
    if (this.objects > this.#bounds.maxObjects) throw tooMany(this.#bounds.maxObjects, "objects");
  }

  #count(elements: number): void {
    this.elements += elements;
    // One too many is allowed for: a name whose colon has not come yet.
    if (this.elements > this.#bounds.maxElements + 1) throw tooMany(this.#bounds.maxElements, "elements");
  }
}

/** Where the quote is that ends a text; the end of all, if there is none. */
export function endOfText(bytes: Uint8Array, start: number): number {
  let position = start;
  while (position < bytes.length && bytes[position] !== QUOTE) position += bytes[position] === BACKSLASH ? 2 : 1;
  return position;
}

function commasIn(bytes: Uint8Array, start: number, end: number): number {
  // Search only within the text: for many short texts, each search would else run to the end of the
  // message.
  const text = bytes.subarray(start, end);
  let count = 0;
  for (let at = text.indexOf(COMMA); at >= 0; at = text.indexOf(COMMA, at + 1)) count++;
  for (let at = text.indexOf(BACKSLASH); at >= 0; at = text.indexOf(BACKSLASH, at + 2))
    if (isEscapedComma(text, at)) count++;
  return count;
}

/** Whether `\u002c` stands there, its last letter in either case. */
function isEscapedComma(text: Uint8Array, at: number): boolean {
  const last = text[at + ESCAPED_COMMA.length] ?? 0;
  return ESCAPED_COMMA.every((byte, index) => byte === text[at + index]) && (last | 0x20) === 0x63;
}

const ESCAPED_COMMA = Buffer.from("\\u002");

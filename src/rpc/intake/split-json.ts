import type { DescField } from "@bufbuild/protobuf";
import { TandemError } from "../../domain/errors.ts";
import { COMMA, endOfText, QUOTE } from "./count-json.ts";
import type { RecordPath } from "./record-paths.ts";
import type { SplitRequest } from "./split-binary.ts";

/**
 * Takes the records out of a JSON request before any of it is parsed, so that one that is not JSON
 * stops no other. A record ends where its braces balance, outside of texts; what is between them is
 * not looked at.
 * @throws TandemError BATCH_TOO_LARGE; INVALID_ARGUMENT for one that cannot be taken apart.
 */
export function splitJson(path: RecordPath, bytes: Uint8Array, maxRecords: number): SplitRequest {
  const scanner = new JsonScanner(bytes, maxRecords);
  const list = scanner.findList(path.fields);
  if (list === "NOT_JSON")
    throw new TandemError("INVALID_ARGUMENT", "the message is not valid JSON for this method", { field: "" });
  if (list === "NO_LIST") return { head: bytes, bounds: [] };
  const head = Buffer.concat([bytes.subarray(0, list.start), Buffer.from("[]"), bytes.subarray(list.end)]);
  return { head, bounds: list.bounds };
}

interface FoundList {
  readonly start: number;
  readonly end: number;
  readonly bounds: readonly number[];
}

const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const SPACES: ReadonlySet<number | undefined> = new Set([0x20, 0x09, 0x0a, 0x0d]);

class JsonScanner {
  readonly #bytes: Uint8Array;
  readonly #maxRecords: number;
  #position = 0;

  constructor(bytes: Uint8Array, maxRecords: number) {
    this.#bytes = bytes;
    this.#maxRecords = maxRecords;
    // A byte order mark, which JSON.parse does not accept.
    if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) this.#position = 3;
  }

  /** The list at the end of a path of names. The scanner stands before an object. */
  findList(fields: readonly DescField[]): FoundList | "NO_LIST" | "NOT_JSON" {
    const [field, ...inner] = fields as [DescField, ...DescField[]];
    if (this.#next() !== OPEN_OBJECT) return "NOT_JSON";
    this.#position += 1;
    let found: FoundList | "NO_LIST" = "NO_LIST";
    while (this.#next() !== CLOSE_OBJECT) {
      const name = this.#memberName();
      if (name === undefined) return "NOT_JSON";
      if (name !== field.jsonName && name !== field.name) this.#skipValue();
      else {
        const value = this.#findIn(inner);
        // A name that comes twice is refused where the head is decoded, unless both hold records.
        if (value === "NOT_JSON" || found !== "NO_LIST") return "NOT_JSON";
        found = value;
      }
      if (!this.#memberEnds()) return "NOT_JSON";
    }
    this.#position += 1;
    return found;
  }

  /** Whether a member ends here: behind its comma, or before the end of its object. */
  #memberEnds(): boolean {
    const byte = this.#next();
    if (byte === COMMA) this.#position += 1;
    return byte === COMMA || byte === CLOSE_OBJECT;
  }

  /** The name of the next member; the scanner then stands behind its colon. */
  #memberName(): string | undefined {
    if (this.#next() !== QUOTE) return undefined;
    const name = this.#name();
    if (this.#next() !== COLON) return undefined;
    this.#position += 1;
    return name;
  }

  #findIn(inner: readonly DescField[]): FoundList | "NO_LIST" | "NOT_JSON" {
    const byte = this.#next();
    if (inner.length > 0 && byte === OPEN_OBJECT) return this.findList(inner);
    if (inner.length === 0 && byte === OPEN_LIST) return this.#list();
    this.#skipValue();
    return "NO_LIST";
  }

  #list(): FoundList | "NOT_JSON" {
    const start = this.#position;
    const bounds: number[] = [];
    this.#position += 1;
    if (this.#next() === CLOSE_LIST) return { start, end: ++this.#position, bounds };
    for (;;) {
      this.#next();
      const itemStart = this.#position;
      this.#skipValue();
      // Anything between a value and its comma belongs to the value, and makes it invalid.
      while (this.#next() !== COMMA && this.#next() !== CLOSE_LIST) {
        if (this.#position >= this.#bytes.length) return "NOT_JSON";
        this.#position += 1;
      }
      bounds.push(itemStart, this.#position);
      if (bounds.length > 2 * this.#maxRecords) throw tooManyRecords(this.#maxRecords);
      if (this.#bytes[this.#position++] === CLOSE_LIST) return { start, end: this.#position, bounds };
    }
  }

  /** The next byte that is no space; the scanner stands before it. Undefined at the end. */
  #next(): number | undefined {
    while (SPACES.has(this.#bytes[this.#position])) this.#position += 1;
    return this.#bytes[this.#position];
  }

  #name(): string | undefined {
    const start = this.#position;
    this.#skipText();
    try {
      const name: unknown = JSON.parse(Buffer.from(this.#bytes.subarray(start, this.#position)).toString());
      return typeof name === "string" ? name : undefined;
    } catch {
      return undefined;
    }
  }

  #skipValue(): void {
    const byte = this.#next();
    if (byte === QUOTE) this.#skipText();
    else if (byte === OPEN_OBJECT) this.#skipNested(OPEN_OBJECT, CLOSE_OBJECT);
    else if (byte === OPEN_LIST) this.#skipNested(OPEN_LIST, CLOSE_LIST);
    else this.#skipWord();
  }

  // Only brackets of the same kind count: a list that lacks its end does not lengthen the object
  // that it is in.
  #skipNested(open: number, close: number): void {
    let depth = 0;
    while (this.#position < this.#bytes.length) {
      const byte = this.#bytes[this.#position];
      if (byte === QUOTE) {
        this.#skipText();
        continue;
      }
      this.#position += 1;
      if (byte === open) depth += 1;
      else if (byte === close && --depth === 0) return;
    }
  }

  #skipWord(): void {
    while (this.#position < this.#bytes.length) {
      const byte = this.#bytes[this.#position];
      if (byte === COMMA || byte === CLOSE_LIST || byte === CLOSE_OBJECT) return;
      this.#position += 1;
    }
  }

  // Moves past the quote that ends the text, or to the end if there is none.
  #skipText(): void {
    this.#position = Math.min(endOfText(this.#bytes, this.#position + 1) + 1, this.#bytes.length);
  }
}

function tooManyRecords(limit: number): TandemError {
  return new TandemError("BATCH_TOO_LARGE", `a batch of over ${limit} records: expected 1 to ${limit}`, {
    records: `over ${limit}`,
    limit: String(limit),
  });
}

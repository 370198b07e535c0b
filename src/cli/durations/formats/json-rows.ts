import type { Row } from "./format.ts";
import { textsOf } from "./lines.ts";

/** An object of more characters than this is no call record. */
const MAX_OBJECT_CHARS = 4_194_304;

/**
 * The objects of a file: one a line, one after the other over many lines, or in one array. The
 * cells of a row are the object's texts, by their path: `variables.uuid`,
 * `callflow.0.caller_profile.ani`.
 */
export async function* jsonRows(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Row> {
  const scanner = new ObjectScanner();
  for await (const text of textsOf(bytes)) for (const found of scanner.scan(text)) yield rowOf(found);
  const rest = scanner.rest();
  if (rest) yield { ...rest, cells: {}, broken: "the object does not end" };
}

interface Found {
  readonly line: number;
  readonly raw: string;
}

/** Finds the outermost objects in a text that comes in pieces. */
class ObjectScanner {
  #line = 1;
  #depth = 0;
  #inText = false;
  #isEscaped = false;
  #began: { line: number; raw: string } | undefined;

  *scan(chunk: string): Generator<Found> {
    let from = this.#began ? 0 : -1;
    for (let at = 0; at < chunk.length; at++) {
      const sign = chunk[at];
      if (sign === "\n") this.#line += 1;
      if (this.#began === undefined) {
        if (sign !== "{") continue;
        this.#began = { line: this.#line, raw: "" };
        from = at;
        this.#depth = 1;
      } else if (this.#closes(sign)) {
        yield { line: this.#began.line, raw: `${this.#began.raw}${chunk.slice(from, at + 1)}\n` };
        this.#began = undefined;
      }
    }
    if (this.#began === undefined) return;
    this.#began.raw += chunk.slice(from);
    // The rest of such a file is not looked at piece by piece.
    if (this.#began.raw.length > MAX_OBJECT_CHARS)
      throw new Error(`line ${this.#began.line}: an object of over ${MAX_OBJECT_CHARS} characters`);
  }

  rest(): Found | undefined {
    return this.#began && { line: this.#began.line, raw: `${this.#began.raw.trimEnd()}\n` };
  }

  /** Whether the sign ends the outermost object. */
  #closes(sign: string | undefined): boolean {
    if (this.#inText) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (sign === "\\") this.#isEscaped = true;
      else if (sign === '"') this.#inText = false;
      return false;
    }
    if (sign === '"') this.#inText = true;
    else if (sign === "{") this.#depth += 1;
    else if (sign === "}") this.#depth -= 1;
    return this.#depth === 0;
  }
}

function rowOf({ line, raw }: Found): Row {
  try {
    const cells: Record<string, string> = {};
    flatten(JSON.parse(raw), "", cells);
    return { line, raw, cells };
  } catch (error) {
    return { line, raw, cells: {}, broken: error instanceof Error ? error.message : `${error}` };
  }
}

const MAX_DEPTH = 16;

function flatten(value: unknown, path: string, cells: Record<string, string>, depth = 0): void {
  if (value === null || value === undefined || depth > MAX_DEPTH) return;
  if (typeof value !== "object") {
    cells[path] = String(value).trim();
    return;
  }
  for (const [name, inner] of Object.entries(value))
    flatten(inner, path === "" ? name : `${path}.${name}`, cells, depth + 1);
}

import { parse } from "csv-parse/sync";
import type { Row } from "./format.ts";
import { type Lines, linesOf } from "./lines.ts";

/** A quoted field that goes on for more lines than this has lost its second quote. */
const MAX_LINES = 100;
/** How many records are parsed at once. */
const BATCH_RECORDS = 256;

export interface CsvShape {
  /** The columns in their order; undefined: the first line names them. */
  readonly columns?: readonly string[];
  /** The fewest that a line may have; default: all. */
  readonly fewest?: number;
  readonly delimiter?: string;
}

/**
 * The rows of a CSV file. A line that is no CSV, or has another count of fields, is broken; it
 * costs no other, and keeps its whole text.
 */
export async function* csvRows(bytes: AsyncIterable<Uint8Array>, shape: CsvShape = {}): AsyncGenerator<Row> {
  const delimiter = shape.delimiter ?? ",";
  let columns = shape.columns;
  for await (const batch of batchesOf(bytes, delimiter)) {
    for (const { fields, line, text, broken } of parseBatch(batch, delimiter)) {
      const place = { line, raw: `${text}\n` };
      if (fields === undefined) yield { ...place, cells: {}, broken };
      else if (columns === undefined) {
        columns = fields;
        yield { ...place, cells: Object.fromEntries(fields.map((name) => [name, name])), isHeader: true };
      } else yield rowOf(columns, fields, place, shape.fewest ?? columns.length);
    }
  }
}

/** One record's text, of one line or more. */
interface RecordText {
  readonly line: number;
  readonly text: string;
}

type Parsed = RecordText &
  (
    | { readonly fields: readonly string[]; readonly broken?: never }
    | { readonly fields?: never; readonly broken: string }
  );

function rowOf(
  columns: readonly string[],
  fields: readonly string[],
  place: { line: number; raw: string },
  fewest: number,
): Row {
  const cells: Record<string, string> = {};
  for (const [index, name] of columns.entries()) cells[name] = fields[index] ?? "";
  if (fields.length >= fewest && fields.length <= columns.length) return { ...place, cells };
  const count = fewest === columns.length ? `${fewest}` : `${fewest} to ${columns.length}`;
  return { ...place, cells, broken: `${fields.length} fields instead of ${count}` };
}

async function* batchesOf(bytes: AsyncIterable<Uint8Array>, delimiter: string): AsyncGenerator<RecordText[]> {
  const cutter = new RecordCutter(delimiter);
  for await (const lines of linesOf(bytes)) yield* inBatches(cutter.cut(lines));
  yield* inBatches(cutter.end());
}

function* inBatches(records: Iterable<RecordText>): Generator<RecordText[]> {
  let batch: RecordText[] = [];
  for (const record of records) {
    batch.push(record);
    if (batch.length < BATCH_RECORDS) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** Puts lines together that one quoted field holds. */
class RecordCutter {
  readonly #delimiter: string;
  #open: { line: number; texts: string[] } | undefined;

  constructor(delimiter: string) {
    this.#delimiter = delimiter;
  }

  *cut({ from, texts }: Lines): Generator<RecordText> {
    for (const [index, text] of texts.entries()) yield* this.#add(from + index, text);
  }

  /** A quote that is never closed costs its own line only. */
  *end(): Generator<RecordText> {
    while (this.#open) yield* this.#giveUp();
  }

  *#add(line: number, text: string): Generator<RecordText> {
    if (this.#open === undefined) {
      if (text.trim() === "") return;
      if (text.includes('"') && isOpen(text, this.#delimiter)) this.#open = { line, texts: [text] };
      else yield { line, text };
      return;
    }
    this.#open.texts.push(text);
    if (text.includes('"')) {
      const whole = this.#open.texts.join("\n");
      if (!isOpen(whole, this.#delimiter)) {
        yield { line: this.#open.line, text: whole };
        this.#open = undefined;
        return;
      }
    }
    if (this.#open.texts.length > MAX_LINES) yield* this.#giveUp();
  }

  *#giveUp(): Generator<RecordText> {
    const { line, texts } = this.#open ?? { line: 0, texts: [] };
    const [first = "", ...others] = texts;
    this.#open = undefined;
    yield { line, text: first };
    yield* this.cut({ from: line + 1, texts: others });
  }
}

/**
 * Whether a text ends inside a quoted field. A quote opens one at the beginning of a field only.
 */
function isOpen(text: string, delimiter: string): boolean {
  let isInside = false;
  let isAtStart = true;
  for (const sign of text) {
    if (isInside) isInside = sign !== '"';
    else if (sign === '"' && isAtStart) isInside = true;
    // A quote that is written twice closes the field and opens it again.
    if (!isInside) isAtStart = sign === delimiter || (sign === '"' && !isAtStart) || (isAtStart && /\s/.test(sign));
  }
  return isInside;
}

function* parseBatch(batch: readonly RecordText[], delimiter: string): Generator<Parsed> {
  const all = parseTexts(batch.map(({ text }) => text).join("\n"), delimiter);
  if (typeof all !== "string" && all.length === batch.length) {
    for (const [index, record] of batch.entries()) yield { ...record, fields: all[index] ?? [] };
    return;
  }
  for (const record of batch) {
    const one = parseTexts(record.text, delimiter);
    const [fields] = typeof one === "string" ? [] : one;
    if (fields) yield { ...record, fields };
    else yield* breakRecord(record, typeof one === "string" ? one : "is no CSV", delimiter);
  }
}

/**
 * Lines that are no record together: the first is at fault, and the others are read by
 * themselves.
 */
function* breakRecord({ line, text }: RecordText, broken: string, delimiter: string): Generator<Parsed> {
  const [first = "", ...others] = text.split("\n");
  yield { line, text: first, broken };
  const cutter = new RecordCutter(delimiter);
  yield* parseBatch([...cutter.cut({ from: line + 1, texts: others }), ...cutter.end()], delimiter);
}

/** The fields of each record, or what is wrong with one. */
function parseTexts(text: string, delimiter: string): string[][] | string {
  try {
    return parse(text, { delimiter, record_delimiter: "\n", relax_column_count: true, trim: true });
  } catch (error) {
    // It counts lines from the first that it was given.
    return error instanceof Error ? error.message.replace(/ (?:at|on) line \d+.*$/, "") : `${error}`;
  }
}

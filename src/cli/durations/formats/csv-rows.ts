import type { Readable } from "node:stream";
import { parse } from "csv-parse";
import type { Row } from "./format.ts";

/** A line of more bytes than this is no line of call records. */
const MAX_LINE_BYTES = 1_048_576;

export interface CsvShape {
  /** The columns in their order; undefined: the first line names them. */
  readonly columns?: readonly string[];
  /** The fewest that a line may have; default: all. */
  readonly fewest?: number;
  readonly delimiter?: string;
}

/** The rows of a CSV file. A line that is no CSV, or has another count of fields, is broken. */
export async function* csvRows(file: Readable, shape: CsvShape = {}): AsyncGenerator<Row> {
  const broken: Row[] = [];
  const parser = parse({
    bom: true,
    info: true,
    raw: true,
    delimiter: shape.delimiter ?? ",",
    skip_empty_lines: true,
    relax_column_count: true,
    trim: true,
    max_record_size: MAX_LINE_BYTES,
    skip_records_with_error: true,
    on_skip: (error, raw) => {
      const line = Number(error?.["lines"] ?? 0);
      broken.push({ line, raw: endLine(raw ?? ""), cells: {}, broken: error?.message ?? "is no CSV" });
      return undefined;
    },
  });
  file.on("error", (error) => parser.destroy(error));
  let columns = shape.columns;
  let nextLine = 1;
  for await (const { record, raw, info } of file.pipe(parser) as AsyncIterable<Parsed>) {
    yield* broken.splice(0);
    const line = Math.max(nextLine, info.lines - newlinesIn(raw.trim()));
    nextLine = info.lines + 1;
    if (columns === undefined) {
      columns = record;
      yield { line, raw: endLine(raw), cells: Object.fromEntries(record.map((name) => [name, name])), isHeader: true };
    } else yield rowOf(columns, record, { line, raw: endLine(raw) }, shape.fewest ?? columns.length);
  }
  yield* broken.splice(0);
}

interface Parsed {
  readonly record: string[];
  readonly raw: string;
  readonly info: { readonly lines: number };
}

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

function newlinesIn(text: string): number {
  return text.split("\n").length - 1;
}

/** With one end of line at its end and none before it. */
function endLine(raw: string): string {
  return `${raw.replace(/^(?:\r?\n)+|[\r\n]+$/g, "")}\n`;
}

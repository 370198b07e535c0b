import type { DescField, DescMessage, MessageShape } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { Option } from "commander";
import { stringify } from "csv-stringify/sync";
import { csvCell } from "./csv-cells.ts";
import { enumName, formatTime } from "./values.ts";

/** A column of a CSV file, and how it is read. */
export interface CsvColumn<Row> {
  readonly title: string;
  readonly read: (row: Row) => string | number | bigint | boolean | undefined;
}

/**
 * Columns of a message's own fields, by their names in the contract. Enums are written by name,
 * times to the millisecond, bytes in hexadecimal, lists with spaces.
 */
export function fieldColumns<Desc extends DescMessage>(
  schema: Desc,
  ...names: string[]
): CsvColumn<MessageShape<Desc>>[] {
  return names.map((title) => {
    const field = schema.fields.find(({ name }) => name === title);
    if (!field) throw new Error(`${schema.typeName} has no field ${title}`);
    return { title, read: (message) => formatField(field, (message as Record<string, unknown>)[field.localName]) };
  });
}

/** As `fieldColumns`, for a message that is in a row; without it they are empty. */
export function csvOf<Desc extends DescMessage, Row>(
  schema: Desc,
  fields: readonly string[],
  messageOf: (row: Row) => MessageShape<Desc> | undefined,
): CsvColumn<Row>[] {
  return fieldColumns(schema, ...fields).map(({ title, read }) => ({
    title,
    read: (row) => {
      const message = messageOf(row);
      return message && read(message);
    },
  }));
}

function formatField(field: DescField, value: unknown): string | number | bigint | boolean | undefined {
  if (Array.isArray(value)) return value.map((item) => formatField(field, item) ?? "").join(" ");
  if (field.enum) return enumName(field.enum, value as number);
  if (field.message) return formatTime(value as Timestamp | undefined, "milliseconds");
  return value instanceof Uint8Array ? Buffer.from(value).toString("hex") : (value as string | bigint | undefined);
}

/** `--csv` of commands that print rows. */
export function csvOption(): Option {
  return new Option("--csv", "print CSV (RFC 4180) with a header").conflicts("json");
}

/** Rows as CSV; what a row lacks is empty. No spreadsheet runs its texts (csv-cells.ts). */
export function formatCsv<Row>(columns: readonly CsvColumn<Row>[], rows: readonly Row[], header = true): string {
  const cells = rows.map((row) => columns.map(({ read }) => cellOf(read(row))));
  // Quoted if a reader could drop spaces at the ends, or an empty line.
  return stringify(cells, {
    columns: columns.map(({ title }) => title),
    header,
    quoted_match: /^\s|\s$/,
    quoted_empty: columns.length === 1,
  });
}

function cellOf(value: string | number | bigint | boolean | undefined): string {
  return typeof value === "string" ? csvCell(value) : (value?.toString() ?? "");
}

export function printCsv<Row>(columns: readonly CsvColumn<Row>[], rows: readonly Row[]): void {
  process.stdout.write(formatCsv(columns, rows));
}

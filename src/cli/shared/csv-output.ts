import { type DescField, type DescMessage, type Message, type MessageShape, toJson } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
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

/**
 * Columns of all that a message has, by the contract's names: what is in a message that it holds
 * has that one's name before a dot. Lists of messages are JSON, as is what lies deeper than four
 * messages.
 */
export function messageColumns(schema: DescMessage): CsvColumn<Message>[] {
  return columnsWithin(schema, "", 0);
}

const MAX_DEPTH = 4;

function columnsWithin(schema: DescMessage, prefix: string, depth: number): CsvColumn<Message>[] {
  return schema.fields.flatMap((field): CsvColumn<Message>[] => {
    const title = prefix + field.name;
    const read = (message: Message) => readField(message, field);
    const { fieldKind, message: child } = field;
    if (child === undefined && fieldKind !== "map") return [{ title, read: (row) => formatField(field, read(row)) }];
    const isTime = child?.typeName === "google.protobuf.Timestamp";
    if (fieldKind === "message" && isTime) return [{ title, read: (row) => formatField(field, read(row)) }];
    if (fieldKind === "message" && child && depth < MAX_DEPTH) {
      return columnsWithin(child, `${title}.`, depth + 1).map((column) => ({
        title: column.title,
        read: (row) => {
          const held = read(row) as Message | undefined;
          return held && column.read(held);
        },
      }));
    }
    return [{ title, read: (row) => jsonOfField(schema, field, row) }];
  });
}

function readField(message: Message, { oneof, localName }: DescField): unknown {
  const values = message as unknown as Record<string, unknown>;
  // A field that can be told to be absent is of a oneof only if the contract says so.
  if (!oneof) return values[localName];
  const { case: name, value } = values[oneof.localName] as { case?: string; value?: unknown };
  return name === localName ? value : undefined;
}

function jsonOfField(schema: DescMessage, field: DescField, message: Message): string | undefined {
  const json = toJson(schema, message) as Record<string, unknown>;
  const value = json[field.jsonName];
  return value === undefined ? undefined : JSON.stringify(value);
}

function formatField(field: DescField, value: unknown): string | number | bigint | boolean | undefined {
  if (Array.isArray(value)) return value.map((item) => formatField(field, item) ?? "").join(" ");
  if (field.enum) return enumName(field.enum, value as number);
  if (field.message) return formatTime(value as Timestamp | undefined, "milliseconds");
  return value instanceof Uint8Array ? Buffer.from(value).toString("hex") : (value as string | bigint | undefined);
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

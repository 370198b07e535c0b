import { styleText } from "node:util";
import { create, type DescMessage, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { visibleJson } from "../../domain/privacy/visible-text.ts";
import { layTable, longest, pad } from "../terminal/table.ts";
import { hang, terminalWidth } from "../terminal/width.ts";

export interface Column {
  readonly title: string;
  /** Default: left; numbers look best at the right. */
  readonly align?: "left" | "right";
}

/** Prints a message as the contract's JSON (int64 as text, enums by name), on one line. */
export function printMessage<Desc extends DescMessage>(schema: Desc, message: MessageInitShape<Desc>): void {
  console.log(formatJson(toJson(schema, create(schema, message))));
}

/** A value as JSON on one line, with escapes for what a terminal would act on. */
export function formatJson(value: unknown): string {
  return visibleJson(JSON.stringify(value));
}

/**
 * Lines of a table, each indented by `indent`. Nothing is cut: in a terminal that is too narrow,
 * cells break at spaces; where that is not enough, each row becomes a list of its cells.
 */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[], indent = ""): string[] {
  const width = (terminalWidth() ?? Number.POSITIVE_INFINITY) - indent.length;
  const table = layTable(columns, rows, width);
  if (!table) return rows.flatMap((row, at) => [...(at > 0 ? [""] : []), ...formatRecord(columns, row, indent)]);
  return [...table.head.map((line) => styled("dim", indent + line)), ...table.body.map((line) => indent + line)];
}

function formatRecord(columns: readonly Column[], row: readonly string[], indent: string): string[] {
  const width = longest(columns.map(({ title }) => title));
  return columns.flatMap(({ title }, index) => {
    const cell = row[index] ?? "";
    if (cell === "") return [];
    const text = hang(`${indent}${title.padEnd(width)}  `, cell);
    return indent + styled("dim", title) + text.slice(indent.length + title.length);
  });
}

/** A column of a table of rows, and how it is read; undefined is empty. */
export interface RowColumn<Row> extends Column {
  readonly read: (row: Row) => string | undefined;
  /** What most cells fit in, for `formatLine`. Default: as wide as the cell. */
  readonly width?: number;
}

/** Prints rows as a table, or what to say when there are none. */
export function printRows<Row>(columns: readonly RowColumn<Row>[], rows: readonly Row[], empty: string): void {
  const cells = rows.map((row) => columns.map(({ read }) => read(row) ?? ""));
  console.log(rows.length === 0 ? empty : formatTable(columns, cells).join("\n"));
}

/** A row as one line of a feed, which cannot wait for the widest cell. */
export function formatLine<Row>(columns: readonly RowColumn<Row>[], row: Row): string {
  return columns.map(({ read, align, width = 0 }) => pad(read(row) ?? "", width, align)).join("  ");
}

/** Prints names and values, one pair a line; pairs without a value are left out. */
export function printFields(fields: readonly (readonly [name: string, value: string | undefined])[]): void {
  const known = fields.filter((field): field is readonly [string, string] => field[1] !== undefined && field[1] !== "");
  const width = Math.max(...known.map(([name]) => name.length));
  for (const [name, value] of known) {
    const text = hang(`${name.padEnd(width)}  `, value);
    console.log(styled("dim", name) + text.slice(name.length));
  }
}

/** Text in a style if standard output is a terminal that wants colours (NO_COLOR, FORCE_COLOR). */
export function styled(style: "dim" | "bold" | "green" | "red" | "yellow", text: string): string {
  return styleText(style, text, { stream: process.stdout });
}

/** So many of something: `1 call`, `2 calls`. */
export function countOf(count: number | bigint, thing: string, things = `${thing}s`): string {
  return `${formatCount(count)} ${BigInt(count) === 1n ? thing : things}`;
}

/** A whole number with thousands marked. */
export function formatCount(count: number | bigint): string {
  return count.toLocaleString("en");
}

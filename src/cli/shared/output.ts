import { styleText } from "node:util";
import { create, type DescMessage, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { visibleJson } from "../../domain/privacy/visible-text.ts";

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

/** Lines of a table, each indented by `indent`; columns are two spaces apart, nothing is cut. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[], indent = ""): string[] {
  const widths = columns.map(({ title }, index) =>
    Math.max(title.length, ...rows.map((row) => (row[index] ?? "").length)),
  );
  const format = (cells: readonly string[]) => {
    const padded = columns.map(({ align }, index) => {
      const [cell, width] = [cells[index] ?? "", widths[index] ?? 0];
      return align === "right" ? cell.padStart(width) : cell.padEnd(width);
    });
    return `${indent}${padded.join("  ")}`.trimEnd();
  };
  return [styled("dim", format(columns.map(({ title }) => title))), ...rows.map(format)];
}

/** Prints a table, or what to say when it is empty. */
export function printTable(columns: readonly Column[], rows: readonly (readonly string[])[], empty: string): void {
  console.log(rows.length === 0 ? empty : formatTable(columns, rows).join("\n"));
}

/** A column of a table of rows, and how it is read; undefined is empty. */
export interface RowColumn<Row> extends Column {
  readonly read: (row: Row) => string | undefined;
}

/** Prints rows as a table, or what to say when there are none. */
export function printRows<Row>(columns: readonly RowColumn<Row>[], rows: readonly Row[], empty: string): void {
  const cells = rows.map((row) => columns.map(({ read }) => read(row) ?? ""));
  printTable(columns, cells, empty);
}

/** Prints names and values, one pair a line; pairs without a value are left out. */
export function printFields(fields: readonly (readonly [name: string, value: string | undefined])[]): void {
  const known = fields.filter((field): field is readonly [string, string] => field[1] !== undefined && field[1] !== "");
  const width = Math.max(...known.map(([name]) => name.length));
  for (const [name, value] of known) console.log(`${styled("dim", name.padEnd(width))}  ${value}`);
}

/** Text in a style if standard output is a terminal that wants colours (NO_COLOR, FORCE_COLOR). */
export function styled(style: "dim" | "bold" | "green" | "red" | "yellow", text: string): string {
  return styleText(style, text, { stream: process.stdout });
}

/** So many of something: `1 call`, `2 calls`. */
export function countOf(count: number | bigint, thing: string): string {
  return `${formatCount(count)} ${thing}${BigInt(count) === 1n ? "" : "s"}`;
}

/** A whole number with thousands marked. */
export function formatCount(count: number | bigint): string {
  return count.toLocaleString("en");
}

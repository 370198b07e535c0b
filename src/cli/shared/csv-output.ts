import { Option } from "commander";
import { stringify } from "csv-stringify/sync";
import { csvCell } from "./csv-cells.ts";

/** A column of a CSV file, and how it is read. */
export interface CsvColumn<Row> {
  readonly title: string;
  readonly read: (row: Row) => string | number | bigint | boolean | undefined;
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

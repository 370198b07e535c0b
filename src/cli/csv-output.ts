import { Option } from "commander";
import { stringify } from "csv-stringify/sync";

/** A column of a CSV file, and how it is read. */
export interface CsvColumn<Row> {
  readonly title: string;
  readonly read: (row: Row) => string | number | bigint | boolean | undefined;
}

/** `--csv` of commands that print rows. */
export function csvOption(): Option {
  return new Option("--csv", "print CSV (RFC 4180) with a header").conflicts("json");
}

/** Rows as CSV; what a row does not have is empty. */
export function formatCsv<Row>(columns: readonly CsvColumn<Row>[], rows: readonly Row[], header = true): string {
  const cells = rows.map((row) => columns.map(({ read }) => read(row)?.toString() ?? ""));
  return stringify(cells, { columns: columns.map(({ title }) => title), header });
}

/** Prints rows as CSV. */
export function printCsv<Row>(columns: readonly CsvColumn<Row>[], rows: readonly Row[]): void {
  process.stdout.write(formatCsv(columns, rows));
}

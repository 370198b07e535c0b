import { wrapText } from "./width.ts";

/** What a column of a table is like. */
export interface TableColumn {
  readonly title: string;
  readonly align?: "left" | "right";
}

/** The lines of a table. */
export interface Table {
  readonly head: readonly string[];
  readonly body: readonly string[];
}

/**
 * Lays rows out in columns two spaces apart, in so many columns of the terminal. Where room lacks,
 * cells break at spaces. Undefined: not even the words have room.
 */
export function layTable(
  columns: readonly TableColumn[],
  rows: readonly (readonly string[])[],
  width: number,
): Table | undefined {
  const cells = rows.map((row) => columns.map((_, index) => row[index] ?? ""));
  const widths = fitWidths(columns, cells, width - GAP.length * (columns.length - 1));
  if (!widths) return undefined;
  const format = (row: readonly string[]) => formatRow(columns, row, widths);
  return { head: format(columns.map(({ title }) => title)), body: cells.flatMap(format) };
}

const GAP = "  ";

/** As wide as the widest cell, or less where room lacks. Undefined: the words have no room. */
function fitWidths(
  columns: readonly TableColumn[],
  cells: readonly (readonly string[])[],
  room: number,
): number[] | undefined {
  const texts = columns.map(({ title }, index) => [title, ...cells.map((row) => row[index] ?? "")]);
  const widths = texts.map((column) => longest(column));
  const least = texts.map((column) => longest(column.flatMap((text) => text.split(" "))));
  if (sumOf(least) > room) return undefined;
  for (let over = sumOf(widths) - room; over > 0; over--) {
    const spare = widths.map((wide, index) => (wide > (least[index] ?? 0) ? wide : 0));
    const widest = spare.indexOf(Math.max(...spare));
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}

function formatRow(columns: readonly TableColumn[], row: readonly string[], widths: readonly number[]): string[] {
  const broken = row.map((cell, index) => wrapText(cell, widths[index] ?? 0));
  const height = Math.max(...broken.map((lines) => lines.length));
  return Array.from({ length: height }, (_, at) =>
    columns
      .map(({ align }, index) => pad(broken[index]?.[at] ?? "", widths[index] ?? 0, align))
      .join(GAP)
      .trimEnd(),
  );
}

/** A cell, as wide as its column. */
export function pad(cell: string, width: number, align: TableColumn["align"]): string {
  return align === "right" ? cell.padStart(width) : cell.padEnd(width);
}

/** The length of the longest text. */
export function longest(texts: readonly string[]): number {
  return texts.reduce((most, { length }) => Math.max(most, length), 0);
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0);
}

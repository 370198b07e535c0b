import { partsAtSpaces, partsOfWords, wrapText } from "./width.ts";

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
 * Lays rows out in columns, in so many columns of the terminal. Where room lacks, columns that are
 * empty go, and cells break: first at spaces, then within words. Undefined: not even that is
 * enough.
 */
export function layTable(
  columns: readonly TableColumn[],
  rows: readonly (readonly string[])[],
  width: number,
): Table | undefined {
  const cells = rows.map((row) => columns.map((_, index) => row[index] ?? ""));
  const whole = layOut(columns, cells, { width, gap: 2, partsOf: (text) => [text] });
  if (whole) return whole;
  const kept = columns.map((_, index) => cells.some((row) => row[index] !== ""));
  const narrow = columns.filter((_, index) => kept[index]);
  const filled = cells.map((row) => row.filter((_, index) => kept[index]));
  for (const [gap, partsOf] of NARROWER) {
    const table = layOut(narrow, filled, { width, gap, partsOf });
    if (table) return table;
  }
  return undefined;
}

/** How a table is made narrower, step by step. */
const NARROWER = [
  [2, partsAtSpaces],
  [2, partsOfWords],
  [1, partsOfWords],
] as const;

interface Layout {
  readonly width: number;
  /** Spaces between two columns. */
  readonly gap: number;
  /** Where cells may break. */
  readonly partsOf: (text: string) => string[];
}

function layOut(
  columns: readonly TableColumn[],
  cells: readonly (readonly string[])[],
  layout: Layout,
): Table | undefined {
  const widths = fitWidths(columns, cells, layout);
  if (!widths) return undefined;
  const format = (row: readonly string[]) => formatRow(columns, row, { ...layout, widths });
  return { head: format(columns.map(({ title }) => title)), body: cells.flatMap(format) };
}

/** As wide as the widest cell, or less where room lacks. Undefined: the parts have no room. */
function fitWidths(
  columns: readonly TableColumn[],
  cells: readonly (readonly string[])[],
  { width, gap, partsOf }: Layout,
): number[] | undefined {
  const room = width - gap * (columns.length - 1);
  const texts = columns.map(({ title }, index) => [title, ...cells.map((row) => row[index] ?? "")]);
  const widths = texts.map((column) => longest(column));
  const least = texts.map((column) => longest(column.flatMap(partsOf).map((part) => part.trimEnd())));
  if (sumOf(least) > room) return undefined;
  for (let over = sumOf(widths) - room; over > 0; over--) {
    const spare = widths.map((wide, index) => (wide > (least[index] ?? 0) ? wide : 0));
    const widest = spare.indexOf(Math.max(...spare));
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}

function formatRow(
  columns: readonly TableColumn[],
  row: readonly string[],
  { widths, gap, partsOf }: Layout & { readonly widths: readonly number[] },
): string[] {
  const broken = row.map((cell, index) => wrapText(cell, widths[index] ?? 0, partsOf));
  const height = Math.max(...broken.map((lines) => lines.length));
  return Array.from({ length: height }, (_, at) =>
    columns
      .map(({ align }, index) => pad(broken[index]?.[at] ?? "", widths[index] ?? 0, align))
      .join(" ".repeat(gap))
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

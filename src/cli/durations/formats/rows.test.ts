import { Readable } from "node:stream";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { csvRows } from "./csv-rows.ts";
import type { Row } from "./format.ts";
import { jsonRows } from "./json-rows.ts";
import { blockRows } from "./text-rows.ts";

type Rows = (bytes: AsyncIterable<Uint8Array>) => AsyncIterable<Row>;

/** The rows of a text that comes in pieces of so many bytes. */
async function read(rows: Rows, text: string, pieceBytes = 7): Promise<Row[]> {
  const bytes = Buffer.from(text);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) pieces.push(bytes.subarray(at, at + pieceBytes));
  return Array.fromAsync(rows(Readable.from(pieces, { objectMode: false })));
}

describe("CSV", () => {
  test("rows know the line on which they begin and their text, fields of more lines and broken ones too", async () => {
    const lines = ["a,b", '1,"x', 'y"', '2,bad"quote', "3", "", "4,z"];
    const rows = await read(csvRows, `\ufeff${lines.join("\r\n")}\r\n`);
    expect(rows.map(({ line, raw }) => [line, raw.trimEnd()])).toEqual([
      [1, "a,b"],
      [2, '1,"x\ny"'],
      [4, '2,bad"quote'],
      [5, "3"],
      [7, "4,z"],
    ]);
    expect(rows[0]).toMatchObject({ isHeader: true });
    expect(rows.map(({ broken }) => broken !== undefined)).toEqual([false, false, true, true, false]);
    expect(rows[3]?.broken).toBe("1 fields instead of 2");
  });

  test("a quote that is never closed costs its own line, and a field may hold all that CSV can quote", async () => {
    const rows = await read(csvRows, ["a,b", '1,"open', "2,x", ' "a, ""b""", "" ', '3,"y"'].join("\n"), 3);
    expect(rows.map(({ line, broken }) => [line, broken === undefined])).toEqual([
      [1, true],
      [2, false],
      [3, true],
      [4, true],
      [5, true],
    ]);
    expect(rows[3]?.cells).toEqual({ a: 'a, "b"', b: "" });
  });
});

describe("JSON", () => {
  const objects = [
    { a: 1, b: { c: '} "x" {' } },
    { a: 2, list: [{ d: "é" }] },
  ];
  const cells = [
    { a: "1", "b.c": '} "x" {' },
    { a: "2", "list.0.d": "é" },
  ];

  test.each([
    ["a line each", objects.map((each) => JSON.stringify(each)).join("\n")],
    ["over many lines", objects.map((each) => JSON.stringify(each, undefined, 2)).join("\n")],
    ["in an array", JSON.stringify(objects, undefined, 2)],
  ])("objects are found %s, wherever a piece of the file ends", async (_, text) => {
    for (const bytes of [1, 2, 3, 1_000]) {
      const rows = await read(jsonRows, text, bytes);
      expect(rows.map((row) => row.cells)).toEqual(cells);
    }
  });

  test("what is found of any objects is what was written", () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.dictionary(fc.string(), fc.string())),
        fc.integer({ min: 1, max: 9 }),
        async (all, n) => {
          const rows = await read(jsonRows, all.map((each) => JSON.stringify(each)).join("\n"), n);
          expect(rows.map(({ raw }) => JSON.parse(raw))).toEqual(all);
        },
      ),
      { numRuns: 50 },
    ));

  test("an object that does not end, or is no JSON, is a broken row", async () => {
    const rows = await read(jsonRows, '{"a":1,}\n{"b":');
    expect(rows.map(({ line, broken }) => [line, broken === undefined])).toEqual([
      [1, false],
      [2, false],
    ]);
  });
});

test("packets are blocks, and a line that is no attribute breaks its own only", async () => {
  const text =
    'Sun Nov 29 2026\n\tName = "a"\n\tName = "b"\n\nSun Nov 29 2026\n\tno attribute\n\nSun Nov 29 2026\n\tName = c\n';
  const rows = await read(blockRows, text);
  expect(rows.map(({ line, cells }) => [line, cells["Name"]])).toEqual([
    [1, "a"],
    [5, undefined],
    [8, "c"],
  ]);
  expect(rows[1]?.broken).toBe("line 6 is no attribute: expected Name = value");
});

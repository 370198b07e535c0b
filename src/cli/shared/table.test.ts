import { expect, test } from "vitest";
import { layTable } from "./table.ts";

const COLUMNS = [{ title: "carrier" }, { title: "mostly for" }, { title: "calls", align: "right" }] as const;
const ROWS = [
  ["nordlys-tele", "a clock that is off by an hour", "1,204"],
  ["prairie-bell", "", "7"],
];

test("a table that fits is as wide as its cells", () => {
  expect(layTable(COLUMNS, ROWS, 80)).toEqual({
    head: ["carrier       mostly for                      calls"],
    body: [
      "nordlys-tele  a clock that is off by an hour  1,204",
      "prairie-bell                                      7",
    ],
  });
});

test("a table that is too wide breaks its widest cells at spaces, and nothing is cut", () => {
  expect(layTable(COLUMNS, ROWS, 38)).toEqual({
    head: ["carrier       mostly for         calls"],
    body: [
      "nordlys-tele  a clock that is    1,204",
      "              off by an hour",
      "prairie-bell                         7",
    ],
  });
});

test("a table whose words have no room is none", () => {
  expect(layTable(COLUMNS, ROWS, 20)).toBeUndefined();
});

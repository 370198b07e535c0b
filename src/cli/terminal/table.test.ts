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

test("a table that is still too wide loses empty columns, and breaks times and paths within words", () => {
  const columns = [{ title: "time" }, { title: "by" }, { title: "method" }];
  const rows = [["2026-03-01T10:05:00Z", "", "CdrService/GetCdr"]];
  expect(layTable(columns, rows, 24)).toEqual({
    head: ["time         method"],
    body: ["2026-03-01T  CdrService/", "10:05:00Z    GetCdr"],
  });
});

test("a table whose words have no room is none", () => {
  expect(layTable(COLUMNS, ROWS, 20)).toBeUndefined();
});

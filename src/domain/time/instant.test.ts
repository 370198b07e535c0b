import { expect, test } from "vitest";
import { addDays, isDay } from "./instant.ts";

test("a day is one of the years 1 to 9999 that the calendar has", () => {
  for (const day of ["0001-01-01", "2024-02-29", "9999-12-31"]) expect(isDay(day), day).toBe(true);
  for (const day of ["", "0000-12-31", "2026-02-30", "10000-01-01", "-0001-01-01", "2026-1-1"])
    expect(isDay(day), day).toBe(false);
});

test("days are counted to the ends of the calendar, and no further", () => {
  expect(addDays("2026-02-28", 1)).toBe("2026-03-01");
  expect(addDays("0001-01-02", -1)).toBe("0001-01-01");
  expect(addDays("0001-01-01", -1)).toBe("0001-01-01");
  expect(addDays("0001-01-01", -1_000_000_000)).toBe("0001-01-01");
  expect(addDays("9999-12-31", 1)).toBe("9999-12-31");
  expect(addDays("9999-12-01", 1e18)).toBe("9999-12-31");
});

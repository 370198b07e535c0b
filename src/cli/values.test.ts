import { expect, test } from "vitest";
import { readTime } from "./values.ts";

test.each([
  ["0001-01-01", -62_135_596_800n],
  ["9999-12-31T23:59:59.999999Z", 253_402_300_799n],
  ["0001-01-01T01:00:00+01:00", -62_135_596_800n],
])("%s is a time", (text, seconds) => {
  expect(readTime(text)?.seconds).toBe(seconds);
});

test.each([
  "0000-12-31",
  "0001-01-01T00:00:00+01:00",
  "9999-12-31T23:00:00-02:00",
  "10000-01-01",
  "2026-02-30",
  "999999d",
  "",
])("%s is no time", (text) => {
  expect(readTime(text)).toBeUndefined();
});

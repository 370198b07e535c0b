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
  ["2026-03-01T10:05:00.1Z", 100_000_000],
  ["2026-03-01T10:05:00.123456Z", 123_456_000],
  ["2026-03-01T10:05:00.1234567Z", 123_456_700],
  ["2026-03-01T11:05:00.123456789+01:00", 123_456_789],
])("%s keeps every digit of its fraction, as JSON does", (text, nanos) => {
  expect(readTime(text)).toMatchObject({ seconds: 1_772_359_500n, nanos });
});

test.each([
  "2026-09-31",
  "2026-09-31T10:00:00Z",
  "2026-09-30T24:00:00Z",
  "2026-09-30T10:00:00.1234567890Z",
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

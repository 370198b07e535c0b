import { describe, expect, test } from "vitest";
import { RecordIssue } from "../../gen/tandem/type/v1/upload_pb.js";
import { dayNumber } from "../time/instant.ts";
import {
  checkFuture,
  checkRecordDate,
  checkTimestamp,
  isNetworkEffective,
  lengthsOf,
  MAX_AHEAD_MS,
  momentMs,
} from "./call-rules.ts";

const NOW_MS = Date.UTC(2026, 2, 14, 12);
const HORIZONS = { firstDays: 120, laterDays: 400 };
const none = { inviteMs: undefined, ringingMs: undefined, answerMs: undefined, endMs: undefined };

describe("record_date", () => {
  const issue = (recordDate: string, revision: number, startMs?: number) =>
    checkRecordDate({ recordDate, revision, startMs }, NOW_MS, HORIZONS)?.issue;

  test("may be tomorrow and not the day after", () => {
    expect([issue("2026-03-15", 1), issue("2026-03-16", 1)]).toEqual([undefined, RecordIssue.IN_FUTURE]);
  });

  test("may be 120 days ago at revision 1 and 400 at later ones, not a day more", () => {
    expect([issue("2025-11-14", 1), issue("2025-11-13", 1)]).toEqual([undefined, RecordIssue.TOO_OLD]);
    expect([issue("2025-02-07", 2), issue("2025-02-06", 2)]).toEqual([undefined, RecordIssue.TOO_OLD]);
  });

  test("is the UTC day of the start at revision 1, to the millisecond, and free later", () => {
    const midnight = Date.UTC(2026, 2, 14);
    expect([issue("2026-03-14", 1, midnight), issue("2026-03-14", 1, midnight - 1)]).toEqual([
      undefined,
      RecordIssue.RECORD_DATE_MISMATCH,
    ]);
    expect(issue("2026-03-13", 1, midnight - 1)).toBeUndefined();
    expect(issue("2026-03-10", 2, midnight)).toBeUndefined();
  });

  test.each([
    "2026-02-29",
    "2026-13-01",
    "2026-3-1",
    "20260301",
    "2026-03-01T00:00:00Z",
    "+12026-03-01",
    "２０２６-03-01",
  ])("is no day: %s", (text) => {
    expect(dayNumber(text)).toBeUndefined();
    expect(issue(text, 1)).toBe(RecordIssue.FIELD_MALFORMED);
  });

  test("counts leap days", () => {
    expect((dayNumber("2028-03-01") ?? 0) - (dayNumber("2028-02-28") ?? 0)).toBe(2);
    expect(dayNumber("1970-01-01")).toBe(0);
  });
});

test("a time is a warning when it is ahead, and refused when it is over 15 h ahead; the worst is told", () => {
  const check = (endMs: number, inviteMs?: number) => checkFuture({ ...none, endMs, inviteMs }, NOW_MS);
  expect(check(NOW_MS)).toBeUndefined();
  expect(check(NOW_MS + 1)).toMatchObject({ issue: RecordIssue.CLOCK_AHEAD, fieldPath: "end_time", retryable: false });
  expect(check(NOW_MS + MAX_AHEAD_MS)?.issue).toBe(RecordIssue.CLOCK_AHEAD);
  const worst = check(NOW_MS + MAX_AHEAD_MS + 1, NOW_MS + 1);
  expect(worst).toMatchObject({ issue: RecordIssue.IN_FUTURE, fieldPath: "end_time", retryable: true });
});

test("a timestamp lies in the years 1 to 9999 and has less than a second of nanos", () => {
  const good = [-62_135_596_800n, 253_402_300_799n].map((seconds) =>
    checkTimestamp("t", { seconds, nanos: 999_999_999 }),
  );
  expect(good).toEqual([undefined, undefined]);
  const bad = [
    { seconds: -62_135_596_801n, nanos: 0 },
    { seconds: 253_402_300_800n, nanos: 0 },
    { seconds: 0n, nanos: -1 },
    { seconds: 0n, nanos: 1_000_000_000 },
  ];
  expect(bad.map((timestamp) => checkTimestamp("t", timestamp)?.issue)).toEqual(
    Array(4).fill(RecordIssue.FIELD_OUT_OF_RANGE),
  );
  expect(momentMs({ seconds: 1n, nanos: 500_000 })).toBe(1_000.5);
});

test("lengths follow from the times that are known: ringing ends with the end of an unanswered call", () => {
  const times = { inviteMs: 0, ringingMs: 3_000, answerMs: 10_000, endMs: 110_000 };
  expect(lengthsOf(times)).toEqual({ setupMs: 3_000, ringMs: 7_000, connectedMs: 100_000, totalMs: 110_000 });
  expect(lengthsOf({ ...times, answerMs: undefined })).toMatchObject({ ringMs: 107_000, connectedMs: undefined });
  expect(lengthsOf({ ...times, endMs: undefined })).toEqual({
    setupMs: 3_000,
    ringMs: 7_000,
    connectedMs: undefined,
    totalMs: undefined,
  });
  expect(lengthsOf({ ...none, inviteMs: 0 })).toMatchObject({ setupMs: undefined, ringMs: undefined });
});

describe("the network did its part", () => {
  const attempt = {
    answered: false,
    rang: false,
    finalSipCode: 503 as number | undefined,
    q850Cause: undefined as number | undefined,
  };

  test("when the call was answered, or the user was busy, away or refused it", () => {
    expect(isNetworkEffective({ ...attempt, answered: true, finalSipCode: 200 })).toBe(true);
    for (const finalSipCode of [480, 486, 600, 603])
      expect(isNetworkEffective({ ...attempt, finalSipCode })).toBe(true);
    for (const q850Cause of [17, 18, 19, 21, 27]) expect(isNetworkEffective({ ...attempt, q850Cause })).toBe(true);
  });

  test("when the caller gave up after ringing, and not before", () => {
    expect(isNetworkEffective({ ...attempt, finalSipCode: 487, rang: true })).toBe(true);
    expect(isNetworkEffective({ ...attempt, finalSipCode: 487 })).toBe(false);
  });

  test("not else", () => {
    for (const finalSipCode of [404, 408, 500, 503, 604, 606])
      expect(isNetworkEffective({ ...attempt, finalSipCode, rang: true })).toBe(false);
    for (const q850Cause of [1, 16, 20, 22, 28, 34, 38])
      expect(isNetworkEffective({ ...attempt, q850Cause })).toBe(false);
  });
});

import { expect, test } from "vitest";
import { ReportingState } from "../../gen/tandem/type/v1/reconciliation_summary_pb.js";
import { combineStates, type ReportedCell, reportingStateOf } from "./reporting.ts";

const { UNSPECIFIED, REPORTED, PARTLY_REPORTED, SILENT, OUT_OF_SCOPE } = ReportingState;

function cell(expected: number, reported: number, outside = 0, answeredOutside = outside): ReportedCell {
  const [e, r, o, a] = [expected, reported, outside, answeredOutside].map(BigInt) as [bigint, bigint, bigint, bigint];
  return { expected: e, reported: r, outside: o, answeredOutside: a };
}

test("a carrier is silent only when nothing came at all of what it had to report", () => {
  expect(reportingStateOf([cell(3, 0), cell(1, 0)])).toBe(SILENT);
  expect(reportingStateOf([cell(3, 1), cell(1, 1)])).toBe(REPORTED);
  expect(reportingStateOf([cell(3, 1), cell(1, 0)])).toBe(PARTLY_REPORTED);
});

test("what it does not have to report is out of scope, and no silence", () => {
  expect(reportingStateOf([cell(0, 0, 5)])).toBe(OUT_OF_SCOPE);
  expect(reportingStateOf([cell(2, 2), cell(0, 0, 5)])).toBe(PARTLY_REPORTED);
  expect(reportingStateOf([cell(0, 0, 5, 0)])).toBe(OUT_OF_SCOPE);
});

test("unanswered calls, which need not be reported, take nothing from a direction that is", () => {
  expect(reportingStateOf([cell(2, 2, 5, 0), cell(0, 0, 1, 0)])).toBe(REPORTED);
});

test("nothing judged, nothing said", () => {
  expect(reportingStateOf([])).toBe(UNSPECIFIED);
  expect(reportingStateOf([cell(0, 0)])).toBe(UNSPECIFIED);
  expect(combineStates(UNSPECIFIED, SILENT)).toBe(SILENT);
  expect(combineStates(REPORTED, SILENT)).toBe(PARTLY_REPORTED);
});

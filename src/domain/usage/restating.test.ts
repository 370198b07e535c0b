import fc from "fast-check";
import { expect, test } from "vitest";
import { RestatementCause, UsagePart } from "../../gen/tandem/platform/v1/usage_pb.js";
import { DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { PLATFORM_SIDE } from "../record-kind.ts";
import { type ChangedCall, type ChangedLine, type Circumstances, draftRestatements } from "./restating.ts";
import { addTotals, NO_USAGE, subtractTotals, totalOf, type UsageTotals } from "./totals.ts";

const CLOSED = 1_000n;

test("restatements lead from the old sums to the new ones, each from where the one before ended, with every line once", () => {
  const line = fc.record({
    number: fc.nat({ max: 3 }),
    day: fc.nat({ max: 9 }),
    before: anyTotals(),
    after: anyTotals(),
  });
  const call = fc.record({
    number: fc.nat({ max: 3 }),
    arrival: fc.integer({ min: 900, max: 1_100 }),
    revision: fc.nat({ max: 2 }),
    isVoid: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(line), fc.array(call), anyTotals(), (drawnLines, drawnCalls, totals) => {
      const lines = drawnLines.map(
        ({ number, day, before, after }, index): ChangedLine => ({
          ...key(`+451000000${number}`, `2026-03-0${day}`),
          countryCode: String(index),
          oldParts: new Map([[UsagePart.PENDING, before]]),
          newParts: new Map([[UsagePart.AGREED, after]]),
        }),
      );
      const calls = drawnCalls.map(({ number, arrival, revision, isVoid }) =>
        changed(`+451000000${number}`, arrival, revision + 1, isVoid),
      );
      const drafts = draftRestatements(
        lines,
        calls,
        circumstances({ changedNumbers: new Set(["+4510000001"]) }),
        totals,
      );
      const change = lines
        .map((one) => subtractTotals(totalOf(one.newParts), totalOf(one.oldParts)))
        .reduce(addTotals, NO_USAGE);
      expect(drafts.flatMap((draft) => draft.lines.map(({ countryCode }) => countryCode)).toSorted()).toEqual(
        lines.map(({ countryCode }) => countryCode).toSorted(),
      );
      let before = totals;
      for (const draft of drafts) {
        expect(draft.oldTotals).toEqual(before);
        before = draft.newTotals;
      }
      expect(before).toEqual(addTotals(totals, change));
    }),
  );
});

test("a void goes before a correction, that before a late record, and all of them before the history of the number", () => {
  const number = "+4510000001";
  const line = { ...key(number), oldParts: new Map(), newParts: new Map() };
  const causeOf = (calls: ChangedCall[], more: Partial<Circumstances> = {}) =>
    draftRestatements([line], calls, circumstances(more), NO_USAGE).map(({ cause }) => cause);
  const [voided, corrected, late, known] = [
    changed(number, 1_100, 2, true),
    changed(number, 1_100, 2),
    changed(number, 1_100),
    changed(number, 500),
  ];
  expect(causeOf([late, corrected, voided])).toEqual([RestatementCause.VOID]);
  expect(causeOf([late, corrected])).toEqual([RestatementCause.CORRECTION]);
  expect(causeOf([late, known], { changedNumbers: new Set([number]) })).toEqual([RestatementCause.LATE_RECORD]);
  expect(causeOf([known], { changedNumbers: new Set([number]) })).toEqual([RestatementCause.NUMBER_HISTORY]);
  expect(causeOf([known], { changedRules: new Set(["alpha"]) })).toEqual([RestatementCause.RULE_CHANGE]);
  expect(causeOf([known])).toEqual([RestatementCause.RECONCILED]);
  expect(causeOf([])).toEqual([RestatementCause.RECONCILED]);
});

test("a restatement stays small enough to be sent: 1,000 lines, 10,000 records", () => {
  const calls = Array.from({ length: 300 }, () => changed("+4510000001", 1_100));
  const lines = Array.from({ length: 250 }, (_, index) => ({
    ...key("+4510000001"),
    countryCode: String(index),
    oldParts: new Map(),
    newParts: new Map(),
  }));
  const drafts = draftRestatements(lines, calls, circumstances({}), NO_USAGE);
  expect(drafts.map((draft) => draft.lines.length)).toEqual([100, 100, 50]);
});

function key(phoneNumber: string, usageDate = "2026-03-01") {
  return { usageDate, phoneNumber, direction: 1, countryCode: "DK", carrierId: "alpha" };
}

function changed(phoneNumber: string, arrival: number, revision = 1, isVoid = false): ChangedCall {
  const record = { carrierId: "alpha", side: PLATFORM_SIDE, recordId: "r", recordDate: "2026-03-01", revision };
  return {
    ...key(phoneNumber),
    status: isVoid ? DiscrepancyStatus.VOIDED : DiscrepancyStatus.MATCHED_EXACT,
    records: [record],
    arrivalTime: BigInt(arrival),
  };
}

function circumstances(more: Partial<Circumstances>): Circumstances {
  return {
    closeTime: CLOSED,
    changedNumbers: new Set(),
    changedRules: new Set(),
    judgedThrough: () => CLOSED,
    ...more,
  };
}

function anyTotals(): fc.Arbitrary<UsageTotals> {
  const count = fc.bigInt({ min: 0n, max: 1_000n });
  return fc.record({
    attempts: count,
    answered: count,
    connectedMs: count,
    billedCount: count,
    billedS: count,
    unmeasured: count,
  });
}

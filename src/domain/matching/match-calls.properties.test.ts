import fc from "fast-check";
import { expect, test } from "vitest";
import { canonical, crowdedRecords, DAY_MS, matchingInput, TEN } from "../../../test/support/matching-calls.ts";
import { DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import type { CommonFacts } from "./facts.ts";
import { matchCalls } from "./match-calls.ts";

const RUNS = { numRuns: 300 };

test("every record is in exactly one result", () => {
  fc.assert(
    fc.property(crowdedRecords, ({ platform, carrier }) => {
      const results = matchCalls(matchingInput(platform, carrier));
      const recordIds = results.flatMap((result) => [
        ...(result.platform === undefined ? [] : [result.platform.recordId]),
        ...result.carrier.map((record) => record.recordId),
      ]);
      expect(recordIds.sort()).toEqual([...platform, ...carrier].map((record) => record.recordId).sort());
    }),
    RUNS,
  );
});

test("the order of the records changes nothing", () => {
  const shuffled = crowdedRecords.chain((records) =>
    fc.record({
      records: fc.constant(records),
      platform: fc.shuffledSubarray(records.platform, { minLength: records.platform.length }),
      carrier: fc.shuffledSubarray(records.carrier, { minLength: records.carrier.length }),
    }),
  );
  fc.assert(
    fc.property(shuffled, ({ records, platform, carrier }) => {
      const inOrder = matchCalls(matchingInput(records.platform, records.carrier));
      expect(matchCalls(matchingInput(platform, carrier))).toEqual(inOrder);
    }),
    RUNS,
  );
});

test("matching again what was matched before changes nothing", () => {
  fc.assert(
    fc.property(crowdedRecords, ({ platform, carrier }) => {
      const input = matchingInput(platform, carrier);
      expect(matchCalls(input)).toEqual(matchCalls(input));
    }),
    RUNS,
  );
});

test("what was judged together can be judged without the others, whatever batches it comes in", () => {
  fc.assert(
    fc.property(crowdedRecords, fc.nat(), ({ platform, carrier }, seed) => {
      const whole = matchCalls(matchingInput(platform, carrier));
      const { firstMs, lastMs } = whole[seed % Math.max(1, whole.length)]?.span ?? { firstMs: 0, lastMs: 0 };
      const isInside = (result: (typeof whole)[number]) =>
        result.span.lastMs >= firstMs && result.span.firstMs <= lastMs;
      // Whatever overlaps the span is taken along whole, as a turn of the job does.
      const kept = whole.filter(isInside);
      const subset = matchingInput(
        kept.flatMap((result) => result.platform ?? []),
        kept.flatMap((result) => result.carrier),
      );
      expect(canonical(matchCalls(subset))).toEqual(canonical(kept));
    }),
    RUNS,
  );
});

test("records of another day do not change a result", () => {
  fc.assert(
    fc.property(crowdedRecords, ({ platform, carrier }) => {
      const alone = matchCalls(matchingInput(platform, carrier));
      const both = matchCalls(
        matchingInput([...platform, ...platform.map(threeDaysLater)], [...carrier, ...carrier.map(threeDaysLater)]),
      );
      expect(canonical(both.filter(({ startMs }) => startMs < TEN + DAY_MS))).toEqual(canonical(alone));
    }),
    RUNS,
  );
});

test("the span of a result holds the starts of its records", () => {
  fc.assert(
    fc.property(crowdedRecords, ({ platform, carrier }) => {
      for (const { startMs, span } of matchCalls(matchingInput(platform, carrier))) {
        expect(span.firstMs).toBeLessThanOrEqual(startMs);
        expect(span.lastMs).toBeGreaterThanOrEqual(startMs);
      }
    }),
    RUNS,
  );
});

test("voided records pair with voided ones only, and a pair is of one direction", () => {
  fc.assert(
    fc.property(crowdedRecords, ({ platform, carrier }) => {
      for (const result of matchCalls(matchingInput(platform, carrier))) {
        const records = [...(result.platform ? [result.platform] : []), ...result.carrier];
        expect(new Set(records.map(({ isVoid }) => isVoid)).size).toBe(1);
        expect(new Set(records.map(({ direction }) => direction)).size).toBe(1);
        expect(result.status === DiscrepancyStatus.VOIDED).toBe(records[0]?.isVoid);
      }
    }),
    RUNS,
  );
});

test("a pair that disagrees has a cause, and UNKNOWN stands alone", () => {
  fc.assert(
    fc.property(crowdedRecords, ({ platform, carrier }) => {
      for (const { status, findings } of matchCalls(matchingInput(platform, carrier))) {
        const causes = findings.map(({ cause }) => cause);
        if (status === DiscrepancyStatus.DURATION_MISMATCH || status === DiscrepancyStatus.ANSWER_STATE_MISMATCH) {
          expect(causes.length).toBeGreaterThan(0);
        }
        if (causes.includes(8)) expect(causes).toEqual([8]);
        expect(causes).toEqual([...new Set(causes)].sort((a, b) => a - b));
      }
    }),
    RUNS,
  );
});

function threeDaysLater<T extends CommonFacts>(record: T): T {
  const times = Object.fromEntries(
    (["inviteMs", "answerMs", "endMs"] as const).flatMap((key) => {
      const ms = record[key];
      return ms === undefined ? [] : [[key, ms + 3 * DAY_MS]];
    }),
  );
  return { ...record, ...times, recordId: `${record.recordId}-later` };
}

import { describe, expect, it } from "vitest";
import type { CallTruth } from "../../src/simulator/reconciliation/truth.ts";
import { scoreResults } from "./score.ts";
import { findShortfalls, formatScore } from "./score-tables.ts";

const PAIR: CallTruth = {
  planted: "none",
  platformRecordId: "p1",
  carrierRecordIds: ["c1"],
  status: "MATCHED_EXACT",
  causes: [],
  isAmbiguous: false,
};
const COPY: CallTruth = {
  planted: "doubledAtCarrier",
  carrierRecordIds: ["c2"],
  status: "DUPLICATE_AT_CARRIER",
  causes: [],
  copyOf: "c1",
  isAmbiguous: false,
};
const LOOSE = { leastAmbiguous: 0 };

describe("scoreResults", () => {
  it("finds nothing to say of results that are the truth", () => {
    const score = scoreResults([PAIR, COPY], [PAIR, COPY]);
    expect(score.wrong).toEqual([]);
    expect(findShortfalls(score, LOOSE)).toEqual([]);
  });

  it("takes a record and its copy for each other, on either side", () => {
    const carriers = scoreResults(
      [PAIR, COPY],
      [
        { ...PAIR, carrierRecordIds: ["c2"] },
        { ...COPY, carrierRecordIds: ["c1"] },
      ],
    );
    expect(carriers.wrong).toEqual([]);
    const twin: CallTruth = {
      ...PAIR,
      platformRecordId: "p2",
      carrierRecordIds: [],
      status: "DUPLICATE_AT_PLATFORM",
      copyOf: "p1",
    };
    const platforms = scoreResults(
      [PAIR, twin],
      [
        { ...PAIR, platformRecordId: "p2" },
        { ...twin, platformRecordId: "p1" },
      ],
    );
    expect(platforms.wrong).toEqual([]);
  });

  it("counts a call that is wrongly missing, and the record that its partner became", () => {
    const found = [
      { platformRecordId: "p1", carrierRecordIds: [], status: "MISSING_AT_CARRIER", causes: [] },
      { carrierRecordIds: ["c1"], status: "MISSING_AT_PLATFORM", causes: [] },
    ];
    const score = scoreResults([PAIR], found);
    expect(score.falseMissing).toBe(2);
    expect(score.byStatus.get("MATCHED_EXACT")).toMatchObject({ overlooked: 1, recall: 0 });
    expect(findShortfalls(score, LOOSE)).toContain("2 calls are wrongly said to be missing");
  });

  it("sees a pair of the right status with another call's record", () => {
    const score = scoreResults([PAIR], [{ ...PAIR, carrierRecordIds: ["c9"] }]);
    expect(score.wrongPartner).toBe(1);
  });

  it("keeps ambiguous calls apart and asks for enough of them", () => {
    const score = scoreResults([{ ...PAIR, isAmbiguous: true }], [{ ...PAIR, status: "PENDING" }]);
    expect(score.byStatus.size).toBe(0);
    expect(score.ambiguous).toMatchObject({ count: 1, share: 1, right: 0 });
    expect(findShortfalls(scoreResults([PAIR], [PAIR]))).toEqual(["only 0.0 % of the calls are ambiguous"]);
  });

  it("asks for enough of each class", () => {
    const shortfalls = findShortfalls(scoreResults([PAIR], [PAIR]), { ...LOOSE, leastPlanted: 2 });
    expect(shortfalls).toEqual(["MATCHED_EXACT is planted only 1 times"]);
  });

  it("names a cause that is overlooked and one that is made up", () => {
    const score = scoreResults([{ ...PAIR, causes: ["LATE"] }], [{ ...PAIR, causes: ["ROUNDING"] }]);
    expect(score.byCause.get("LATE")?.recall).toBe(0);
    expect(score.byCause.get("ROUNDING")?.precision).toBe(0);
    expect(formatScore(score)).toContain("ROUNDING");
  });
});

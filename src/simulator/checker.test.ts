import { describe, expect, it } from "vitest";
import { type AppliedRun, checkLogs } from "./checker.ts";

const record = (id: number, revision = 1) => ({ recordId: `r-${id}`, recordDate: "2026-03-01", revision });
const run = (after: number, ids: readonly number[]): AppliedRun => ({
  epoch: 1n,
  afterSequence: BigInt(after),
  throughSequence: BigInt(after + ids.length),
  entries: ids.map((id, index) => ({ ...record(id), sequence: BigInt(after + index + 1) })),
});
const clean = { lost: [], duplicated: [], unacknowledged: [], gaps: [] };

describe("checkLogs", () => {
  it("finds nothing when all that was acknowledged was applied once", () => {
    expect(
      checkLogs(
        [1, 2, 3].map((id) => record(id)),
        [run(0, [1, 2]), run(2, [3])],
      ),
    ).toEqual({ ...clean, appliedCount: 3 });
  });

  it("names what was lost, doubled and made up", () => {
    const result = checkLogs(
      [1, 2, 3].map((id) => record(id)),
      [run(0, [1, 1, 9])],
    );
    expect(result).toMatchObject({
      lost: ["2026-03-01/r-2#1", "2026-03-01/r-3#1"],
      duplicated: ["2026-03-01/r-1#1"],
      unacknowledged: ["2026-03-01/r-9#1"],
      gaps: [],
    });
  });

  it("tells revisions of one record apart", () => {
    expect(checkLogs([record(1), record(1, 2)], [run(0, [1])]).lost).toEqual(["2026-03-01/r-1#2"]);
  });

  it("sees a run that was applied twice, and one that is missing, by their ranges alone", () => {
    const produced = [1, 2, 3, 4].map((id) => record(id));
    expect(checkLogs(produced, [run(0, [1, 2]), run(0, [1, 2])]).gaps).toHaveLength(1);
    expect(checkLogs(produced, [run(0, [1, 2]), run(3, [4])]).gaps).toHaveLength(1);
  });

  it("sees a sequence that is not dense within a run", () => {
    const broken = { ...run(0, [1, 2]), throughSequence: 3n };
    expect(checkLogs([record(1), record(2)], [broken]).gaps).toEqual(["epoch 1 (0, 3] ends with 2"]);
  });

  it("lets a new epoch begin anew", () => {
    const anew = { ...run(0, [3]), epoch: 2n };
    expect(
      checkLogs(
        [1, 2, 3].map((id) => record(id)),
        [run(0, [1, 2]), anew],
      ).gaps,
    ).toEqual([]);
  });
});

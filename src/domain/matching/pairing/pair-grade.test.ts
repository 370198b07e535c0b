import { expect, test } from "vitest";
import { carrierCall, platformCall, SECOND_MS, TEN } from "../../../../test/support/matching-calls.ts";
import { carrierUnit, platformUnit } from "../call-unit.ts";
import { couldBePair } from "./pair-grade.ts";

test("a second call of the same parties is no evidence of a clock, where its length or answer says that it is another", () => {
  const could = (offS: number, connectedMs: number | null) =>
    couldBePair(
      platformUnit(platformCall("p", { connectedMs: 100_000 })),
      carrierUnit(carrierCall("c", { startMs: TEN + offS * SECOND_MS, connectedMs }), () => undefined),
    );
  expect([could(40, 100_000), could(40, 101_000), could(40, 120_000)]).toEqual([true, true, true]);
  expect([could(40, 30_000), could(40, 400_000), could(40, null)]).toEqual([false, false, false]);
  expect(could(4, 30_000)).toBe(true);
});

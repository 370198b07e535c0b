import { expect, test } from "vitest";
import { RecordPart } from "../../gen/tandem/type/v1/agreement_pb.js";
import { ALL_PARTS, ALL_PURPOSES, keptHorizons, policiesInForce, retentionDays } from "./retention.ts";
import { findRule } from "./retention-law.ts";

const COUNTRIES = ["US", "DK", "GB", "IE", "DE"];

test("what holds where nobody has set anything lies within what each country's law asks, with its source", () => {
  for (const countryCode of COUNTRIES)
    for (const part of ALL_PARTS)
      for (const purpose of ALL_PURPOSES) {
        const { minimum, maximum, initial } = findRule(countryCode, part, purpose);
        const days = initial?.days ?? minimum?.days ?? 1;
        expect(days).toBeGreaterThanOrEqual(minimum?.days ?? 1);
        expect(days).toBeLessThanOrEqual(maximum?.days ?? 36_500);
        for (const bound of [minimum, maximum, initial]) expect(bound?.source.length ?? 1).toBeLessThanOrEqual(256);
      }
});

test("every part is kept for some purpose, and records for longer than they may be late", () => {
  for (const countryCode of COUNTRIES) {
    const days = retentionDays(policiesInForce({ countryCode, carrierId: "any" }, []));
    for (const part of ALL_PARTS) expect(days[part]).toBeGreaterThan(0);
    const agreed = { firstDays: 120, laterDays: 400 };
    expect(keptHorizons(agreed, days)).toEqual(agreed);
  }
});

test("a call's quality ends with the call, and records are late when those of the other side may be gone", () => {
  const days = retentionDays([
    { part: RecordPart.CALL, retentionDays: 50 },
    { part: RecordPart.CALL, retentionDays: 40 },
    { part: RecordPart.QUALITY, retentionDays: 90 },
    { part: RecordPart.DURATION, retentionDays: 550 },
  ]);
  expect([days[RecordPart.CALL], days[RecordPart.QUALITY], days[RecordPart.NETWORK]]).toEqual([50, 50, 0]);
  expect(keptHorizons({ firstDays: 30, laterDays: 400 }, days)).toEqual({ firstDays: 30, laterDays: 49 });
});

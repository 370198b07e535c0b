import { expect, test } from "vitest";
import { RecordIssue, Verdict } from "../../gen/tandem/type/v1/upload_pb.js";
import type { CarrierVerdict, DemoVerdict } from "./judge.ts";
import type { DemoPlan } from "./plan.ts";
import { tellStory } from "./story.ts";

const MANY = 99_999;

test("every line of the story fits in 80 columns, with 100,000 calls too", () => {
  const carriers = ["albion-voice", "nordlys-tele", "prairie-bell"].map(carrierVerdict);
  const checks = [
    {
      promise: "every accepted duration is stored once, in its latest revision; voided ones are gone",
      failures: [],
    },
    { promise: `one that is broken, ${"in many words ".repeat(12)}`.trim(), failures: ["and why"] },
  ];
  const counts = new Map([["ANSWER_STATE_MISMATCH", MANY]]);
  const planted = new Map([["ANSWER_STATE_MISMATCH", { planted: MANY, found: MANY }]]);
  const ratio = { ratio: -123.456, thresholdRatio: 0.01 };
  const reconciliation = {
    carrierId: "oresund-net",
    days: [{ callDate: "2026-01-01", net: ratio, gross: ratio, unmatched: { ratio: undefined } }],
    callsByStatus: counts,
    callsByCause: counts,
    plantedByStatus: planted,
    plantedByCause: planted,
    planted: MANY,
    found: MANY,
    wrong: [],
  };
  const usage = [{ customerId: "dogwood-school", calls: MANY, answered: MANY, connectedMs: 1e12, carrierSourcedMs: 1 }];
  // Only what the story tells.
  const verdict = { carriers, reconciliation, usage, checks, ok: false } as unknown as DemoVerdict;
  const plan = { title: "a simulated day, 2026-01-01, seed 1" } as DemoPlan;
  const lines = tellStory(plan, verdict, 12.3);
  expect(lines.filter((line) => line.length > 80)).toEqual([]);
  const text = lines.join(" ").replaceAll(/\s+/g, " ");
  for (const { promise } of checks) expect(text).toContain(promise);
  for (const words of ["quarantined 99,999 99,999 99,999", "net -12345.6 % 1.0 %", "unmatched unknown"])
    expect(text).toContain(words);
});

function carrierVerdict(carrierId: string): CarrierVerdict {
  const outcomes = [
    {
      verdict: Verdict.REJECTED,
      issue: RecordIssue.RECORD_DATE_MISMATCH,
      message: `record_date: is 2026-11-27, ${"expected another ".repeat(9)}`,
    },
  ];
  const many = (...titles: string[]) => Object.fromEntries(titles.map((title) => [title, MANY]));
  return {
    trace: { plan: { carrier: { carrierId, legalCountry: "DK" } }, upload: { outcomes } },
    figures: {
      numbers: { provisioned: 1, assigned: 1, mirrored: MANY, "cut off": 2 },
      calls: { calls: 0, delivered: 0, ...many("entries", "released", "lost", "doubled"), "cut off": 5 },
      durations: many("sent", "accepted", "duplicate", "conflict", "rejected", "quarantined", "released", "lost"),
    },
    // Only what the story tells.
  } as unknown as CarrierVerdict;
}

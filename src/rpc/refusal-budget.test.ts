import { expect, test } from "vitest";
import { KIND_ALLOWANCE, RefusalBudget, TOTAL_ALLOWANCE } from "./refusal-budget.ts";

const HOUR_MS = 3_600_000;

test("writes the first of a kind, then a few an hour, and says how many it left out", () => {
  let nowMs = 0;
  const budget = new RefusalBudget(() => nowMs);
  for (let at = 0; at < KIND_ALLOWANCE; at++) expect(budget.take("a")).toEqual({ unwritten: 0 });
  for (let at = 0; at < 100; at++) expect(budget.take("a")).toBeUndefined();
  expect(budget.take("b")).toEqual({ unwritten: 0 });
  nowMs += HOUR_MS / KIND_ALLOWANCE;
  expect(budget.take("a")).toEqual({ unwritten: 100 });
  expect(budget.take("a")).toBeUndefined();
  nowMs += 1_000 * HOUR_MS;
  for (let at = 0; at < KIND_ALLOWANCE; at++) expect(budget.take("a")).toEqual({ unwritten: at === 0 ? 1 : 0 });
  expect(budget.take("a")).toBeUndefined();
});

test("bounds all kinds together, however many an attacker makes up", () => {
  const budget = new RefusalBudget(() => 0);
  let written = 0;
  for (let at = 0; at < 30_000; at++) if (budget.take(`kind ${at}`)) written++;
  expect(written).toBe(TOTAL_ALLOWANCE);
});

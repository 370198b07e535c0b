import { expect, test } from "vitest";
import { CALLER_ALLOWANCE, KIND_ALLOWANCE, OWN_ALLOWANCE, RefusalBudget, TOTAL_ALLOWANCE } from "./refusal-budget.ts";

const HOUR_MS = 3_600_000;

test("writes the first of a kind, then a few an hour, and says how many it left out", () => {
  let nowMs = 0;
  const budget = new RefusalBudget(() => nowMs);
  for (let at = 0; at < KIND_ALLOWANCE; at++) expect(budget.take("me", "a")).toEqual({ unwritten: 0 });
  for (let at = 0; at < 100; at++) expect(budget.take("me", "a")).toBeUndefined();
  expect(budget.take("me", "b")).toEqual({ unwritten: 0 });
  nowMs += HOUR_MS / KIND_ALLOWANCE;
  expect(budget.take("me", "a")).toEqual({ unwritten: 100 });
  expect(budget.take("me", "a")).toBeUndefined();
  nowMs += 1_000 * HOUR_MS;
  for (let at = 0; at < KIND_ALLOWANCE; at++) expect(budget.take("me", "a")).toEqual({ unwritten: at === 0 ? 1 : 0 });
  expect(budget.take("me", "a")).toBeUndefined();
});

test("one caller has its share only, however many kinds it makes up; another's refusals are written all the same", () => {
  const budget = new RefusalBudget(() => 0);
  let written = 0;
  for (let at = 0; at < 30_000; at++) if (budget.take("flooder", `kind ${at}`)) written++;
  expect(written).toBe(CALLER_ALLOWANCE);
  expect(budget.take("neighbour", "kind 0")).toEqual({ unwritten: 0 });
});

test("many callers together have a most, and it leaves each its first ones", () => {
  const budget = new RefusalBudget(() => 0);
  const callers = 2 * Math.ceil(TOTAL_ALLOWANCE / (CALLER_ALLOWANCE - OWN_ALLOWANCE));
  let written = 0;
  for (let caller = 0; caller < callers; caller++) {
    for (let at = 0; at < CALLER_ALLOWANCE; at++)
      if (budget.take(`caller ${caller}`, `kind ${caller} ${at}`)) written++;
  }
  expect(written).toBe(TOTAL_ALLOWANCE + callers * OWN_ALLOWANCE);
});

test("what was not written and not told of since is summed up by caller, once", () => {
  let nowMs = 0;
  const budget = new RefusalBudget(() => nowMs);
  for (let at = 0; at < KIND_ALLOWANCE + 7; at++) budget.take("me", "a");
  for (let at = 0; at < KIND_ALLOWANCE + 3; at++) budget.take("me", "b");
  for (let at = 0; at < KIND_ALLOWANCE; at++) budget.take("quiet", "a of quiet");
  nowMs += HOUR_MS;
  expect(budget.take("me", "a")).toEqual({ unwritten: 7 });
  expect(budget.takeSums()).toEqual([{ caller: "me", unwritten: 3 }]);
  expect(budget.takeSums()).toEqual([]);
});

test("nothing is lost of callers that were forgotten for others", () => {
  const budget = new RefusalBudget(() => 0, 2);
  for (const caller of ["one", "two", "three"]) {
    for (let at = 0; at < KIND_ALLOWANCE + 1; at++) budget.take(caller, `a of ${caller}`);
  }
  expect(budget.takeSums()).toEqual([
    { caller: "two", unwritten: 1 },
    { caller: "three", unwritten: 1 },
    { caller: undefined, unwritten: 1 },
  ]);
});

import fc from "fast-check";
import { expect, test } from "vitest";
import type { Micros } from "../time/instant.ts";
import { mayBeRedated, partyHashOf } from "./party-hash.ts";

const NOON = Date.UTC(2026, 10, 28, 12);
const at = (hours: number) => BigInt(Math.round((NOON + hours * 3_600_000) * 1_000)) as Micros;

test("a call under the id of one that began up to 15 h away may be that one, and one of the day before or after is another", () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
      fc.double({ min: -47, max: 47, noNaN: true }),
      (hash, hours) => {
        const isNear = Math.abs(hours) <= 15;
        fc.pre(isNear || Math.abs(hours) > 15.25);
        expect(mayBeRedated(partyHashOf(hash, at(0)), partyHashOf(hash, at(hours)))).toBe(isNear);
      },
    ),
  );
});

test("other parties or another duration are another call, whenever it was", () => {
  expect(mayBeRedated(partyHashOf(1n << 40n, at(0)), partyHashOf(2n << 40n, at(0)))).toBe(false);
  expect(mayBeRedated(partyHashOf(-1n, at(0)), partyHashOf(1n, at(0)))).toBe(false);
});

test("a record without times may be the other", () => {
  const hash = 77n << 30n;
  expect(mayBeRedated(partyHashOf(hash, undefined), partyHashOf(hash, undefined))).toBe(true);
});

import { describe, expect, test } from "vitest";
import { ErasureExceptionReason } from "../gen/tandem/platform/v1/privacy_service_pb.js";
import { Exceptions } from "./erased-counts.ts";
import { lookAgainAt } from "./look-again.ts";

const MINUTE = 60_000_000n;
const ended = 1_000n * MINUTE;

function exceptionsOf(...found: { reason: number; due?: bigint }[]): Exceptions {
  const exceptions = new Exceptions();
  for (const { reason, due } of found) exceptions.add(1, { reason, due });
  return exceptions;
}

describe("what an erasure left is looked at again", () => {
  const { HELD, LEGAL_MINIMUM, IN_SERVICE } = ErasureExceptionReason;

  test("never, when nothing was left", () => {
    expect(lookAgainAt(exceptionsOf(), { ended, took: MINUTE })).toBeUndefined();
  });

  test("soon, where it may end at any time; when it is due, where it may not", () => {
    const took = 1_000n;
    expect(lookAgainAt(exceptionsOf({ reason: IN_SERVICE }), { ended, took })).toBe(ended + 5n * MINUTE);
    const held = exceptionsOf({ reason: HELD, due: ended + 900n * MINUTE });
    expect(lookAgainAt(held, { ended, took })).toBe(ended + 5n * MINUTE);
    const legal = exceptionsOf({ reason: LEGAL_MINIMUM, due: ended + 900n * MINUTE });
    expect(lookAgainAt(legal, { ended, took })).toBe(ended + 900n * MINUTE);
  });

  test("seldom, when a look takes long: a number in service keeps nobody at it all the time", () => {
    const run = { ended, took: 30n * MINUTE };
    expect(lookAgainAt(exceptionsOf({ reason: IN_SERVICE }), run)).toBe(ended + 600n * MINUTE);
  });

  test("for many records whose dates follow each other, together, and at the date that was given at the latest", () => {
    const dues = (last: bigint) =>
      exceptionsOf(...[1n, 2n, last].map((minutes) => ({ reason: LEGAL_MINIMUM, due: ended + minutes * MINUTE })));
    const run = { ended, took: 30n * MINUTE };
    expect(lookAgainAt(dues(9_000n), run)).toBe(ended + 600n * MINUTE);
    expect(lookAgainAt(dues(50n), run)).toBe(ended + 50n * MINUTE);
  });
});

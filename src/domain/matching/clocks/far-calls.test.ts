import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HOUR_MS, MINUTE_MS, TEN } from "../../../../test/support/matching-calls.ts";
import { type FarCall, pairFarCalls } from "./far-calls.ts";

interface Named extends FarCall {
  readonly name: string;
}

function call(name: string, startMs: number, lengthMs?: number): Named {
  return { name, startMs, lengthMs };
}

function told(platform: readonly Named[], carrier: readonly Named[]): string[] {
  return [...pairFarCalls(platform, carrier)]
    .map(([record, mate]) => `${mate.call.name}/${record.name}${mate.isAlike ? " alike" : ""}`)
    .sort();
}

describe("calls of two parties without a counterpart near them", () => {
  test("go together when each is the only one within 15 h of the other", () => {
    expect(told([call("p", TEN)], [call("c", TEN + 5.5 * HOUR_MS)])).toEqual(["p/c"]);
    expect(told([call("p", TEN, 60_000)], [call("c", TEN + HOUR_MS, 60_900)])).toEqual(["p/c alike"]);
    expect(told([call("p", TEN)], [call("c", TEN + 15 * HOUR_MS + 1)])).toEqual([]);
    expect(told([call("p", TEN), call("p2", TEN - 10 * HOUR_MS)], [call("c", TEN + HOUR_MS)])).toEqual([]);
  });

  test("are told apart by their lengths where the parties call each other again and again", () => {
    const lengths = [10_000, 25_000, 40_000, 70_000, 95_000];
    const platform = lengths.map((lengthMs, index) => call(`p${index}`, TEN + index * 20 * MINUTE_MS, lengthMs));
    const carrier = platform.map(({ name, startMs, lengthMs }) => call(`c${name}`, startMs + 5.5 * HOUR_MS, lengthMs));
    expect(told(platform, carrier)).toEqual(lengths.map((_, index) => `p${index}/cp${index} alike`));
    expect(told([...platform, call("q", TEN, 10_500)], carrier)).toHaveLength(4);
  });

  test("tell nothing where there are too many to be told apart", () => {
    const platform = Array.from({ length: 51 }, (_, index) => call(`p${index}`, TEN + index * 1_000, index * 10_000));
    expect(told(platform, [call("c", TEN + HOUR_MS, 100_000)])).toEqual([]);
    expect(told(platform.slice(1), [call("c", TEN + HOUR_MS, 100_000)])).toEqual(["p10/c alike"]);
  });

  test("go together in whatever order they are given", () => {
    const calls = fc
      .array(fc.tuple(fc.nat(40), fc.nat(5)), { maxLength: 20 })
      .map((list) => list.map(([hours, length], index) => call(`x${index}`, TEN + hours * HOUR_MS, length * 900)));
    fc.assert(
      fc.property(calls, calls, (platform, carrier) => {
        expect(told(platform.toReversed(), carrier.toReversed())).toEqual(told(platform, carrier));
      }),
    );
  });
});

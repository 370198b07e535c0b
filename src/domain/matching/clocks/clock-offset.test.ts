import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HOUR_MS, MINUTE_MS, SECOND_MS, TEN } from "../../../../test/support/matching-calls.ts";
import { judgeVotes as judge } from "./clock-judgement.ts";
import { offsetOfHour } from "./clock-offset.ts";
import { areAlike, type HourSays, Tally, type VoteCounts, voteBucket } from "./clock-votes.ts";

function judgeVotes(says: HourSays) {
  return judge(new Tally(says).votes());
}

function votesOf(differencesMs: readonly number[], isAlike = false): VoteCounts {
  const votes: Record<string, number> = {};
  for (const difference of differencesMs) {
    const bucket = voteBucket(difference, isAlike);
    votes[bucket] = (votes[bucket] ?? 0) + 1;
  }
  return votes;
}

function near(differencesMs: readonly number[], isAlike = false): HourSays {
  return { near: votesOf(differencesMs, isAlike), far: {} };
}

function far(differencesMs: readonly number[], isAlike = true): HourSays {
  return { near: {}, far: votesOf(differencesMs, isAlike) };
}

function both(...says: readonly HourSays[]): HourSays {
  const sum = (of: (each: HourSays) => VoteCounts) => {
    const sums: Record<string, number> = {};
    for (const each of says) for (const [key, count] of Object.entries(of(each))) sums[key] = (sums[key] ?? 0) + count;
    return sums;
  };
  return { near: sum((each) => each.near), far: sum((each) => each.far) };
}

function repeat(count: number, differenceMs: number): number[] {
  return Array.from({ length: count }, (_, index) => differenceMs + (index % 5) * 100);
}

/** The offset of an hour, where the hours from ten o'clock on say this. */
function offsetAt(hour: number, hours: readonly (HourSays | undefined)[]) {
  return offsetOfHour(TEN + hour * HOUR_MS, (hourMs) => hours[(hourMs - TEN) / HOUR_MS]);
}

describe("the votes of a trunk and hour", () => {
  test.each([1, 5.5, -3.25, 14, -14].map((hours) => hours * HOUR_MS))("show a zone shift of %d ms", (offsetMs) => {
    const says = near([...repeat(16, offsetMs), ...repeat(4, 0)]);
    expect(judgeVotes(says)).toEqual({ kind: "ZONE_SHIFT", offsetMs, pairCount: 20, ratio: 0.8 });
  });

  test("show a skew that they share, to less than a second", () => {
    const judged = judgeVotes(near(repeat(30, 7_300)));
    expect(judged).toMatchObject({ kind: "CLOCK_SKEW", pairCount: 30, ratio: 1 });
    expect(Math.abs((judged?.offsetMs ?? 0) - 7_500)).toBeLessThan(500);
  });

  test.each([95, -95, 61, 240, 449])(
    "show a skew of %d s, which is beyond the window and less than a zone",
    (seconds) => {
      const offsetMs = seconds * SECOND_MS;
      expect(judgeVotes(far(Array(30).fill(offsetMs)))).toEqual({
        kind: "CLOCK_SKEW",
        offsetMs,
        pairCount: 30,
        ratio: 1,
      });
    },
  );

  test("show a zone shift and a skew at once", () => {
    const offsetMs = HOUR_MS + 95 * SECOND_MS;
    expect(judgeVotes(far(Array(30).fill(offsetMs)))).toMatchObject({ kind: "ZONE_SHIFT", offsetMs });
  });

  test("show none where the clocks agree to 2 s, or the differences have nothing in common", () => {
    expect(judgeVotes(near(repeat(30, 1_200)))).toMatchObject({ kind: "NONE", offsetMs: 0, ratio: 1 });
    const scattered = Array.from({ length: 30 }, (_, index) => (index - 15) * 4_000);
    expect(judgeVotes(near(scattered))).toMatchObject({ kind: "NONE", offsetMs: 0 });
    expect(judgeVotes(near([...repeat(15, HOUR_MS), ...repeat(5, 0)]))).toMatchObject({ kind: "NONE" });
  });

  test("show a zone even where they scatter over a minute, as those of whole minutes do", () => {
    const scattered = Array.from({ length: 40 }, (_, index) => HOUR_MS - index * 1_400);
    expect(judgeVotes(near(scattered))).toMatchObject({ kind: "ZONE_SHIFT", offsetMs: HOUR_MS });
  });

  test("show two offsets where a clock was set back within the hour, each by the votes that the other leaves", () => {
    const judged = judgeVotes(near([...repeat(40, HOUR_MS), ...repeat(30, 300), ...repeat(4, 5 * HOUR_MS)]));
    expect(judged).toMatchObject({ kind: "NONE", offsetMs: 0, pairCount: 34 });
    expect(judged?.second).toMatchObject({ kind: "ZONE_SHIFT", offsetMs: HOUR_MS, pairCount: 44 });
    const others = near([...repeat(40, HOUR_MS), ...repeat(19, 30_000)]);
    expect(judgeVotes(others)?.second).toBeUndefined();
  });

  test.each([
    [25, 25, HOUR_MS],
    [75, 75, HOUR_MS],
    [150, 150, -HOUR_MS],
    [300, 25, HOUR_MS],
    [25, 25, 95 * SECOND_MS],
    [25, 25, 20 * SECOND_MS],
    [6, 6, HOUR_MS],
  ])("of %d calls by a right clock and %d by one that is %d ms off show both", (right, off, offsetMs) => {
    const ofOff = Array(off).fill(offsetMs);
    const says = both(
      near(Array(right).fill(200), true),
      Math.abs(offsetMs) > MINUTE_MS ? far(ofOff) : near(ofOff, true),
    );
    expect(judgeVotes(says)).toMatchObject({ offsetMs: 0, second: { offsetMs } });
  });

  test("are two offsets though a busy hour's calls scatter by some seconds", () => {
    const scattered = Array.from({ length: 40 }, (_, index) => 3_000 + index * 300);
    const says = both(near(Array(300).fill(0)), near(scattered), far(Array(25).fill(HOUR_MS)));
    expect(judgeVotes(says)).toMatchObject({ offsetMs: 0, second: { offsetMs: HOUR_MS } });
    expect(judgeVotes(both(near(Array(300).fill(0)), near(scattered)))?.second).toBeUndefined();
  });

  test("are enough from 5 on when the lengths agree as well, and none says otherwise", () => {
    const five = far(Array(5).fill(HOUR_MS));
    expect(judgeVotes(five)).toEqual({ kind: "ZONE_SHIFT", offsetMs: HOUR_MS, pairCount: 5, ratio: 1 });
    expect(judgeVotes(far(Array(4).fill(HOUR_MS)))).toBeUndefined();
    expect(judgeVotes(far(Array(19).fill(HOUR_MS), false))).toBeUndefined();
    expect(judgeVotes(both(five, near([30_000])))).toBeUndefined();
    expect(judgeVotes(both(five, far([5 * HOUR_MS])))).toBeUndefined();
    expect(judgeVotes(both(five, far([5 * HOUR_MS], false)))).toMatchObject({ offsetMs: HOUR_MS });
  });

  test("are asked both as they were written and by an offset, where some fit as they were written", () => {
    const judged = judgeVotes(both(far(Array(7).fill(5.75 * HOUR_MS)), near([0, -1_000])));
    expect(judged).toMatchObject({ kind: "NONE", offsetMs: 0, pairCount: 2, second: { offsetMs: 5.75 * HOUR_MS } });
  });

  test("come out the same whatever the order in which they were counted", () => {
    const differences = fc.array(fc.integer({ min: -4_000_000, max: 4_000_000 }), { minLength: 20 });
    fc.assert(
      fc.property(differences, differences, (nearMs, farMs) => {
        const forward = both(near(nearMs), far(farMs), near(farMs, true));
        const backward = both(near(farMs.toReversed(), true), far(farMs.toReversed()), near(nearMs.toReversed()));
        expect(judgeVotes(backward)).toEqual(judgeVotes(forward));
      }),
    );
  });

  test("have one bucket a second up to 14 h and a rest, with the lengths' agreement, and one for all others", () => {
    expect([0, 499, -60_000, HOUR_MS + 95_499].map((ms) => voteBucket(ms))).toEqual(["0", "0", "-60", "3695"]);
    expect(voteBucket(95_000, true)).toBe("95=");
    expect([15 * HOUR_MS, -14.2 * HOUR_MS].map((ms) => voteBucket(ms))).toEqual(["other", "other"]);
    expect([areAlike(60_000, 61_000), areAlike(60_000, 61_001), areAlike(undefined, 1)]).toEqual([true, false, false]);
  });
});

describe("the offset of an hour", () => {
  const busy = (offsetMs: number) => near(Array(30).fill(offsetMs));

  test("is its own, whatever the hours around it say", () => {
    expect(offsetAt(1, [busy(0), busy(HOUR_MS), busy(0)])).toMatchObject({ offsetMs: HOUR_MS, pairCount: 30 });
    expect(offsetAt(1, [busy(0), busy(HOUR_MS), busy(0)])?.isAround).toBeUndefined();
  });

  test("is that of the nearest hours where it has too few votes of its own", () => {
    expect(offsetAt(1, [busy(HOUR_MS), undefined, undefined, busy(0)])).toMatchObject({
      offsetMs: HOUR_MS,
      isAround: true,
    });
    expect(offsetAt(1, [])).toBeUndefined();
  });

  test("is both where a clock was set between them, the one nearer to 0 first", () => {
    const judged = offsetAt(1, [busy(HOUR_MS), undefined, busy(0)]);
    expect(judged).toMatchObject({ offsetMs: 0, isAround: true, second: { offsetMs: HOUR_MS, isAround: true } });
  });

  test("is not that of hours which the few votes of its own speak against", () => {
    expect(offsetAt(1, [busy(HOUR_MS), near([0, 100]), busy(HOUR_MS)])).toBeUndefined();
  });

  test("is sought further off where the votes of the nearest hours do not agree", () => {
    const torn = both(near(Array(7).fill(30_000)), far(Array(12).fill(95_000)));
    const quiet = Array.from({ length: 5 }, () => far(Array(8).fill(95_000)));
    expect(judgeVotes(both(torn, near([0])))).toMatchObject({ kind: "NONE", pairCount: 20 });
    const hours = [...quiet.slice(0, 2), undefined, torn, undefined, undefined, ...quiet.slice(2)];
    expect(offsetAt(2, hours)).toMatchObject({ offsetMs: 95_000, isAround: true });
  });

  test("has a second one for its own calls that the first leaves alone, where hours further off show it", () => {
    const shifted = far(Array(4).fill(HOUR_MS));
    const hours = [busy(0), busy(0), both(busy(0), far([HOUR_MS])), ...Array(4).fill(shifted)];
    for (const hour of [1, 2])
      expect(offsetAt(hour, hours)).toMatchObject({ offsetMs: 0, second: { offsetMs: HOUR_MS, isAround: true } });
    expect(offsetAt(0, hours)?.second).toBeUndefined();
    const skewed = (isAlike: boolean) => [busy(0), both(busy(0), near(Array(3).fill(20_000), isAlike)), busy(20_000)];
    expect(offsetAt(1, skewed(true))).toMatchObject({ offsetMs: 0, second: { offsetMs: 20_000 } });
    expect(offsetAt(1, skewed(false))?.second).toBeUndefined();
  });

  test("leaves a call that fits as it was written as it was, whatever most of the hour's say", () => {
    const judged = offsetAt(0, [both(far(Array(30).fill(-3.5 * HOUR_MS)), near([100]))]);
    expect(judged).toMatchObject({ offsetMs: -3.5 * HOUR_MS, second: { kind: "NONE", offsetMs: 0, pairCount: 1 } });
  });

  test("is that of hours further off, where its own votes speak against the nearest", () => {
    const hours = [...Array(3).fill(far(Array(6).fill(HOUR_MS))), busy(0), far([HOUR_MS, HOUR_MS]), busy(0)];
    expect(offsetAt(4, hours)).toMatchObject({ offsetMs: 0, second: { offsetMs: HOUR_MS } });
  });

  test("shows itself in 6 calls of 6 hours, one an hour", () => {
    const hours = Array.from({ length: 6 }, () => far([HOUR_MS]));
    for (let hour = 0; hour < 6; hour++) {
      expect(offsetAt(hour, hours)).toMatchObject({ kind: "ZONE_SHIFT", offsetMs: HOUR_MS, ratio: 1 });
    }
  });

  test("shows itself in 376 calls of a day, 16 an hour, whose lengths are not known", () => {
    const hours = Array.from({ length: 24 }, () => far(Array(16).fill(5.5 * HOUR_MS), false));
    for (const hour of [0, 11, 23]) expect(offsetAt(hour, hours)).toMatchObject({ offsetMs: 5.5 * HOUR_MS });
  });

  test("follows a clock that drifts by 0.3 s an hour, with few calls an hour, on both sides of the window", () => {
    const driftS = (hour: number) => Math.round(50 + 0.3 * hour);
    const hours = Array.from({ length: 72 }, (_, hour) => {
      const differences = Array(3).fill(driftS(hour) * SECOND_MS);
      return driftS(hour) > 60 ? far(differences) : near(differences, true);
    });
    for (let hour = 0; hour < 72; hour++) {
      const judged = offsetAt(hour, hours);
      expect(judged?.kind).toBe("CLOCK_SKEW");
      expect(Math.abs((judged?.offsetMs ?? 0) / SECOND_MS - driftS(hour))).toBeLessThanOrEqual(3);
    }
  });

  test("rests on its day and the days beside it, and on nothing further off", () => {
    const dayHour = TEN / HOUR_MS - 10;
    const asked = new Set<number>();
    offsetOfHour(TEN, (hourMs) => {
      asked.add(hourMs / HOUR_MS - dayHour);
      return undefined;
    });
    expect([Math.min(...asked), Math.max(...asked), asked.size]).toEqual([-24, 47, 72]);
  });
});

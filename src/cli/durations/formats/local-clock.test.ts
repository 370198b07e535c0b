import { describe, expect, test } from "vitest";
import { LocalClock, NEVER, type Stamp, TWICE } from "./local-clock.ts";

/** Clocks in Copenhagen went back from 03:00 to 02:00 on this day, at 01:00 UTC. */
const DAY = "2026-10-25";
const local = (clock: string, day = DAY): Stamp => ({ localMs: Date.parse(`${day}T${clock}Z`) });
const utc = (clock: string, day = DAY) => Date.parse(`${day}T${clock}Z`);

describe("a local time in the hour that occurs twice", () => {
  test("is told by the length, where one end of the call is outside it", () => {
    const clock = new LocalClock("Europe/Copenhagen");
    // From 02:50 summer time to 03:10 winter time is 80 minutes; from 02:50 winter time 20.
    const call = { answer: local("02:50:00"), end: local("03:10:00") };
    expect(clock.read({ ...call, talkMs: 80 * 60_000 })).toMatchObject({ answerMs: utc("00:50:00") });
    expect(clock.read({ ...call, talkMs: 20 * 60_000 })).toMatchObject({ answerMs: utc("01:50:00") });
  });

  test("is told by the length where the call goes from one into the other", () => {
    const clock = new LocalClock("Europe/Copenhagen");
    const call = { answer: local("02:50:00"), end: local("02:10:00"), talkMs: 20 * 60_000 };
    expect(clock.read(call)).toMatchObject({ answerMs: utc("00:50:00"), endMs: utc("01:10:00") });
  });

  test("is told by the rows before it, which were written as calls ended", () => {
    const clock = new LocalClock("Europe/Copenhagen");
    const ends = ["01:58:00", "02:10:00", "02:35:00", "02:55:00", "02:05:00", "02:30:00", "02:50:00", "03:01:00"];
    const read = ends.map((end) => clock.read({ answer: local(end), end: local(end), talkMs: 0 }));
    expect(read.map((each) => (typeof each === "string" ? each : each.endMs))).toEqual(
      ["23:58:00", "00:10:00", "00:35:00", "00:55:00", "01:05:00", "01:30:00", "01:50:00", "02:01:00"].map((at) =>
        utc(at, at.startsWith("23") ? "2026-10-24" : DAY),
      ),
    );
  });

  test("is not guessed where nothing tells: no row before it, or none for long", () => {
    const clock = new LocalClock("Europe/Copenhagen");
    const call = { answer: local("02:30:00"), end: local("02:31:00"), talkMs: 60_000 };
    expect(clock.read(call)).toBe(TWICE);
    clock.read({ end: local("20:00:00", "2026-10-24") });
    expect(clock.read(call)).toBe(TWICE);
  });

  test("is what it says where it has its offset", () => {
    const clock = new LocalClock("Europe/Copenhagen");
    expect(clock.read({ end: { instantMs: utc("01:30:00") } })).toMatchObject({ endMs: utc("01:30:00") });
  });
});

test("a local time that clocks leave out is none", () => {
  const clock = new LocalClock("Europe/Copenhagen");
  expect(clock.read({ end: local("02:30:00", "2026-03-29") })).toBe(NEVER);
});

test("a row whose lengths fit no reading of its times keeps them", () => {
  const clock = new LocalClock("Europe/Copenhagen");
  expect(clock.read({ answer: local("12:00:00"), end: local("12:01:00"), talkMs: 5_000 })).toMatchObject({
    answerMs: utc("11:00:00"),
    endMs: utc("11:01:00"),
  });
});

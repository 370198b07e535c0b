import { expect, test } from "vitest";
import { Pulse } from "./pulse.ts";

function restOf(pulse: Pulse, mostMs: number, signal = new AbortController().signal) {
  return pulse.rest({ seen: pulse.changes, everyMs: 5, mostMs, signal, ref: true });
}

/** A pulse of a database in a state that a test changes. */
function openPulse() {
  const database = { state: "1" as string | undefined, questions: 0 };
  const pulse = new Pulse(async () => {
    database.questions++;
    if (database.state === "away") throw new Error("the database is away");
    return database.state;
  });
  return { database, pulse };
}

test("a rest goes on while nothing is written, and ends when something is", async () => {
  const { database, pulse } = openPulse();
  await pulse.ask();
  let isOver = false;
  const rest = restOf(pulse, 3_600_000).then(() => {
    isOver = true;
  });
  await expect.poll(() => database.questions).toBeGreaterThan(3);
  expect(isOver).toBe(false);
  database.state = "2";
  await rest;
});

test("what is written between the work and the rest ends the rest, though another has noticed it first", async () => {
  const { database, pulse } = openPulse();
  await pulse.ask();
  const seen = pulse.changes;
  database.state = "2";
  await restOf(pulse, 3_600_000);
  await pulse.rest({ seen, everyMs: 5, mostMs: 3_600_000, signal: new AbortController().signal, ref: true });
});

test("a rest ends after its time, and when its signal aborts", async () => {
  const { pulse } = openPulse();
  await pulse.ask();
  await restOf(pulse, 12);
  const stop = new AbortController();
  const rest = restOf(pulse, 3_600_000, stop.signal);
  stop.abort();
  await rest;
});

test("a database that does not answer, or cannot tell, counts as one that was written to", async () => {
  const { database, pulse } = openPulse();
  await pulse.ask();
  for (const state of ["away", undefined]) {
    database.state = state;
    await restOf(pulse, 3_600_000);
  }
});

test("those who ask at the same moment ask once", async () => {
  const { database, pulse } = openPulse();
  await Promise.all([pulse.ask(), pulse.ask(), pulse.ask()]);
  expect(database.questions).toBe(1);
});

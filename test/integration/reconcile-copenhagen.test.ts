import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { CallDetailRecord } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { type FileCall, readCallsCsv, recordsFromCalls } from "../../src/simulator/copenhagen.ts";
import { createRandom } from "../../src/simulator/random.ts";
import type { TrunkCondition } from "../../src/simulator/reconciliation/calendar.ts";
import type { PlantedFault } from "../../src/simulator/reconciliation/faults.ts";
import { clockOf } from "../../src/simulator/reconciliation/platform-record.ts";
import { type FaultyCall, playCalls } from "../../src/simulator/reconciliation/play-calls.ts";
import { type AssignedNumber, assignedNumbers } from "../../src/simulator/world.ts";
import { foundResult, reconcileInMemory } from "../support/in-memory-reconciler.ts";
import { scoreResults } from "../support/score.ts";
import { findShortfalls } from "../support/score-tables.ts";

const STUDY = join(import.meta.dirname, "../../../shared/data/copenhagen-calls.csv");
const HOUR_S = 3_600;
const DAY_S = 86_400;
const WEEK_S = 7 * DAY_S;
const AGREED = { graceMs: 86_400_000, toleranceMs: 2_000 };
const NOW_MS = Date.parse("2026-03-20T00:00:00Z");

// The study's file lies beside the repository and is not part of it.
describe.runIf(existsSync(STUDY))("the Copenhagen study (skipped where its file is not at hand)", () => {
  it("against a carrier that rounds up a day, is skewed for hours, loses one and doubles records: each is found and named", async () => {
    const calls = await callsOfStudy();
    const { cdrs, durations, truths } = playCalls(calls);
    const carrier = { numbers: calls.map(({ plan }) => plan.ends.number) };
    const results = reconcileInMemory({ cdrs, durations, carrier, ...AGREED, nowMs: NOW_MS }).map(foundResult);
    const score = scoreResults(truths, results);
    expect(findShortfalls(score, { leastAmbiguous: 0.1 })).toEqual([]);
    const planted = (name: string) => (score.byStatus.get(name) ?? score.byCause.get(name))?.right ?? 0;
    expect(planted("ROUNDING")).toBeGreaterThan(200);
    expect(planted("CLOCK_SKEW")).toBeGreaterThan(60);
    expect(planted("MISSING_AT_CARRIER")).toBeGreaterThan(20);
    expect(planted("DUPLICATE_AT_CARRIER")).toBeGreaterThan(40);
    expect(planted("NOT_REPORTED")).toBeGreaterThan(600);
  });
});

/**
 * All as one carrier's, without correlation ids, and its four weeks laid over each other: the calls
 * of one trunk and hour are then dozens, as few as a clock can be judged by.
 */
async function callsOfStudy(): Promise<FaultyCall[]> {
  const rows = (await readCallsCsv(STUDY)).map((row) => ({ ...row, timestampS: row.timestampS % WEEK_S }));
  const { world, recordsByCarrier, startMs } = recordsFromCalls(rows, {
    seed: "study",
    nowMs: NOW_MS - 3 * DAY_S * 1_000,
  });
  const numbers = new Map(world.carriers.flatMap(assignedNumbers).map((number) => [number.phoneNumber, number]));
  const busiest = busiestHours(rows);
  return [...recordsByCarrier.values()].flat().map((record, index) => {
    const offsetS = clockOf(record).inviteMs / 1_000 - startMs / 1_000;
    return callOf(record, { index, numbers, ...treatmentOf(offsetS, busiest) });
  });
}

interface Treatment {
  readonly trunkId: string;
  readonly condition: TrunkCondition;
  readonly isLost: boolean;
}

/**
 * Wednesday's calls are rounded up to a minute, the three busiest hours of another day are skewed
 * by 27 s, and the busiest of a third is lost.
 */
function treatmentOf(offsetS: number, busiest: (day: number) => number): Treatment {
  const [day, hour] = [Math.floor(offsetS / DAY_S), Math.floor((offsetS % DAY_S) / HOUR_S)];
  const isLost = day === LOST_DAY && hour === busiest(day);
  if (day === ROUNDED_DAY) return { trunkId: "cph-2", condition: { offsetMs: 0, roundingS: 60 }, isLost };
  if (day === SKEWED_DAY && Math.abs(hour - busiest(day)) <= 1)
    return { trunkId: "cph-3", condition: { offsetMs: 27_000 }, isLost };
  return { trunkId: "cph-1", condition: { offsetMs: 0 }, isLost };
}

const ROUNDED_DAY = 2;
const SKEWED_DAY = 3;
const LOST_DAY = 4;

/** The hour of a day in which most calls are answered. */
function busiestHours(rows: readonly FileCall[]): (day: number) => number {
  const counts = new Map<number, number>();
  for (const { timestampS, durationS } of rows) {
    const hour = Math.floor(timestampS / HOUR_S);
    if (durationS > 0) counts.set(hour, (counts.get(hour) ?? 0) + 1);
  }
  const count = (hour: number) => counts.get(hour) ?? 0;
  return (day) => {
    const hours = Array.from({ length: 24 }, (_, hour) => hour);
    return hours.reduce((best, hour) => (count(day * 24 + hour) > count(day * 24 + best) ? hour : best));
  };
}

function callOf(
  record: CallDetailRecord,
  {
    index,
    numbers,
    trunkId,
    condition,
    isLost,
  }: Treatment & { index: number; numbers: ReadonlyMap<string, AssignedNumber> },
): FaultyCall {
  const { calling, called } = record.parties ?? {};
  const number = numbers.get(calling?.value ?? "");
  if (!number || !called?.value) throw new Error(`${record.recordId} has no parties`);
  const contact = { value: called.value, countryCode: called.countryCode ?? "DK" };
  const clock = clockOf(record);
  const answered = clock.answerMs !== undefined;
  const cdr: CallDetailRecord = { ...record, streamQualities: [] };
  delete cdr.correlation;
  if (cdr.route) cdr.route.trunkId = trunkId;
  return {
    plan: {
      fault: faultOf(index, answered, isLost),
      ends: { kind: "outbound", number, contact, originalCaller: contact },
      trunkId,
      condition,
      inviteMs: clock.inviteMs,
      answered,
      connectedMs: clock.connectedMs,
      signalling: { ids: "none" },
    },
    cdr,
    clock,
    ...AGREED,
    random: createRandom(`study/${index}`),
  };
}

function faultOf(index: number, answered: boolean, isLost: boolean): PlantedFault {
  if (!answered) return "unansweredUnreported";
  if (isLost) return "droppedAtCarrier";
  return index % 40 === 0 ? "doubledAtCarrier" : "none";
}

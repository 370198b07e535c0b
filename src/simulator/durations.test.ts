import { toBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { CallDurationSchema } from "../gen/tandem/type/v1/call_duration_pb.js";
import { Direction } from "../gen/tandem/type/v1/call_pb.js";
import { PartyKind } from "../gen/tandem/type/v1/party_pb.js";
import { Verdict } from "../gen/tandem/type/v1/upload_pb.js";
import { finalRecords, simulateDay } from "./day-of-calls.ts";
import { FAULTS } from "./duration-faults.ts";
import { durationsFor, type PlannedDuration } from "./durations.ts";
import { createWorld, type SimulatedCarrier } from "./world.ts";

const NOW_MS = Date.parse("2026-03-03T09:00:00Z");
const [carrier] = createWorld({ seed: "test" }).carriers as [SimulatedCarrier];
const cdrs = simulateDay(carrier, { seed: "test", day: "2026-03-02", callCount: 1_000 });
const plan = durationsFor(carrier, cdrs, { seed: "test", nowMs: NOW_MS });
const identity = ({ record }: PlannedDuration) => `${record.recordDate}/${record.recordId}`;

describe("durationsFor", () => {
  it("is the same for the same seed, byte by byte", () => {
    const again = durationsFor(carrier, cdrs, { seed: "test", nowMs: NOW_MS });
    const bytes = ({ record }: PlannedDuration) => Buffer.from(toBinary(CallDurationSchema, record)).toString("hex");
    expect(again.planned.map(bytes)).toEqual(plan.planned.map(bytes));
  });

  it("reports the answered calls that users placed, except to emergency services, once each when nothing is planted", () => {
    const honest = durationsFor(carrier, cdrs, { seed: "test", nowMs: NOW_MS, faults: {} }).planned;
    const answered = finalRecords(cdrs).filter(
      ({ direction, times, parties }) =>
        direction === Direction.OUTBOUND && times?.answerTime && parties?.called?.kind !== PartyKind.EMERGENCY,
    );
    expect(honest).toHaveLength(answered.length);
    expect(new Set(honest.map(identity)).size).toBe(honest.length);
    expect(honest.every(({ verdict, fault }) => verdict === Verdict.ACCEPTED && fault === undefined)).toBe(true);
  });

  it("measures by its own clock: close to the platform's, seldom equal", () => {
    const honest = durationsFor(carrier, cdrs, { seed: "test", nowMs: NOW_MS, faults: {} }).planned;
    for (const { record } of honest) {
      const betweenMs = timestampMs(record.endTime ?? never()) - timestampMs(record.answerTime ?? never());
      expect(Number(record.connectedDurationMs)).toBe(betweenMs);
      expect(Number(record.billedDurationS) * 1000).toBeGreaterThanOrEqual(betweenMs);
    }
  });

  it("plants every fault, counts it, and says what must become of it", () => {
    expect([...plan.faultCounts.keys()].sort()).toEqual(Object.keys(FAULTS).sort());
    for (const [fault, count] of plan.faultCounts) {
      expect(plan.planned.filter((planned) => planned.fault === fault)).toHaveLength(count);
    }
    const verdicts = Map.groupBy(plan.planned, ({ verdict }) => verdict);
    for (const verdict of [
      Verdict.DUPLICATE,
      Verdict.CONFLICT,
      Verdict.SUPERSEDED,
      Verdict.REJECTED,
      Verdict.QUARANTINED,
    ]) {
      expect(verdicts.get(verdict)?.length).toBeGreaterThan(0);
    }
  });

  it("plants a repeat, a conflict, a correction and a void after what they refer to", () => {
    for (const [index, planned] of plan.planned.entries()) {
      if (!["EXACT_DUPLICATE", "CONFLICT", "CORRECTION", "VOID", "LATE_REVISION"].includes(planned.fault ?? ""))
        continue;
      const original = plan.planned.findIndex(
        (other) => other.fault === undefined && identity(other) === identity(planned),
      );
      expect(original).toBeGreaterThanOrEqual(0);
      expect(original).toBeLessThan(index);
    }
  });

  it("plants as many as asked, and no more than there are records to make them of", () => {
    const faults = { CONFLICT: 7, BAD_E164: 100_000 };
    const many = durationsFor(carrier, cdrs, { seed: "test", nowMs: NOW_MS, faults });
    expect(many.faultCounts.get("CONFLICT")).toBe(7);
    const honestCount = many.planned.filter(({ fault }) => fault === undefined).length;
    expect(many.faultCounts.get("BAD_E164")).toBe(honestCount - 7);
  });
});

function never(): never {
  throw new Error("an honest record has its times");
}

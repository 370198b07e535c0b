import { toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { CallDetailRecordSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { CallDurationSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import type { SimulatedCarrier } from "../world.ts";
import { createWorld } from "../world.ts";
import { createReconciliationWorld, type ReconciliationWorld } from "./world.ts";

const HOUR_MS = 3_600_000;

describe("createReconciliationWorld", () => {
  it("makes the same world of the same seed", () => {
    const [one, two] = [worldOf(0.5), worldOf(0.5)];
    expect(bytesOf(one)).toEqual(bytesOf(two));
    expect(one.truths).toEqual(two.truths);
  });

  it("has the same calls whatever share of them has correlation ids", () => {
    const [none, all] = [worldOf(0), worldOf(1)];
    const times = ({ cdrs }: ReconciliationWorld) => cdrs.map(({ record }) => record.times?.inviteTime?.seconds);
    expect(times(none)).toEqual(times(all));
    const hasIds = ({ correlation }: ReconciliationWorld["durations"][number]["record"]) => correlation !== undefined;
    expect(none.durations.some(({ record }) => hasIds(record))).toBe(false);
    expect(all.durations.every(({ record }) => record.kind === 2 || hasIds(record))).toBe(true);
  });

  it("names every record in one truth, and no other", () => {
    const { cdrs, durations, truths } = worldOf(0.5);
    const named = truths.flatMap(({ platformRecordId, carrierRecordIds }) => [
      ...(platformRecordId === undefined ? [] : [`platform ${platformRecordId}`]),
      ...carrierRecordIds.map((id) => `carrier ${id}`),
    ]);
    const sent = [
      ...cdrs.map(({ record }) => `platform ${record.recordId}`),
      ...durations.map(({ record }) => `carrier ${record.recordId}`),
    ];
    expect(new Set(named).size).toBe(named.length);
    expect(new Set(named)).toEqual(new Set(sent));
  });

  it("plants every status and cause, at least 5 % of the calls ambiguous however many have ids", () => {
    for (const share of [0, 0.5, 1]) {
      const { truths } = worldOf(share);
      expect(new Set(truths.map(({ status }) => status)).size).toBe(13);
      expect(new Set(truths.flatMap(({ causes }) => causes)).size).toBe(8);
      const ambiguous = truths.filter(({ isAmbiguous }) => isAmbiguous).length;
      expect(ambiguous / truths.length).toBeGreaterThan(0.05);
    }
  });

  it("lets no hour of a trunk's clock hold both shifted and honest records, and each shifted hour dozens", () => {
    const { durations, windows } = worldOf(0);
    const trunks = new Set(windows.filter(({ offsetMs }) => offsetMs !== 0).map(({ trunkId }) => trunkId));
    const counts = new Map<string, number>();
    for (const { record } of durations) {
      const { trunkId = "", inviteTime, answerTime } = record;
      const seconds = Number((inviteTime ?? answerTime)?.seconds ?? 0n);
      if (!trunks.has(trunkId)) continue;
      const hour = `${trunkId} ${Math.floor((seconds * 1_000) / HOUR_MS)}`;
      counts.set(hour, (counts.get(hour) ?? 0) + 1);
    }
    expect(Math.min(...counts.values())).toBeGreaterThan(20);
  });

  it("lets everything arrive before now and after it happened", () => {
    const { cdrs, durations, nowMs } = worldOf(0);
    const arrivals = [...cdrs, ...durations].map(({ arrivalMs }) => arrivalMs);
    expect(Math.max(...arrivals)).toBeLessThanOrEqual(nowMs);
  });
});

function worldOf(correlatedShare: number): ReconciliationWorld {
  const carrier = createWorld({ seed: "test", numbersPerCarrier: 900 }).carriers[1] as SimulatedCarrier;
  return createReconciliationWorld({
    seed: "test",
    carrier,
    callCount: 3_000,
    correlatedShare,
    startDay: "2026-01-12",
  });
}

function bytesOf({ cdrs, durations }: ReconciliationWorld): Buffer {
  return Buffer.concat([
    ...cdrs.map(({ record }) => toBinary(CallDetailRecordSchema, record)),
    ...durations.map(({ record }) => toBinary(CallDurationSchema, record)),
  ]);
}

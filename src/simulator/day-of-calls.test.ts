import { toBinary } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { isPossiblePhoneNumber } from "libphonenumber-js";
import { describe, expect, it } from "vitest";
import {
  type CallDetailRecord,
  CallDetailRecordSchema,
  Completeness,
} from "../gen/tandem/type/v1/call_detail_record_pb.js";
import { CallType, Direction, RecordKind } from "../gen/tandem/type/v1/call_pb.js";
import { PartyKind } from "../gen/tandem/type/v1/party_pb.js";
import { finalRecords, simulateDay } from "./day-of-calls.ts";
import { createWorld, type SimulatedCarrier } from "./world.ts";

const DAY = "2026-03-02";
const CALLS = 3_000;
const world = createWorld({ seed: "test" });
const [carrier] = world.carriers as [SimulatedCarrier];
const records = simulateDay(carrier, { seed: "test", day: DAY, callCount: CALLS });
const calls = finalRecords(records);

describe("createWorld", () => {
  it("has three carriers of different countries, whose numbers are possible and nobody's", () => {
    expect(world.carriers.map(({ legalCountry }) => legalCountry)).toEqual(["GB", "DK", "US"]);
    const numbers = world.carriers.flatMap((each) => each.numbers.map(({ phoneNumber }) => phoneNumber));
    expect(new Set(numbers).size).toBe(300);
    for (const number of numbers) {
      expect(isPossiblePhoneNumber(number), number).toBe(true);
      expect(number).toMatch(/^\+(441632960\d{3}|451000\d{4}|1\d{3}55501\d{2})$/);
    }
  });

  it("leaves some numbers unassigned", () => {
    for (const { numbers } of world.carriers) {
      const assigned = numbers.filter(({ assignment }) => assignment !== undefined).length;
      expect(assigned).toBeGreaterThan(70);
      expect(assigned).toBeLessThan(100);
    }
  });
});

describe("simulateDay", () => {
  it("is the same for the same seed, byte by byte, and another for another", () => {
    const bytes = (seed: string) =>
      simulateDay(carrier, { seed, day: DAY, callCount: 200 }).map((record) =>
        Buffer.from(toBinary(CallDetailRecordSchema, record)).toString("hex"),
      );
    expect(bytes("a")).toEqual(bytes("a"));
    expect(bytes("a")).not.toEqual(bytes("b"));
  });

  it("makes as many records as asked, each under an id of its own", () => {
    expect(new Set(records.map(({ recordId }) => recordId)).size).toBe(CALLS);
  });

  it("keeps every call within its day", () => {
    for (const call of calls) {
      expect(call.recordDate).toBe(DAY);
      for (const time of [call.times?.inviteTime, call.times?.endTime].filter((time) => time !== undefined)) {
        expect(new Date(timestampMs(time)).toISOString().slice(0, 10)).toBe(DAY);
      }
    }
  });

  it("puts times in order, and lengths between them", () => {
    for (const { times, lengths } of calls) {
      const [invite, ringing, answer, end] = [
        times?.inviteTime,
        times?.ringingTime,
        times?.answerTime,
        times?.endTime,
      ].map((time) => (time === undefined ? undefined : timestampMs(time)));
      const known = [invite, ringing, answer, end].filter((ms) => ms !== undefined);
      expect(known).toEqual([...known].sort((a, b) => a - b));
      expect(Number(lengths?.totalDurationMs)).toBe((end ?? 0) - (invite ?? 0));
      if (answer !== undefined) expect(Number(lengths?.connectedDurationMs)).toBe((end ?? 0) - answer);
      else expect(lengths?.connectedDurationMs).toBeUndefined();
    }
  });

  it("has what calls have: busy hours, answers and failures, repeats, restricted callers, forwards, short and emergency codes", () => {
    const share = (matches: (call: CallDetailRecord) => boolean) => calls.filter(matches).length / calls.length;
    const hourOf = (call: CallDetailRecord) => new Date(timestampMs(call.times?.inviteTime ?? never())).getUTCHours();
    expect(share((call) => hourOf(call) >= 8 && hourOf(call) < 18)).toBeGreaterThan(0.7);
    expect(share((call) => hourOf(call) < 5)).toBeLessThan(0.05);
    expect(share(({ times }) => times?.answerTime !== undefined)).toBeGreaterThan(0.5);
    expect(share(({ outcome }) => outcome?.finalSipCode === 486)).toBeGreaterThan(0.03);
    expect(share(({ direction }) => direction === Direction.INBOUND)).toBeGreaterThan(0.2);
    expect(share(({ callType }) => callType === CallType.FORWARDED)).toBeGreaterThan(0.01);
    for (const kind of [PartyKind.SHORT_CODE, PartyKind.EMERGENCY]) {
      expect(share(({ parties }) => parties?.called?.kind === kind)).toBeGreaterThan(0);
    }
    expect(share(({ parties }) => parties?.calling?.kind === PartyKind.RESTRICTED)).toBeGreaterThan(0.02);
    expect(
      share(({ streamQualities }) => streamQualities.some(({ jitterAvgMs }) => (jitterAvgMs ?? 0) > 30)),
    ).toBeGreaterThan(0.005);
  });

  it("repeats calls of a pair within a minute often enough to make matching hard", () => {
    const last = new Map<string, number>();
    const byTime = [...calls].sort(
      (a, b) => timestampMs(a.times?.inviteTime ?? never()) - timestampMs(b.times?.inviteTime ?? never()),
    );
    const repeats = byTime.filter(({ parties, times }) => {
      const pair = `${parties?.calling?.value}>${parties?.called?.value}`;
      const ms = timestampMs(times?.inviteTime ?? never());
      const isRepeat = ms - (last.get(pair) ?? 0) <= 60_000;
      last.set(pair, ms);
      return isRepeat;
    });
    expect(repeats.length / calls.length).toBeGreaterThan(0.05);
  });

  it("writes partial records before complete ones, and corrections and voids under higher revisions", () => {
    const revisions = new Map<string, CallDetailRecord[]>();
    for (const record of records) revisions.set(record.recordId, [...(revisions.get(record.recordId) ?? []), record]);
    const several = [...revisions.values()].filter((versions) => versions.length > 1);
    expect(several.length).toBeGreaterThan(20);
    for (const versions of several)
      expect(versions.map(({ revision }) => revision)).toEqual(versions.map((_, index) => index + 1));
    expect(records.some(({ completeness }) => completeness === Completeness.PARTIAL)).toBe(true);
    expect(records.some(({ kind }) => kind === RecordKind.VOID)).toBe(true);
    expect(
      calls.every(({ kind, completeness }) => kind === RecordKind.REPORT && completeness === Completeness.COMPLETE),
    ).toBe(true);
  });
});

function never(): never {
  throw new Error("every call has an invite time");
}

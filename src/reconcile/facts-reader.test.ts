import { create, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { arbitraryMessage } from "../../test/support/arbitrary-message.ts";
import { CallDetailRecordSchema } from "../gen/tandem/type/v1/call_detail_record_pb.js";
import { CallDurationSchema } from "../gen/tandem/type/v1/call_duration_pb.js";
import type { StoredTip } from "../store/reconciliation/reconcile-input.ts";
import { decodedCarrierFacts, decodedPlatformFacts } from "./facts-codec.ts";
import { readCarrierFacts, readPlatformFacts } from "./facts-reader.ts";

const RUNS = { numRuns: 300 };

test("a CDR is read as fromBinary does, or left to it", () => {
  fc.assert(
    fc.property(arbitraryMessage(CallDetailRecordSchema, { unknownFields: true }), (message) => {
      expectSameOrNothing(toBinary(CallDetailRecordSchema, message));
    }),
    RUNS,
  );
});

test("a duration is read as fromBinary does, or left to it", () => {
  fc.assert(
    fc.property(arbitraryMessage(CallDurationSchema, { unknownFields: true }), (message) => {
      expectSameOrNothing(toBinary(CallDurationSchema, message));
    }),
    RUNS,
  );
});

test("stated and derived lengths are one", () => {
  const call = (lengths: object) => toBinary(CallDetailRecordSchema, create(CallDetailRecordSchema, { lengths }));
  const payload = Buffer.concat([
    call({ connectedDurationMs: 5n, setupDurationMs: 1n }),
    call({ totalDurationMs: 9n, connectedDurationMs: 6n }),
  ]);
  expect(readPlatformFacts(tipOf(payload))).toMatchObject({ connectedMs: 6, totalMs: 9, ringMs: undefined });
  expectSameOrNothing(payload);
});

test("whatever is repeated, cut or damaged is read as fromBinary does, or left to it", () => {
  const any = fc.oneof(
    arbitraryMessage(CallDurationSchema, { unknownFields: true }).map((each) => toBinary(CallDurationSchema, each)),
    arbitraryMessage(CallDetailRecordSchema, {}).map((each) => toBinary(CallDetailRecordSchema, each)),
  );
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 2 });
  fc.assert(
    fc.property(any, any, damage, (one, other, changes) => {
      const bytes = Buffer.concat([one, other]);
      for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte;
      expectSameOrNothing(bytes);
    }),
    RUNS,
  );
});

test("a record of ordinary form is not left to fromBinary", () => {
  const parties = { calling: { kind: 1, value: "+4532000001" }, called: { kind: 1, value: "+4633000002" } };
  const time = (seconds: number) => ({ seconds: BigInt(seconds), nanos: 1_500_000 });
  const times = { inviteTime: time(1), answerTime: time(2), endTime: time(3) };
  const correlation = { interconnectDialog: { callId: "d1", fromTag: "a" }, icid: "i1" };
  const cdr = create(CallDetailRecordSchema, { recordId: "p1", parties, times, correlation, route: { trunkId: "t1" } });
  const duration = create(CallDurationSchema, { ...parties, ...times, correlation, trunkId: "t1", answered: true });
  expect(readPlatformFacts(tipOf(toBinary(CallDetailRecordSchema, cdr)))).toMatchObject({ inviteMs: 1_001 });
  expect(readCarrierFacts(tipOf(toBinary(CallDurationSchema, duration)))).toMatchObject({ connectedMs: 1_000 });
});

function expectSameOrNothing(bytes: Uint8Array): void {
  const tip = tipOf(bytes);
  expectSame(readPlatformFacts(tip), () => decodedPlatformFacts(tip));
  expectSame(readCarrierFacts(tip), () => decodedCarrierFacts(tip));
}

function expectSame<T extends object>(found: T | undefined, decode: () => T): void {
  if (found === undefined) return;
  let decoded: T;
  try {
    decoded = decode();
  } catch {
    // What is passed over is not looked into.
    return;
  }
  expect(found).toEqual(plain(decoded));
}

// Parties are plain objects there.
function plain<T extends object>(facts: T): T {
  const entries = Object.entries(facts).map(([name, value]) => {
    if (value === null || typeof value !== "object" || !("$typeName" in value)) return [name, value];
    const { $typeName: _, ...rest } = value;
    return [name, rest];
  });
  return Object.fromEntries(entries) as T;
}

function tipOf(bytes: Uint8Array): StoredTip {
  return {
    recordId: "r1",
    recordDate: "2026-06-01",
    revision: 1,
    ingestMs: 1_000,
    firstIngestMs: 1_000,
    isVoid: false,
    startMs: 5,
    phoneNumber: undefined,
    customerId: undefined,
    payload: Buffer.from(bytes),
  };
}

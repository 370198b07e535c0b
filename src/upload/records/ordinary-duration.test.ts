import { fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { arbitraryMessage } from "../../../test/support/arbitrary-message.ts";
import { fromNow, fullDuration, sampleContext, sampleDuration } from "../../../test/support/record-samples.ts";
import { type CallDuration, CallDurationSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { decodeDuration } from "./duration-decoder.ts";
import { prepareDuration } from "./duration-preparation.ts";
import { prepareOrdinaryDuration } from "./ordinary-duration.ts";
import type { PreparedRecord } from "./prepared.ts";

describe("an ordinary duration that is prepared without being decoded", () => {
  test("comes to the same as one that is decoded, whatever is sent", () => {
    fc.assert(
      fc.property(arbitraryMessage(CallDurationSchema, { unknownFields: true }), (message) => {
        expectSame(toBinary(CallDurationSchema, message));
      }),
      { numRuns: 300 },
    );
  });

  test("comes to the same where nearly every field is in order", () => {
    let ordinary = 0;
    fc.assert(
      fc.property(changes, (changed) => {
        if (expectSame(toBinary(CallDurationSchema, sampleDuration(changed)))) ordinary++;
      }),
      { numRuns: 4_000 },
    );
    expect(ordinary).toBeGreaterThan(400);
  });

  test("comes to the same in bytes that were damaged or cut", () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(fc.constantFrom(...samples()), damage, fc.nat(), (message, changes, cut) => {
        const bytes = toBinary(CallDurationSchema, message);
        expectSame(bytes.subarray(0, cut % (bytes.length + 1)));
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        expectSame(bytes);
      }),
      { numRuns: 6_000 },
    );
  });

  test("is what carriers send every day", () => {
    for (const message of samples()) expect(expectSame(toBinary(CallDurationSchema, message))).toBe(true);
  });

  test("is read out of the middle of a buffer", () => {
    const bytes = toBinary(CallDurationSchema, sampleDuration());
    const framed = Buffer.concat([Buffer.from("before"), bytes, Buffer.from("after")]);
    const prepared = prepareOrdinaryDuration(framed, 6, 6 + bytes.length, sampleContext);
    expectEqual(prepared, prepareDuration(sampleDuration(), sampleContext));
  });

  test("leaves what is not in order to be decoded", () => {
    expect(expectSame(toBinary(CallDurationSchema, fullDuration()))).toBe(false);
    for (const change of [
      { kind: 2 },
      { recordId: "" },
      { answered: undefined },
      { endTime: fromNow(60_000) },
      { connectedDurationMs: 1_000n },
      { recordDate: "2026-03-13" },
      { calling: { kind: 1, value: "+0301234" } },
      { calling: { kind: 1, value: "+493012345678", countryCode: "DE" } },
      { calling: { kind: 5, value: "+493012345678" } },
      { trunkId: "trünk" },
    ])
      expect(expectSame(toBinary(CallDurationSchema, sampleDuration(change)))).toBe(false);
  });
});

function samples(): CallDuration[] {
  const times = { inviteTime: fromNow(-60_000), answerTime: fromNow(-50_000), endTime: fromNow(-20_000.5) };
  return [
    sampleDuration(),
    sampleDuration({ direction: 2, revision: 3, kind: 1, trunkId: "trunk-7" }),
    sampleDuration({ ...times, connectedDurationMs: 30_000n, timeResolutionMs: 1_000, utcOffsetMinutes: 60 }),
    sampleDuration({ ...times, connectedDurationMs: undefined, billedDurationS: 30n, roundingRule: { incrementS: 6 } }),
    sampleDuration({
      calling: { kind: 5 },
      redirecting: { kind: 1, value: "+4930111" },
      asserted: { kind: 1, value: "+5491123456789" },
      dialed: { kind: 1, value: "+390612345678" },
    }),
    sampleDuration({
      correlation: {
        interconnectDialog: { callId: "c@example", fromTag: "f", toTag: "t" },
        correlationId: "x",
        legIndex: 0,
      },
      platformRecordId: "P-1",
      customerReference: "order 7",
      finalSipCode: 200,
      q850Cause: 16,
    }),
    sampleDuration({ answered: false, answerTime: undefined, connectedDurationMs: undefined, finalSipCode: 486 }),
  ];
}

const SENT: Readonly<Record<string, readonly unknown[]>> = {
  recordId: ["D-2", "x".repeat(128), "a b"],
  recordDate: ["2026-03-13", "14.03.2026"],
  revision: [0, 1, 2, 1_000_000],
  kind: [1, 2],
  correlation: [
    { interconnectDialog: { callId: "c@example", fromTag: "f" } },
    { interconnectDialog: { callId: "c\u0001", toTag: "" } },
    { interconnectDialog: { fromTag: "f" } },
    { correlationId: "x", icid: "i", legIndex: 999 },
    { sessionId: "f".repeat(32) },
    { icid: "é" },
    {},
  ],
  platformRecordId: ["P-1", ""],
  direction: [0, 1, 2],
  calling: parties(),
  asserted: parties(),
  called: parties(),
  dialed: parties(),
  redirecting: parties(),
  inviteTime: [fromNow(-3_600_000.25), fromNow(-86_400_000), fromNow(1), undefined],
  answerTime: [fromNow(-3_595_000), undefined],
  endTime: [fromNow(-3_494_500), fromNow(-3_592_000), undefined],
  utcOffsetMinutes: [0, 840, -60],
  timeResolutionMs: [1, 1_000, 60_000],
  connectedDurationMs: [0n, 99_000n, 101_000n, 2_592_000_000n, undefined],
  billedDurationS: [0n, 100n, -1n],
  roundingRule: [{ incrementS: 6, minimumS: 30 }, { incrementS: 1 }, { minimumS: 1 }],
  answered: [false, undefined],
  finalSipCode: [200, 486, 699, 100],
  q850Cause: [16, 127, 128],
  customerReference: ["order 7", "x".repeat(61)],
  trunkId: ["trunk-1", "trunk-22", ""],
  part: [{ partIndex: 1 }],
};

function parties(): readonly unknown[] {
  const numbers = ["+441632960001", "+12025550123", "+5491123456789", "+390612345678", "+266696687", "+4412", "+0123"];
  return [
    ...numbers.map((value) => ({ kind: 1, value })),
    { kind: 5 },
    { kind: 6 },
    { kind: 3, value: "112" },
    undefined,
  ];
}

/** Changes of a few fields of a good duration, most of them in order. */
const changes = fc
  .record(Object.fromEntries(Object.entries(SENT).map(([name, values]) => [name, fc.constantFrom(...values)])), {
    requiredKeys: [],
  })
  .chain((all) => fc.subarray(Object.entries(all), { maxLength: 5 }).map((some) => Object.fromEntries(some)));

// Whether it was ordinary.
function expectSame(bytes: Uint8Array): boolean {
  const buffer = Buffer.from(bytes);
  const prepared = prepareOrdinaryDuration(buffer, 0, buffer.length, sampleContext);
  if (prepared === undefined) return false;
  const message = fromBinary(CallDurationSchema, buffer);
  expectEqual(prepared, prepareDuration(message, sampleContext));
  const decoded = decodeDuration(buffer, 0, buffer.length);
  if (decoded !== undefined) expectEqual(prepared, prepareDuration(decoded, sampleContext));
  return true;
}

function expectEqual(left: PreparedRecord<unknown> | undefined, right: PreparedRecord<unknown>): void {
  expect(told(left as PreparedRecord<unknown>)).toEqual(told(right));
}

function told(prepared: PreparedRecord<unknown>) {
  const { recordId, recordDate, revision, isVoid, contentHash, partyHash, connectedDurationMs } = prepared;
  const { startTime, warnings, candidates, row, payloadBytes, refusal } = prepared;
  const payload = Buffer.from(prepared.payload).toString("hex");
  const identity = { recordId, recordDate, revision, isVoid, contentHash, partyHash, connectedDurationMs };
  return { ...identity, startTime, warnings, candidates, row, payloadBytes, refusal, payload };
}

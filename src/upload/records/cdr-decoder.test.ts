import { fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { arbitraryMessage } from "../../../test/support/arbitrary-message.ts";
import { fullCdr, sampleCdr, sampleContext } from "../../../test/support/record-samples.ts";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { decodeCdr } from "./cdr-decoder.ts";
import { prepareCdr } from "./cdr-preparation.ts";

describe("the decoder of call detail records", () => {
  test("reads any record as fromBinary does, or leaves it to it, and it is prepared alike", () => {
    fc.assert(
      fc.property(arbitraryMessage(CallDetailRecordSchema, { unknownFields: true }), (message) => {
        expectSame(toBinary(CallDetailRecordSchema, message));
      }),
      { numRuns: 300 },
    );
  });

  test("reads nothing else into bytes that were damaged or cut", () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(fc.constantFrom(...samples()), damage, fc.nat(), (message, changes, cut) => {
        const bytes = toBinary(CallDetailRecordSchema, message);
        expectSame(bytes.subarray(0, cut % (bytes.length + 1)));
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        expectSame(bytes);
      }),
      { numRuns: 2_000 },
    );
  });

  test("reads what platforms send every day", () => {
    for (const message of samples()) expect(expectSame(toBinary(CallDetailRecordSchema, message))).toBe(true);
  });

  test("leaves fields that Tandem sets, and more streams than any call has, to fromBinary", () => {
    const many = Array.from({ length: 17 }, () => ({ direction: 1, edge: 1 }));
    const set = [{ carrierId: "carrier-1" }, { sequence: 7n }, { qualityVerdict: 1 }, { qualityReasons: [1] }];
    for (const changes of [...set, { streamQualities: many }, { streamQualities: [{ verdict: 1 }] }])
      expect(expectSame(toBinary(CallDetailRecordSchema, sampleCdr(changes)))).toBe(false);
  });
});

function samples(): CallDetailRecord[] {
  const stream = { direction: 1, edge: 1, packetsSent: 3_000n, packetsReceived: 0n, lossRatioAvg: 0, mosLq: 4.2 };
  const plain = {
    asserted: { kind: 6 },
    calling: { kind: 1, value: "+493012345678" },
    called: { kind: 3, value: "112" },
  };
  return [
    sampleCdr(),
    fullCdr(),
    sampleCdr({ streamQualities: [stream, { ...stream, direction: 2, codec: "opus" }] }),
    sampleCdr({ revision: 2, parties: plain, networkIdentifiers: { userAgent: "SBC/1.0" } }),
    sampleCdr({ completeness: 1, streamQualities: [{}], networkIdentifiers: {} }),
    sampleCdr({
      kind: 1,
      completeness: 2,
      streamQualities: [stream],
      networkIdentifiers: { platformMediaAddress: "x" },
    }),
    sampleCdr({ kind: 2, lengths: { totalDurationMs: 110_000n } }),
  ];
}

// Whether it was read.
function expectSame(bytes: Uint8Array): boolean {
  const buffer = Buffer.concat([Buffer.from("before"), bytes, Buffer.from("after")]);
  const read = decodeCdr(buffer, 6, 6 + bytes.length);
  if (read === undefined) return false;
  // Prepared first: what was decoded last is copied.
  const prepared = prepareCdr(read, sampleContext);
  const message = fromBinary(CallDetailRecordSchema, bytes);
  expect(read).toEqual(message);
  expect(prepared).toEqual(prepareCdr(message, sampleContext));
  return true;
}

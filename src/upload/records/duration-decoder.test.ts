import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { arbitraryMessage } from "../../../test/support/arbitrary-message.ts";
import { fullDuration } from "../../../test/support/record-samples.ts";
import { WireWriter } from "../../domain/wire-writer.ts";
import { type CallDuration, CallDurationSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { decodeDuration, writeDecodedContent } from "./duration-decoder.ts";
import { encodeDurationContent } from "./duration-preparation.ts";

describe("the decoder of durations", () => {
  test("reads any duration as fromBinary does, or leaves it to it", () => {
    fc.assert(
      fc.property(arbitraryMessage(CallDurationSchema, { unknownFields: true }), (message) => {
        expectSameOrNothing(toBinary(CallDurationSchema, message));
      }),
      { numRuns: 300 },
    );
  });

  test("reads nothing else into bytes that were damaged or cut", () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(fc.constantFrom(plainDuration(), fullDuration()), damage, fc.nat(), (message, changes, cut) => {
        const bytes = toBinary(CallDurationSchema, message);
        expectSameOrNothing(bytes.subarray(0, cut % (bytes.length + 1)));
        for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
        expectSameOrNothing(bytes);
      }),
      { numRuns: 3_000 },
    );
  });

  test("reads fields in any order, repeats and long forms as they are meant, or leaves them", () => {
    const first = toBinary(CallDurationSchema, plainDuration());
    const second = toBinary(CallDurationSchema, create(CallDurationSchema, { recordId: "last", calling: { kind: 4 } }));
    expectSameOrNothing(Buffer.concat([first, second]));
    expectSameOrNothing(Buffer.concat([second, first]));
    // revision = 1 as a varint of three, of five and of six bytes; then 2^31 - 1, -1 and 2^31;
    // recordId twice.
    for (const varint of [
      [0x81, 0x80, 0],
      [0x81, 0x80, 0x80, 0x80, 0],
      [0x81, 0x80, 0x80, 0x80, 0x80, 0],
      [0xff, 0xff, 0xff, 0xff, 7],
      [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
      [0x80, 0x80, 0x80, 0x80, 8],
    ]) {
      expectSameOrNothing(Buffer.from([24, ...varint]));
      expectSameOrNothing(Buffer.from([0x90, 1, ...varint]));
    }
    expectSameOrNothing(Buffer.from([10, 1, 97, 10, 1, 98]));
  });

  test("reads a record with every field that a carrier may send by itself, also out of the middle of a buffer", () => {
    const bytes = toBinary(CallDurationSchema, plainDuration());
    const framed = Buffer.concat([Buffer.from("before"), bytes, Buffer.from("after")]);
    expect(decodeDuration(framed, 6, 6 + bytes.length)).toEqual(plainDuration());
  });

  test("copies the content of a record as encoders write it, with the defaults that it leaves out", () => {
    for (const change of [
      {},
      { revision: 1 },
      { revision: undefined },
      { kind: 1 },
      { kind: 0 },
      { answered: false },
    ]) {
      const sent = create(CallDurationSchema, {
        ...plainDuration(),
        revision: undefined,
        kind: 0,
        calling: { $typeName: "tandem.type.v1.Party", kind: 1, value: "+441632960001", presentation: 0 },
        asserted: undefined,
        dialed: undefined,
        redirecting: undefined,
        called: undefined,
        ...change,
      } as CallDuration);
      const bytes = Buffer.from(toBinary(CallDurationSchema, sent));
      const read = decodeDuration(bytes, 0, bytes.length) as CallDuration;
      expect(writeDecodedContent(new WireWriter(), read)).toBe(true);
      expectSameContentOrNothing(read);
    }
  });

  test("copies no other message's content", () => {
    const bytes = Buffer.from(toBinary(CallDurationSchema, plainDuration()));
    const first = decodeDuration(bytes, 0, bytes.length) as CallDuration;
    decodeDuration(bytes, 0, bytes.length);
    expect(writeDecodedContent(new WireWriter(), first)).toBe(false);
    expect(writeDecodedContent(new WireWriter(), plainDuration())).toBe(false);
  });

  test("leaves an end within a text, a number or a part to fromBinary, though bytes follow", () => {
    const bytes = Buffer.from(toBinary(CallDurationSchema, plainDuration()));
    for (let end = 1; end < bytes.length; end++) {
      const read = decodeDuration(bytes, 0, end);
      if (read !== undefined) expect(read).toEqual(fromBinary(CallDurationSchema, bytes.subarray(0, end)));
    }
  });
});

// Without what is output only, and what is the default.
function plainDuration(): CallDuration {
  const { sequence: _s, ingestTime: _i, customerId: _c, ...sent } = fullDuration();
  return create(CallDurationSchema, { ...sent, state: 0, utcOffsetMinutes: 60 } as CallDuration);
}

function expectSameOrNothing(bytes: Uint8Array): void {
  const read = decodeDuration(Buffer.from(bytes), 0, bytes.length);
  if (read === undefined) return;
  expect(read).toEqual(fromBinary(CallDurationSchema, bytes));
  expectSameContentOrNothing(read);
}

function expectSameContentOrNothing(read: CallDuration): void {
  const copied = new WireWriter();
  const encoded = new WireWriter();
  if (!writeDecodedContent(copied, read)) return;
  expect(encodeDurationContent(encoded, read)).toBe(false);
  expect(copied.copyFrom(0).toString("hex")).toBe(encoded.copyFrom(0).toString("hex"));
}

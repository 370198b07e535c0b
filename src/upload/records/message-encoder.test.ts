import { type DescMessage, fromBinary, type MessageShape, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { arbitraryMessage } from "../../../test/support/arbitrary-message.ts";
import { fullCdr, fullDuration } from "../../../test/support/record-samples.ts";
import { WireWriter } from "../../domain/wire-writer.ts";
import { CallDetailRecordSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { CallDurationSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { FeedStartSchema } from "../../gen/tandem/type/v1/feed_pb.js";
import { UploadSchema } from "../../gen/tandem/type/v1/upload_pb.js";
import { compileEncoder } from "./message-encoder.ts";

function encode<T extends DescMessage>(schema: T, message: MessageShape<T>): Uint8Array {
  const writer = new WireWriter();
  compileEncoder(schema)(writer, message);
  return writer.copyFrom(0);
}

describe("a compiled encoder", () => {
  const types: [string, DescMessage][] = [
    ["CallDuration", CallDurationSchema],
    ["CallDetailRecord", CallDetailRecordSchema],
    ["Upload", UploadSchema],
  ];
  test.each(types)("writes any %s as toBinary does, byte for byte", (_, schema) => {
    fc.assert(
      fc.property(arbitraryMessage(schema), (message) => {
        expect(Buffer.compare(encode(schema, message), toBinary(schema, message))).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  test.each(types)("leaves out the unknown fields of any %s, and says that there were some", (_, schema) => {
    fc.assert(
      fc.property(arbitraryMessage(schema, { unknownFields: true }), (message) => {
        const writer = new WireWriter();
        const unknown = compileEncoder(schema)(writer, message);
        const known = toBinary(schema, message, { writeUnknownFields: false });
        expect(Buffer.compare(writer.copyFrom(0), known)).toBe(0);
        expect(unknown).toBe(toBinary(schema, message).length > known.length);
      }),
      { numRuns: 200 },
    );
  });

  test("writes records that have every field", () => {
    expect(fromBinary(CallDurationSchema, encode(CallDurationSchema, fullDuration()))).toEqual(fullDuration());
    expect(fromBinary(CallDetailRecordSchema, encode(CallDetailRecordSchema, fullCdr()))).toEqual(fullCdr());
  });

  test("writes only the fields that it is made for, and defaults for those that are not set", () => {
    const writer = new WireWriter();
    const options = {
      only: ["record_id", "kind", "revision"],
      omit: ["record_id"],
      defaults: { kind: 1, revision: 1 },
    };
    compileEncoder(CallDurationSchema, options)(writer, { ...fullDuration(), kind: 0 });
    expect(fromBinary(CallDurationSchema, writer.copyFrom(0))).toMatchObject({ recordId: "", kind: 1, revision: 2 });
  });

  test("refuses to be made for a message that it could not write whole", () => {
    expect(() => compileEncoder(FeedStartSchema)).toThrow(/oneof/);
  });

  test("writes texts and parts whose lengths take one to four bytes", () => {
    for (const length of [0, 1, 48, 49, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152]) {
      const message = {
        ...fullDuration(),
        recordId: "x".repeat(length),
        correlation: { ...fullDuration().correlation, icid: "é".repeat(length) },
      };
      expect(
        Buffer.compare(encode(CallDurationSchema, message as never), toBinary(CallDurationSchema, message as never)),
      ).toBe(0);
    }
  });
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { arbitraryMessage } from "../../../test/support/arbitrary-message.ts";
import { sampleCdr, sampleDuration } from "../../../test/support/record-samples.ts";
import { CallDetailRecordSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { CallDurationSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { MAX_RECORD_JSON_BYTES, maskedRecordJson } from "./masked-record-json.ts";

test("a refused record is kept as canonical JSON with the last three digits of its numbers masked, codes whole", () => {
  const json = maskedRecordJson(
    CallDurationSchema,
    sampleDuration({
      called: { kind: 3, value: "112" },
      dialed: { kind: 4, value: "00493012345678" },
      asserted: { kind: 2, value: "11833" },
      redirecting: { kind: 2, value: "493012345678" },
      customerReference: "ring +49 (30) 1234-5678",
    }),
  );
  expect(JSON.parse(json)).toEqual({
    recordId: "D-1",
    recordDate: "2026-03-14",
    direction: "DIRECTION_OUTBOUND",
    calling: { kind: "PARTY_KIND_E164", value: "+493012345***" },
    asserted: { kind: "PARTY_KIND_SHORT_CODE", value: "11833" },
    called: { kind: "PARTY_KIND_EMERGENCY", value: "112" },
    dialed: { kind: "PARTY_KIND_NON_E164", value: "00493012345***" },
    redirecting: { kind: "PARTY_KIND_SHORT_CODE", value: "493012345***" },
    inviteTime: "2026-03-14T11:00:00Z",
    answerTime: "2026-03-14T11:00:10Z",
    endTime: "2026-03-14T11:01:50Z",
    connectedDurationMs: "100000",
    answered: true,
    customerReference: "ring +49 (30) 1234-5***",
  });
});

test("a refused record is kept without its network identifiers", () => {
  const networkIdentifiers = { platformMediaAddress: "192.0.2.1", userAgent: "SBC/1.0" };
  const json = maskedRecordJson(
    CallDetailRecordSchema,
    sampleCdr({ networkIdentifiers, route: { trunkId: "trunk-1" } }),
  );
  expect(json).toContain("trunk-1");
  expect(json).not.toContain("192.0.2.1");
  expect(json).not.toContain("SBC/1.0");
});

test("any record that could come over the wire is kept in at most 1,024 bytes of text that a table can hold", () => {
  fc.assert(
    fc.property(fc.oneof(arbitraryMessage(CallDurationSchema), arbitraryMessage(CallDetailRecordSchema)), (message) => {
      const schema = message.$typeName === CallDurationSchema.typeName ? CallDurationSchema : CallDetailRecordSchema;
      const json = maskedRecordJson(schema, message as never);
      expect(Buffer.byteLength(json)).toBeLessThanOrEqual(MAX_RECORD_JSON_BYTES);
      expect(json.isWellFormed() && !json.includes("\0") && !json.includes("\ufffd\ufffd\ufffd")).toBe(true);
    }),
    { numRuns: 500 },
  );
});

test("a character at the cut is left out whole", () => {
  const json = maskedRecordJson(
    CallDurationSchema,
    sampleDuration({ trunkId: "é".repeat(400), platformRecordId: "€".repeat(200) }),
  );
  expect(Buffer.byteLength(json)).toBeGreaterThan(MAX_RECORD_JSON_BYTES - 4);
  expect(json.endsWith("\ufffd")).toBe(false);
});

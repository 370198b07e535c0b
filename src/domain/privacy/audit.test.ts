import { create, toJson } from "@bufbuild/protobuf";
import fc from "fast-check";
import { expect, test } from "vitest";
import { AuditEventSchema, AuditOutcome } from "../../gen/tandem/platform/v1/audit_event_pb.js";
import { enumValues } from "../enum-values.ts";
import { timestampFromMicros } from "../time/instant.ts";
import { type AuditEvent, canonicalJson, chainAct, hashEvent, NO_HASH, protoJsonOf } from "./audit.ts";

const text = (minLength: number) => fc.string({ minLength, maxLength: 20, unit: "binary" });
const event = fc.record({
  carrierId: fc.option(text(1), { nil: undefined }),
  sequence: fc.bigInt({ min: 1n, max: 2n ** 63n - 1n }),
  eventTime: fc.oneof(
    fc.bigInt({ min: 0n, max: 4_000_000_000_000_000n }),
    fc.bigInt({ min: 0n, max: 4_000_000_000_000n }).map((ms) => ms * 1000n),
    fc.bigInt({ min: 0n, max: 4_000_000_000n }).map((s) => s * 1_000_000n),
  ),
  actor: text(0),
  method: text(0),
  resource: text(0),
  outcome: fc.constantFrom(...enumValues(AuditOutcome)),
  errorReason: fc.option(text(0), { nil: undefined }),
  requestId: fc.option(text(0), { nil: undefined }),
  changedFields: fc.array(text(0), { maxLength: 5 }),
  detailsJson: text(0),
  previousHash: fc.uint8Array({ minLength: 32, maxLength: 32 }),
});

test("hashes the very ProtoJSON that a client computes from the message", () => {
  fc.assert(
    fc.property(event, (chained) => {
      const { carrierId, errorReason, requestId, eventTime, changedFields, ...rest } = chained;
      const message = create(AuditEventSchema, {
        ...rest,
        changedFields: [...changedFields],
        eventTime: timestampFromMicros(eventTime),
        ...(carrierId === undefined ? {} : { carrierId }),
        ...(errorReason === undefined ? {} : { errorReason }),
        ...(requestId === undefined ? {} : { requestId }),
      });
      expect(canonicalJson(protoJsonOf(chained))).toBe(canonicalJson(toJson(AuditEventSchema, message)));
    }),
  );
});

test("gives another hash for any change to any part of an event", () => {
  fc.assert(
    fc.property(event, event, (one, other) => {
      for (const key of Object.keys(one) as (keyof AuditEvent)[]) {
        const changed = { ...one, [key]: other[key as keyof typeof other] };
        const isSame = canonicalJson(protoJsonOf(changed)) === canonicalJson(protoJsonOf(one));
        expect(Buffer.compare(hashEvent(changed), hashEvent(one)) === 0).toBe(isSame);
      }
    }),
  );
});

// RFC 8785, 3.2.2 and 3.2.3.
test("writes JSON as RFC 8785 spells it", () => {
  const input = {
    numbers: [Number("333333333.33333329"), 1e30, 4.5, 2e-3, 0.000000000000000000000000001],
    string: "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"/",
    literals: [null, true, false],
  };
  expect(canonicalJson(input)).toBe(
    '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}',
  );
  expect(canonicalJson({ "\u20ac": 1, "\r": 2, "\ufb33": 3, 1: 4, "\ud83d\ude00": 5, "\u0080": 6, "\u00f6": 7 })).toBe(
    '{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\ud83d\ude00":5,"\ufb33":3}',
  );
  expect(() => canonicalJson("\ud800")).toThrow();
  expect(() => canonicalJson(1n)).toThrow();
});

const act = { carrierId: "c", actor: "a", method: "m", resource: "r", outcome: AuditOutcome.DONE } as const;
const place = { sequence: 1n, eventTime: 0n, previousHash: NO_HASH };

test("bounds what an event holds", () => {
  const long = chainAct(
    { ...act, resource: "😀".repeat(300), changedFields: Array.from({ length: 101 }, (_, i) => `f${i}`) },
    place,
  );
  expect([...long.resource]).toHaveLength(256);
  expect(long.changedFields).toHaveLength(100);
  expect(chainAct(act, place).detailsJson).toBe("{}");
  expect(() => chainAct({ ...act, details: { text: "x".repeat(4_096) } }, place)).toThrow("over 4096");
});

test("masks numbers in every text of an event's details that is not known to be ours", () => {
  const words = "ticket of 33 12 34 56";
  const details = {
    source: words,
    case_reference: words,
    not_thought_of: [words, { deep: words }],
    retention_days: 400,
    customer_id: "cedar-20260314",
    to_carrier_id: "nordlys-4533123",
    credentials_added: ["jwt:https%3A%2F%2Fid.example:10769150350006150715"],
    effective_time: "0001-01-01T00:00:00.000000Z",
    start_date: "2026-03-14",
  };
  const masked = "ticket of 33 12 3* **";
  expect(JSON.parse(chainAct({ ...act, details }, place).detailsJson)).toEqual({
    ...details,
    source: masked,
    case_reference: masked,
    not_thought_of: [masked, { deep: masked }],
  });
  const said = { credentials_added: ["jwt:issuer:+4533123456"], customer_id: "+4533123456" };
  expect(chainAct({ ...act, details: said }, place).detailsJson).not.toContain("123456");
});

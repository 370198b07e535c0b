import { clone, equals, fromBinary, mergeFromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { arbitraryMessage, unknownField } from "../../../test/support/arbitrary-message.ts";
import { changeEachField } from "../../../test/support/change-fields.ts";
import { fromNow, fullDuration, sampleContext, sampleDuration } from "../../../test/support/record-samples.ts";
import { type CallDuration, CallDurationSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { RecordIssue } from "../../gen/tandem/type/v1/upload_pb.js";
import { prepareDuration } from "./duration-preparation.ts";

const OUTPUT_ONLY = /^(sequence|ingest_time|state|customer_id)/;
const prepare = (message: CallDuration) => prepareDuration(message, sampleContext);
const read = (payload: Uint8Array) => fromBinary(CallDurationSchema, payload);
type Changes = Parameters<typeof sampleDuration>[0];

describe("a duration that is prepared", () => {
  test("gives the columns, the candidates and the payload of a good record", () => {
    const prepared = prepare(sampleDuration());
    expect(prepared).toMatchObject({
      recordId: "D-1",
      recordDate: "2026-03-14",
      revision: 1,
      isVoid: false,
      connectedDurationMs: 100_000n,
      warnings: [],
      candidates: [{ basis: 3, number: "+493012345678" }],
      startTime: sampleContext.now - 3_600_000_000n,
      row: { entryKind: 1, startTime: sampleContext.now - 3_600_000_000n, direction: 1, connectedDurationMs: 100_000n },
    });
    expect(prepared.refusal).toBeUndefined();
    expect(read(prepared.payload)).toMatchObject({
      revision: 1,
      kind: 1,
      calling: { countryCode: "DE" },
      called: { countryCode: "US" },
    });
  });

  test("keeps every field that was sent, and only those", () => {
    expect(read(prepare(fullDuration()).payload)).toEqual(fullDuration());
  });

  test("clears what is output only, and leaves the message itself as it was sent", () => {
    const sent = sampleDuration({ sequence: 7n, ingestTime: fromNow(0), state: 2, customerId: "someone" });
    const before = clone(CallDurationSchema, sent);
    const prepared = prepare(sent);
    expect(prepared.contentHash).toBe(prepare(sampleDuration()).contentHash);
    expect(read(prepared.payload)).toMatchObject({ state: 0 });
    expect(read(prepared.payload).customerId).toBeUndefined();
    expect(sent).toEqual(before);
  });

  test("drops unknown fields at any depth with a warning that says where", () => {
    const sent = sampleDuration({ correlation: { interconnectDialog: { callId: "c" } } });
    const clean = prepare(sent);
    if (sent.correlation?.interconnectDialog) sent.correlation.interconnectDialog.$unknown = [unknownField];
    const prepared = prepare(sent);
    expect(prepared.warnings).toMatchObject([
      { issue: RecordIssue.UNKNOWN_FIELDS, fieldPath: "correlation.interconnect_dialog" },
    ]);
    expect(prepared.contentHash).toBe(clean.contentHash);
    expect(Buffer.compare(prepared.payload, clean.payload)).toBe(0);
  });

  test("attributes outbound calls by redirecting, asserted, calling and inbound ones by called, by what their spelling means", () => {
    const parties = {
      redirecting: { kind: 1, value: "+4930111" },
      asserted: { kind: 1, value: "+4930222" },
      calling: { kind: 5 },
    };
    const numbers = (changes: Changes) => prepare(sampleDuration(changes)).candidates;
    expect(numbers(parties)).toEqual([
      { basis: 1, number: "+4930111" },
      { basis: 2, number: "+4930222" },
    ]);
    expect(numbers({ ...parties, direction: 2 })).toEqual([{ basis: 4, number: "+12025550123" }]);
  });
});

describe("a duration's hashes", () => {
  test("content: differs when any field that can be sent differs, at any depth, and is the same for what is output only", () => {
    const hash = prepare(fullDuration()).contentHash;
    for (const { path, changed } of changeEachField(CallDurationSchema, fullDuration())) {
      expect([path, prepare(changed).contentHash === hash]).toEqual([path, OUTPUT_ONLY.test(path)]);
    }
  });

  test("content: is the same for unset and stated defaults, and for a country that is sent or derived", () => {
    const hash = prepare(sampleDuration()).contentHash;
    expect(prepare(sampleDuration({ revision: 1, kind: 1 })).contentHash).toBe(hash);
    expect(
      prepare(sampleDuration({ calling: { kind: 1, value: "+493012345678", countryCode: "DE" } })).contentHash,
    ).toBe(hash);
    expect(
      prepare(sampleDuration({ calling: { kind: 1, value: "+493012345678", countryCode: "AT" } })).contentHash,
    ).not.toBe(hash);
  });

  test("content: is keyed by the secret, and is a signed 64-bit number", () => {
    const { contentHash } = prepare(sampleDuration());
    const other = prepareDuration(sampleDuration(), { ...sampleContext, hashSecret: Buffer.alloc(32, 8) });
    expect(other.contentHash).not.toBe(contentHash);
    expect(BigInt.asIntN(64, contentHash)).toBe(contentHash);
  });

  test("content: stays when the record is read in another order of fields or comes with unknown fields", () => {
    fc.assert(
      fc.property(arbitraryMessage(CallDurationSchema), fc.boolean(), (message, withUnknown) => {
        const again = reorder(message);
        if (withUnknown) again.$unknown = [unknownField];
        // As it comes over the wire, where no text has half a character.
        const sent = read(toBinary(CallDurationSchema, message));
        expect(prepare(again).contentHash).toBe(prepare(sent).contentHash);
      }),
      { numRuns: 300 },
    );
  });

  test("content: is the same, and so is the payload, when a record is prepared again from its payload", () => {
    for (const message of [sampleDuration(), fullDuration(), sampleDuration({ kind: 2 })]) {
      const first = prepare(message);
      const second = prepare(read(first.payload));
      expect(second.contentHash).toBe(first.contentHash);
      expect(second.partyHash).toBe(first.partyHash);
      expect(Buffer.compare(second.payload, first.payload)).toBe(0);
    }
  });

  test("parties: stays when a record is sent under another day, id and time, and differs with a party, the direction or the duration", () => {
    const hash = (changes: Changes) => prepare(sampleDuration(changes)).partyHash;
    expect(hash({ recordId: "D-2", recordDate: "2026-03-13", revision: 2, trunkId: "t", endTime: fromNow(0) })).toBe(
      hash({}),
    );
    const others: Changes[] = [
      { direction: 2 },
      { connectedDurationMs: 100_001n },
      { calling: { kind: 1, value: "+493012345679" } },
      { called: { kind: 4, value: "+12025550123" } },
      { dialed: { kind: 4, value: "0" } },
    ];
    expect(new Set([{}, ...others].map((changes) => hash(changes))).size).toBe(6);
  });
});

describe("any duration that could come over the wire", () => {
  test("never throws, and is either refused with a reason that can be stored or kept whole", () => {
    fc.assert(
      fc.property(arbitraryMessage(CallDurationSchema, { unknownFields: true }), (message) => {
        const prepared = prepare(message);
        expect(prepared.connectedDurationMs).toBe(message.connectedDurationMs ?? 0n);
        expect(prepared.recordId.includes("\0") || !prepared.recordId.isWellFormed()).toBe(false);
        expect([...prepared.recordId].length).toBeLessThanOrEqual(128);
        for (const { message: said } of [...prepared.warnings, prepared.refusal ?? { message: "x" }]) {
          expect(said.length > 0 && said.length <= 512 && said.isWellFormed() && !said.includes("\0")).toBe(true);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test("a good one with hostile parts decodes from its payload to what was sent", () => {
    const valid = fc.record({
      trunkId: fc
        .string({ unit: "grapheme", maxLength: 40 })
        .filter((text) => !text.includes("\0") && text.length <= 128),
      connectedDurationMs: fc.bigInt({ min: 0n, max: 2_592_000_000n }),
      utcOffsetMinutes: fc.integer({ min: -840, max: 840 }),
      leg: fc.integer({ min: 0, max: 999 }),
      revision: fc.integer({ min: 2, max: 1_000_000 }),
    });
    fc.assert(
      fc.property(valid, ({ leg, ...changes }) => {
        const sent = sampleDuration({ ...changes, correlation: { legIndex: leg } });
        const prepared = prepare(sent);
        expect(prepared.refusal).toBeUndefined();
        const expected = sampleDuration({
          ...changes,
          kind: 1,
          correlation: { legIndex: leg },
          calling: { kind: 1, value: "+493012345678", countryCode: "DE" },
          called: { kind: 1, value: "+12025550123", countryCode: "US" },
        });
        expect(equals(CallDurationSchema, read(prepared.payload), expected)).toBe(true);
      }),
    );
  });
});

describe("a duration is refused", () => {
  const long = (length: number) => "x".repeat(length);
  const refused: [string, Changes, number, string | undefined][] = [
    ["without record_id", { recordId: "" }, RecordIssue.FIELD_REQUIRED, "record_id"],
    ["with a record_id over 128 characters", { recordId: long(129) }, RecordIssue.FIELD_OUT_OF_RANGE, "record_id"],
    ["with a space in record_id", { recordId: "a b" }, RecordIssue.FIELD_MALFORMED, "record_id"],
    ["with NUL in record_id", { recordId: "a\0" }, RecordIssue.INVALID_TEXT, "record_id"],
    ["without record_date", { recordDate: "" }, RecordIssue.FIELD_REQUIRED, "record_date"],
    ["with a day that is none", { recordDate: "2026-02-30" }, RecordIssue.FIELD_MALFORMED, "record_date"],
    ["with the wrong day at revision 1", { recordDate: "2026-03-13" }, RecordIssue.RECORD_DATE_MISMATCH, "record_date"],
    ["with a day beyond tomorrow", { recordDate: "2026-03-16", revision: 2 }, RecordIssue.IN_FUTURE, "record_date"],
    ["with a day beyond the horizon", { recordDate: "2025-02-06", revision: 2 }, RecordIssue.TOO_OLD, "record_date"],
    ["with revision 0", { revision: 0 }, RecordIssue.FIELD_OUT_OF_RANGE, "revision"],
    ["with revision 1,000,001", { revision: 1_000_001 }, RecordIssue.FIELD_OUT_OF_RANGE, "revision"],
    ["with an unknown kind", { kind: 3 as never }, RecordIssue.UNKNOWN_ENUM_VALUE, "kind"],
    ["without direction", { direction: 0 }, RecordIssue.FIELD_REQUIRED, "direction"],
    ["with an unknown direction", { direction: 3 as never }, RecordIssue.UNKNOWN_ENUM_VALUE, "direction"],
    ["without calling", { calling: undefined as never }, RecordIssue.FIELD_REQUIRED, "calling"],
    ["without called", { called: undefined as never }, RecordIssue.FIELD_REQUIRED, "called"],
    ["with a party of no kind", { asserted: {} }, RecordIssue.FIELD_REQUIRED, "asserted.kind"],
    [
      "without any start",
      { inviteTime: undefined as never, answerTime: undefined as never },
      RecordIssue.FIELD_REQUIRED,
      "invite_time",
    ],
    [
      "with a time that is none",
      { endTime: { seconds: 253_402_300_800n } },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "end_time",
    ],
    ["with negative nanos", { endTime: { seconds: 0n, nanos: -1 } }, RecordIssue.FIELD_OUT_OF_RANGE, "end_time"],
    ["answered before the invite", { answerTime: fromNow(-3_600_001) }, RecordIssue.FIELDS_INCONSISTENT, "answer_time"],
    [
      "ended before the invite",
      { answerTime: undefined as never, endTime: fromNow(-3_600_001) },
      RecordIssue.FIELDS_INCONSISTENT,
      "end_time",
    ],
    ["ended before the answer", { endTime: fromNow(-3_590_001) }, RecordIssue.FIELDS_INCONSISTENT, "end_time"],
    ["ended over 15 h ahead", { endTime: fromNow(15 * 3_600_000 + 1) }, RecordIssue.IN_FUTURE, "end_time"],
    ["with a negative duration", { connectedDurationMs: -1n }, RecordIssue.FIELD_OUT_OF_RANGE, "connected_duration_ms"],
    [
      "with over 30 days",
      { connectedDurationMs: 2_592_000_001n },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "connected_duration_ms",
    ],
    ["with over 30 days billed", { billedDurationS: 2_592_001n }, RecordIssue.FIELD_OUT_OF_RANGE, "billed_duration_s"],
    ["without answered", { answered: undefined as never }, RecordIssue.FIELD_REQUIRED, "answered"],
    [
      "answered without answer time or duration",
      { answerTime: undefined as never, connectedDurationMs: undefined as never },
      RecordIssue.FIELDS_INCONSISTENT,
      "answered",
    ],
    [
      "unanswered with an answer time",
      { answered: false, connectedDurationMs: 0n },
      RecordIssue.FIELDS_INCONSISTENT,
      "answered",
    ],
    [
      "unanswered with a duration",
      { answered: false, answerTime: undefined as never },
      RecordIssue.FIELDS_INCONSISTENT,
      "answered",
    ],
    ["with part 0", { part: {} }, RecordIssue.FIELD_REQUIRED, "part.part_index"],
    ["with part -1", { part: { partIndex: -1 } }, RecordIssue.FIELD_OUT_OF_RANGE, "part.part_index"],
    ["with part 3 of 2", { part: { partIndex: 3, partCount: 2 } }, RecordIssue.FIELDS_INCONSISTENT, "part.part_index"],
    [
      "with a last part that is not",
      { part: { partIndex: 1, partCount: 2, lastPart: true } },
      RecordIssue.FIELDS_INCONSISTENT,
      "part.last_part",
    ],
    ["over 64 KiB, whatever else is wrong", { trunkId: long(65_536) }, RecordIssue.TOO_LARGE, undefined],
    ["over 64 KiB by what is output only", { customerId: long(65_536) }, RecordIssue.TOO_LARGE, undefined],
  ];
  test.each(refused)("%s", (_, changes, issue, fieldPath) => {
    const { refusal, warnings, candidates, payload } = prepare(sampleDuration(changes));
    expect({ issue: refusal?.issue, fieldPath: refusal?.fieldPath }).toEqual({ issue, fieldPath });
    expect(refusal?.retryable).toBe(issue === RecordIssue.IN_FUTURE);
    expect([warnings.length, candidates.length, payload.length]).toEqual([0, 0, 0]);
  });

  test("over 64 KiB by fields that are not known", () => {
    const message = sampleDuration();
    message.$unknown = [{ no: 1_999, wireType: 2, data: new Uint8Array(65_536) }];
    expect(prepare(message).refusal?.issue).toBe(RecordIssue.TOO_LARGE);
  });

  test("with its verdict's parts storable: id cut and cleaned, day left out, hash over what was sent", () => {
    const sent = sampleDuration({ recordId: `a\0${"é\ud800".repeat(100)}`, recordDate: "soon", revision: -5 });
    const prepared = prepare(sent);
    expect(prepared.recordId.startsWith("a\ufffdé\ufffd")).toBe(true);
    expect([...prepared.recordId].length).toBe(128);
    expect(prepared).toMatchObject({ recordDate: "", revision: -5 });
    expect(prepared.contentHash).toBe(prepare({ ...sent }).contentHash);
    expect(prepared.contentHash).not.toBe(prepare(sampleDuration()).contentHash);
  });

  test("with no number unmasked in the message", () => {
    const { refusal } = prepare(sampleDuration({ calling: { kind: 1, value: "004930 12345678" } }));
    expect(refusal?.message).toBe(
      `calling.value: is "004930 12345***", expected E.164: + and 2 to 15 digits, the first not 0; send anything else as PARTY_KIND_NON_E164`,
    );
  });
});

describe("an optional field of a duration that is wrong is dropped, and the call is kept", () => {
  const long = (length: number) => "x".repeat(length);
  const dropped: [string, Changes, number, string][] = [
    [
      "with an unknown presentation",
      { dialed: { kind: 5, presentation: 3 as never } },
      RecordIssue.UNKNOWN_ENUM_VALUE,
      "dialed.presentation",
    ],
    ["with an offset below -840", { utcOffsetMinutes: -841 }, RecordIssue.FIELD_OUT_OF_RANGE, "utc_offset_minutes"],
    ["with an offset over 840", { utcOffsetMinutes: 841 }, RecordIssue.FIELD_OUT_OF_RANGE, "utc_offset_minutes"],
    ["with a resolution of 0", { timeResolutionMs: 0 }, RecordIssue.FIELD_OUT_OF_RANGE, "time_resolution_ms"],
    [
      "with a resolution over a minute",
      { timeResolutionMs: 60_001 },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "time_resolution_ms",
    ],
    ["with a rule without increment", { roundingRule: {} }, RecordIssue.FIELD_REQUIRED, "rounding_rule.increment_s"],
    [
      "with an increment over an hour",
      { roundingRule: { incrementS: 3_601 } },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "rounding_rule.increment_s",
    ],
    [
      "with a negative minimum",
      { roundingRule: { incrementS: 1, minimumS: -1 } },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "rounding_rule.minimum_s",
    ],
    ["with SIP code 199", { finalSipCode: 199 }, RecordIssue.FIELD_OUT_OF_RANGE, "final_sip_code"],
    ["with SIP code 700", { finalSipCode: 700 }, RecordIssue.FIELD_OUT_OF_RANGE, "final_sip_code"],
    ["with cause 0", { q850Cause: 0 }, RecordIssue.FIELD_OUT_OF_RANGE, "q850_cause"],
    ["with cause 128", { q850Cause: 128 }, RecordIssue.FIELD_OUT_OF_RANGE, "q850_cause"],
    [
      "with a reference over 60 characters",
      { customerReference: long(61) },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "customer_reference",
    ],
    ["with a trunk over 128 characters", { trunkId: long(129) }, RecordIssue.FIELD_OUT_OF_RANGE, "trunk_id"],
    ["with an unpaired surrogate", { trunkId: "\ud800" }, RecordIssue.INVALID_TEXT, "trunk_id"],
    [
      "with an echo over 128 characters",
      { platformRecordId: long(129) },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "platform_record_id",
    ],
    [
      "with a dialog without Call-ID",
      { correlation: { interconnectDialog: {} } },
      RecordIssue.FIELD_REQUIRED,
      "correlation.interconnect_dialog.call_id",
    ],
    [
      "with a Call-ID over 512 characters",
      { correlation: { interconnectDialog: { callId: long(513) } } },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "correlation.interconnect_dialog.call_id",
    ],
    [
      "with an upper-case Session-ID",
      { correlation: { sessionId: "A".repeat(32) } },
      RecordIssue.FIELD_MALFORMED,
      "correlation.session_id",
    ],
    ["with leg 1,000", { correlation: { legIndex: 1_000 } }, RecordIssue.FIELD_OUT_OF_RANGE, "correlation.leg_index"],
    [
      "with a tag over 256 characters",
      { correlation: { interconnectDialog: { callId: "c", toTag: long(257) } } },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "correlation.interconnect_dialog.to_tag",
    ],
    [
      "with an ICID over 256 characters",
      { correlation: { icid: long(257) } },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "correlation.icid",
    ],
    ["with a dialed party of no kind", { dialed: { value: "118" } }, RecordIssue.FIELD_REQUIRED, "dialed.kind"],
    [
      "with a country that is none",
      { called: { kind: 1, value: "+12025550123", countryCode: "ZZ" } },
      RecordIssue.FIELD_MALFORMED,
      "called.country_code",
    ],
  ];
  test.each(dropped)("%s", (_, changes, issue, fieldPath) => {
    const prepared = prepare(sampleDuration(changes));
    expect(prepared.refusal).toBeUndefined();
    expect(prepared.warnings).toMatchObject([
      { issue, fieldPath, message: expect.stringMatching(/^\S+: .*; it was dropped$/) },
    ]);
    // What is stored is sound: prepared again it is the same, with nothing left to drop.
    const again = prepare(read(prepared.payload));
    expect(again).toMatchObject({ contentHash: prepared.contentHash, warnings: [] });
  });

  test("with many of them, all are named, and the rest of the record is as it was", () => {
    const message = sampleDuration({ q850Cause: 0, finalSipCode: 7, trunkId: long(129), customerReference: "mine" });
    const { warnings, payload } = prepare(message);
    expect(warnings.map(({ fieldPath }) => fieldPath)).toEqual(["final_sip_code", "q850_cause", "trunk_id"]);
    for (const name of ["final_sip_code", "q850_cause", "trunk_id"]) expect(warnings[0]?.message).toContain(name);
    expect(read(payload)).toMatchObject({ customerReference: "mine", recordId: "D-1", connectedDurationMs: 100_000n });
    expect(message.trunkId).toHaveLength(129);
  });

  test("but a field that says whose call it is, when it was or how long is not: the call is refused", () => {
    for (const [changes, fieldPath] of [
      [{ asserted: { kind: 1, value: "12" } }, "asserted.value"],
      [{ redirecting: { kind: 9 as never } }, "redirecting.kind"],
      [{ connectedDurationMs: -1n }, "connected_duration_ms"],
      [{ part: {} }, "part.part_index"],
    ] as const)
      expect(prepare(sampleDuration(changes)).refusal?.fieldPath).toBe(fieldPath);
  });
});

describe("times of a clock with a resolution", () => {
  test.each([
    [1_000, -3_600_900, undefined],
    [1_000, -3_601_001, "answer_time"],
    [1, -3_600_001, "answer_time"],
    [undefined, -3_600_001, "answer_time"],
  ])("of %s ms may be out of order by as much, and no more", (timeResolutionMs, answerMs, fieldPath) => {
    const resolution = timeResolutionMs === undefined ? {} : { timeResolutionMs };
    const message = sampleDuration({ answerTime: fromNow(answerMs), ...resolution });
    expect(prepare(message).refusal?.fieldPath).toBe(fieldPath);
  });
});

describe("a duration is taken", () => {
  const taken: [string, Changes][] = [
    [
      "at the bounds of its texts",
      { recordId: "x".repeat(128), trunkId: "😀".repeat(128), customerReference: "é".repeat(60) },
    ],
    [
      "at the bounds of its numbers",
      { revision: 1_000_000, utcOffsetMinutes: -840, timeResolutionMs: 60_000, finalSipCode: 699, q850Cause: 127 },
    ],
    [
      "at the other bounds",
      { utcOffsetMinutes: 840, timeResolutionMs: 1, finalSipCode: 200, q850Cause: 1, billedDurationS: 2_592_000n },
    ],
    [
      "at the horizon of revision 1",
      {
        recordDate: "2025-11-14",
        inviteTime: dayBefore(120),
        answerTime: dayBefore(120),
        endTime: dayBefore(120),
        connectedDurationMs: 0n,
      },
    ],
    ["at the horizon of later revisions", { recordDate: "2025-02-07", revision: 2 }],
    ["with another day than its times say, at revision 2", { recordDate: "2026-03-15", revision: 2 }],
    ["when answered for 0 ms", { connectedDurationMs: 0n, answerTime: undefined as never }],
    [
      "when answered by what was billed",
      { connectedDurationMs: undefined as never, answerTime: undefined as never, billedDurationS: 60n },
    ],
    ["when unanswered", { answered: false, answerTime: undefined as never, connectedDurationMs: 0n }],
    ["with an answer time and no invite", { inviteTime: undefined as never }],
    ["as one part of an unknown number", { part: { partIndex: 7, lastPart: true } }],
    ["with a Session-ID of one id", { correlation: { sessionId: "0123456789abcdef".repeat(2) } }],
  ];
  test.each(taken)("%s", (_, changes) => {
    expect(prepare(sampleDuration(changes)).refusal).toBeUndefined();
  });

  test("as a VOID with its identity alone", () => {
    const message = fromBinary(CallDurationSchema, new Uint8Array());
    mergeFromBinary(
      CallDurationSchema,
      message,
      toBinary(CallDurationSchema, { ...message, recordId: "D-1", recordDate: "2026-03-14", kind: 2 }),
    );
    expect(prepare(message)).toMatchObject({
      isVoid: true,
      candidates: [],
      startTime: undefined,
      row: { entryKind: 2, connectedDurationMs: null },
    });
    expect(prepare(message).refusal).toBeUndefined();
  });

  test("with a warning when a time is up to 15 h ahead, and none at the server's own time", () => {
    const issues = (ms: number) =>
      prepare(sampleDuration({ endTime: fromNow(ms), connectedDurationMs: undefined as never })).warnings.map(
        (w) => w.issue,
      );
    expect(issues(0)).toEqual([]);
    expect(issues(1)).toEqual([RecordIssue.CLOCK_AHEAD]);
    expect(issues(15 * 3_600_000)).toEqual([RecordIssue.CLOCK_AHEAD]);
  });

  test("with a warning when its duration differs from its times by more than 1 s", () => {
    const issues = (connectedDurationMs: bigint) =>
      prepare(sampleDuration({ connectedDurationMs })).warnings.map((w) => w.issue);
    expect(issues(101_000n)).toEqual([]);
    expect(issues(99_000n)).toEqual([]);
    expect(issues(101_001n)).toEqual([RecordIssue.DURATION_DIFFERS]);
    expect(issues(98_999n)).toEqual([RecordIssue.DURATION_DIFFERS]);
  });
});

function dayBefore(days: number) {
  return fromNow(-days * 86_400_000);
}

// The same fields in the opposite order: each encoded by itself and joined from the last to the
// first.
function reorder(message: CallDuration): CallDuration {
  const empty = fromBinary(CallDurationSchema, new Uint8Array());
  const names = CallDurationSchema.fields.map((field) => field.localName).reverse() as (keyof CallDuration)[];
  const parts = names.map((name) => toBinary(CallDurationSchema, { ...empty, [name]: message[name] }));
  return fromBinary(CallDurationSchema, Buffer.concat(parts));
}

import { equals, fromBinary, isFieldSet } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { arbitraryMessage, unknownField } from "../../../test/support/arbitrary-message.ts";
import { changeEachField } from "../../../test/support/change-fields.ts";
import {
  fromNow,
  fullCdr,
  SAMPLE_STREAM,
  sampleCdr,
  sampleContext,
  sampleTimes,
} from "../../../test/support/record-samples.ts";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { QualityReason, QualityVerdict } from "../../gen/tandem/type/v1/stream_quality_pb.js";
import { RecordIssue } from "../../gen/tandem/type/v1/upload_pb.js";
import { prepareCdr } from "./cdr-preparation.ts";
import type { PreparedRecord } from "./prepared.ts";

const OUTPUT_ONLY =
  /^(carrier_id|attribution|quality_verdict|quality_reasons|sequence|ingest_time|stream_qualities\[\d\]\.(verdict|reasons))/;
const prepare = (message: CallDetailRecord) => prepareCdr(message, sampleContext);
const whole = (prepared: PreparedRecord<unknown>) =>
  fromBinary(
    CallDetailRecordSchema,
    Buffer.concat([
      prepared.payload,
      prepared.quality?.payload ?? Buffer.of(),
      prepared.network?.payload ?? Buffer.of(),
    ]),
  );
type Changes = Parameters<typeof sampleCdr>[0];

describe("a call detail record that is prepared", () => {
  test("gives the columns of a good record, its lengths derived from its times", () => {
    const prepared = prepare(
      sampleCdr({ route: { trunkId: "t", codec: "PCMA" }, correlation: { correlationId: "x" } }),
    );
    expect(prepared.refusal).toBeUndefined();
    expect(prepared).toMatchObject({
      recordId: "C-1",
      revision: 1,
      connectedDurationMs: 0n,
      candidates: [{ basis: 3, number: "+493012345678" }],
      row: {
        entryKind: 1,
        partial: false,
        callId: "call-1",
        inviteTime: sampleContext.now - 3_600_000_000n,
        trunkId: "t",
        dialogCallId: null,
        correlationId: "x",
        codec: "PCMA",
        callingNumber: "+493012345678",
        calledNumber: "+12025550123",
        answered: true,
        networkEffective: true,
        setupDurationMs: 3_000n,
        connectedDurationMs: 100_000n,
        qualityVerdict: QualityVerdict.UNCLASSIFIED,
      },
    });
    expect(whole(prepared)).toMatchObject({
      kind: 1,
      completeness: 2,
      revision: 1,
      parties: { calling: { countryCode: "DE" }, called: { countryCode: "US" } },
      lengths: {
        setupDurationMs: 3_000n,
        ringDurationMs: 7_000n,
        connectedDurationMs: 100_000n,
        totalDurationMs: 110_000n,
      },
      qualityVerdict: QualityVerdict.UNCLASSIFIED,
      qualityReasons: [QualityReason.NOT_MEASURED],
    });
  });

  test("keeps every field that was sent in its three parts, which join to the whole in any order", () => {
    const prepared = prepare(fullCdr());
    const expected = fullCdr();
    for (const stream of expected.streamQualities) stream.verdict = QualityVerdict.GOOD;
    expected.qualityVerdict = QualityVerdict.GOOD;
    expect(whole(prepared)).toEqual(expected);
  });

  test("has a call part that is good without the others: no streams in it, no verdict on them, no network identifiers", () => {
    const prepared = prepare(fullCdr({ streamQualities: [{ ...SAMPLE_STREAM, jitterAvgMs: 31 }] }));
    const call = fromBinary(CallDetailRecordSchema, prepared.payload);
    expect(call).toMatchObject({ qualityVerdict: 0, streamQualities: [], qualityReasons: [] });
    expect(isFieldSet(call, CallDetailRecordSchema.field.networkIdentifiers)).toBe(false);
    expect(prepareCdr(call, sampleContext).refusal).toBeUndefined();
    expect(prepared.quality).toMatchObject({
      mosLq: 4.2,
      mosCq: 4.1,
      classifiedStreams: 1,
      poorStreams: 1,
      reasons: [QualityReason.JITTER],
    });
    expect(fromBinary(CallDetailRecordSchema, prepared.quality?.payload ?? Buffer.of())).toMatchObject({
      streamQualities: [{ verdict: QualityVerdict.POOR, reasons: [QualityReason.JITTER] }],
      qualityReasons: [QualityReason.JITTER],
    });
  });

  test("gives the lowest score of its streams", () => {
    expect(prepare(fullCdr()).quality).toMatchObject({
      mosLq: 3.9,
      mosCq: 4.1,
      classifiedStreams: 2,
      poorStreams: 0,
      reasons: [],
    });
  });

  test("lets what is sent for a length win, within 1 s of the times", () => {
    const prepared = prepare(sampleCdr({ lengths: { connectedDurationMs: 101_000n } }));
    expect(prepared).toMatchObject({ connectedDurationMs: 101_000n, row: { connectedDurationMs: 101_000n } });
    expect(whole(prepared).lengths).toMatchObject({ setupDurationMs: 3_000n, connectedDurationMs: 101_000n });
  });

  test("clears what is output only, and leaves the message itself as it was sent", () => {
    const output = {
      carrierId: "other",
      attribution: { phoneNumber: "+1" },
      qualityVerdict: 2,
      qualityReasons: [1],
      sequence: 9n,
      ingestTime: fromNow(0),
    };
    const sent = sampleCdr({ ...output, streamQualities: [{ ...SAMPLE_STREAM, verdict: 2, reasons: [1] }] });
    const prepared = prepare(sent);
    expect(prepared.contentHash).toBe(prepare(sampleCdr({ streamQualities: [SAMPLE_STREAM] })).contentHash);
    expect(whole(prepared)).toMatchObject({
      carrierId: "",
      sequence: 0n,
      qualityVerdict: QualityVerdict.GOOD,
      qualityReasons: [],
    });
    expect(sent).toMatchObject({ ...output, streamQualities: [{ verdict: 2, reasons: [1] }] });
  });

  test("counts an attempt when it is final, and says nothing of one that is not, nor of a VOID", () => {
    const row = (changes: Changes) => prepare(sampleCdr(changes)).row;
    const unanswered = { ...sampleTimes(), answerTime: undefined as never };
    expect(row({ times: unanswered, outcome: { finalSipCode: 486 } })).toMatchObject({
      answered: false,
      networkEffective: true,
    });
    expect(row({ times: unanswered, outcome: { finalSipCode: 503 } })).toMatchObject({
      answered: false,
      networkEffective: false,
    });
    expect(row({ completeness: 1, outcome: {} })).toMatchObject({
      partial: true,
      answered: null,
      networkEffective: null,
    });
    expect(row({ completeness: 1 })).toMatchObject({ partial: true, answered: true, networkEffective: true });
    expect(row({ kind: 2 })).toMatchObject({ entryKind: 2, answered: null, networkEffective: null, qualityVerdict: 0 });
  });
});

describe("a call detail record's hashes", () => {
  test("content: differs when any field that can be sent differs, at any depth, and is the same for what is output only", () => {
    const hash = prepare(fullCdr()).contentHash;
    for (const { path, changed } of changeEachField(CallDetailRecordSchema, fullCdr())) {
      expect([path, prepare(changed).contentHash === hash]).toEqual([path, OUTPUT_ONLY.test(path)]);
    }
  });

  test("content: is the same for unset and stated defaults, and for lengths that are sent or derived", () => {
    const hash = prepare(sampleCdr()).contentHash;
    expect(prepare(sampleCdr({ kind: 1, completeness: 2, revision: 1 })).contentHash).toBe(hash);
    expect(prepare(sampleCdr({ lengths: { setupDurationMs: 3_000n } })).contentHash).toBe(hash);
    expect(prepare(sampleCdr({ lengths: {}, networkIdentifiers: {} })).contentHash).toBe(hash);
    expect(prepare(sampleCdr({ lengths: { setupDurationMs: 3_001n } })).contentHash).not.toBe(hash);
  });

  test("content: is the same, and so is every part, when a record is prepared again from its parts", () => {
    const samples = [
      sampleCdr(),
      fullCdr(),
      sampleCdr({ kind: 2 }),
      sampleCdr({ lengths: { ringDurationMs: 7_500n } }),
    ];
    for (const message of samples) {
      const first = prepare(message);
      const second = prepare(whole(first));
      expect(second).toEqual({ ...first, connectedDurationMs: second.connectedDurationMs });
    }
  });

  test("content: stays with unknown fields, which are dropped with a warning that says where", () => {
    const sent = fullCdr();
    const stream = sent.streamQualities[1];
    if (stream) stream.$unknown = [unknownField];
    const prepared = prepare(sent);
    expect(prepared.contentHash).toBe(prepare(fullCdr()).contentHash);
    expect(prepared.warnings).toMatchObject([{ issue: RecordIssue.UNKNOWN_FIELDS, fieldPath: "stream_qualities[1]" }]);
    expect(prepared.quality?.payload).toEqual(prepare(fullCdr()).quality?.payload);
    const inLengths = sampleCdr({ lengths: {} });
    if (inLengths.lengths) inLengths.lengths.$unknown = [unknownField];
    expect(prepare(inLengths).warnings).toMatchObject([{ fieldPath: "lengths" }]);
  });

  test("parties: stays when a record is sent under another day, and differs with the duration", () => {
    const hash = prepare(sampleCdr()).partyHash;
    expect(prepare(sampleCdr({ recordDate: "2026-03-13", revision: 2, callId: "other" })).partyHash).toBe(hash);
    expect(prepare(sampleCdr({ lengths: { connectedDurationMs: 100_001n } })).partyHash).not.toBe(hash);
  });
});

describe("any call detail record that could come over the wire", () => {
  test("never throws, and is refused with a reason that can be stored, or kept whole", () => {
    fc.assert(
      fc.property(arbitraryMessage(CallDetailRecordSchema, { unknownFields: true }), (message) => {
        const prepared = prepare(message);
        expect(prepared.connectedDurationMs).toBe(message.lengths?.connectedDurationMs ?? 0n);
        for (const { message: said } of [...prepared.warnings, prepared.refusal ?? { message: "x" }]) {
          expect(said.length > 0 && said.length <= 512 && said.isWellFormed() && !said.includes("\0")).toBe(true);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  test("a good one with any measures decodes from its joined parts to what was sent, and no verdict but its own", () => {
    const ratio = fc.option(fc.double({ min: 0, max: 1, noNaN: true }), { nil: undefined });
    const ms = fc.option(fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }), { nil: undefined });
    const stream = fc.record({
      lossRatioAvg: ratio,
      concealedRatio: ratio,
      jitterAvgMs: ms,
      roundTripAvgMs: ms,
      packetsLost: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    });
    fc.assert(
      fc.property(fc.array(stream, { maxLength: 16 }), (measures) => {
        const streams = measures.map((measured) => ({
          direction: 1,
          edge: 1,
          ...Object.fromEntries(Object.entries(measured).filter(([, v]) => v !== undefined)),
        }));
        const sent = fullCdr({ streamQualities: streams });
        const prepared = prepare(sent);
        expect(prepared.refusal).toBeUndefined();
        const read = whole(prepared);
        expect(read.qualityVerdict).toBe(prepared.row?.qualityVerdict);
        read.qualityVerdict = 0;
        read.qualityReasons = [];
        for (const item of read.streamQualities) Object.assign(item, { verdict: 0, reasons: [] });
        expect(equals(CallDetailRecordSchema, read, sent)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });
});

describe("a call detail record is refused", () => {
  const long = (length: number) => "x".repeat(length);
  const none = undefined as never;
  const refused: [string, Changes, number, string | undefined][] = [
    ["without record_id", { recordId: "" }, RecordIssue.FIELD_REQUIRED, "record_id"],
    ["without call_id", { callId: "" }, RecordIssue.FIELD_REQUIRED, "call_id"],
    ["with a call_id over 128 characters", { callId: long(129) }, RecordIssue.FIELD_OUT_OF_RANGE, "call_id"],
    ["without parties", { parties: none }, RecordIssue.FIELD_REQUIRED, "parties"],
    ["without calling", { parties: { called: { kind: 5 } } }, RecordIssue.FIELD_REQUIRED, "parties.calling"],
    ["without called", { parties: { calling: { kind: 5 } } }, RecordIssue.FIELD_REQUIRED, "parties.called"],
    ["without direction", { direction: 0 }, RecordIssue.FIELD_REQUIRED, "direction"],
    ["with an unknown completeness", { completeness: -1 as never }, RecordIssue.UNKNOWN_ENUM_VALUE, "completeness"],
    ["without times", { times: none }, RecordIssue.FIELD_REQUIRED, "times"],
    [
      "without invite",
      { times: { ...sampleTimes(), inviteTime: none } },
      RecordIssue.FIELD_REQUIRED,
      "times.invite_time",
    ],
    [
      "complete without end",
      { times: { ...sampleTimes(), endTime: none } },
      RecordIssue.FIELD_REQUIRED,
      "times.end_time",
    ],
    [
      "complete and unanswered without final code",
      { times: { ...sampleTimes(), answerTime: none }, outcome: {} },
      RecordIssue.FIELD_REQUIRED,
      "outcome.final_sip_code",
    ],
    [
      "complete and unanswered with a final code that is none",
      { times: { ...sampleTimes(), answerTime: none }, outcome: { finalSipCode: 0 } },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "outcome.final_sip_code",
    ],
    [
      "ended before the answer",
      { times: { ...sampleTimes(), endTime: fromNow(-3_590_001) } },
      RecordIssue.FIELDS_INCONSISTENT,
      "times.end_time",
    ],
    [
      "ended over 15 h ahead",
      { times: { ...sampleTimes(), endTime: fromNow(54_000_001) } },
      RecordIssue.IN_FUTURE,
      "times.end_time",
    ],
    ["with the wrong day at revision 1", { recordDate: "2026-03-13" }, RecordIssue.RECORD_DATE_MISMATCH, "record_date"],
    [
      "with a length over 1 s from the times",
      { lengths: { connectedDurationMs: 101_001n } },
      RecordIssue.FIELDS_INCONSISTENT,
      "lengths.connected_duration_ms",
    ],
    [
      "with a negative length",
      { lengths: { setupDurationMs: -1n } },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "lengths.setup_duration_ms",
    ],
    [
      "with times that give a setup over a day",
      { times: { ...sampleTimes(), inviteTime: fromNow(-90_000_001) }, recordDate: "2026-03-13" },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "lengths.setup_duration_ms",
    ],
    [
      "with a connected time but no answer",
      {
        times: { ...sampleTimes(), answerTime: none },
        lengths: { connectedDurationMs: 0n },
        outcome: { finalSipCode: 486 },
      },
      RecordIssue.FIELDS_INCONSISTENT,
      "lengths.connected_duration_ms",
    ],
    [
      "unanswered with a success",
      { times: { ...sampleTimes(), answerTime: none } },
      RecordIssue.FIELDS_INCONSISTENT,
      "outcome.final_sip_code",
    ],
    ["over 64 KiB", { callId: long(65_536) }, RecordIssue.TOO_LARGE, undefined],
    ["over 64 KiB by what is output only", { carrierId: long(65_536) }, RecordIssue.TOO_LARGE, undefined],
  ];
  test.each(refused)("%s", (_, changes, issue, fieldPath) => {
    const { refusal, payload, quality, network } = prepare(sampleCdr(changes));
    expect({ issue: refusal?.issue, fieldPath: refusal?.fieldPath }).toEqual({ issue, fieldPath });
    expect([payload.length, quality, network]).toEqual([0, undefined, undefined]);
  });
});

describe("an optional field of a call detail record that is wrong is dropped, and the call is kept", () => {
  const long = (length: number) => "x".repeat(length);
  const stream = (changes: object) => ({ streamQualities: [SAMPLE_STREAM, { ...SAMPLE_STREAM, ...changes }] });
  const dropped: [string, Changes, number, string][] = [
    [
      "with an unknown attestation",
      { parties: { calling: { kind: 5 }, called: { kind: 5 }, attestation: 4 as never } },
      RecordIssue.UNKNOWN_ENUM_VALUE,
      "parties.attestation",
    ],
    ["with an unknown call type", { callType: 6 as never }, RecordIssue.UNKNOWN_ENUM_VALUE, "call_type"],
    [
      "ringing before the invite",
      { times: { ...sampleTimes(), ringingTime: fromNow(-3_600_001) } },
      RecordIssue.FIELDS_INCONSISTENT,
      "times.ringing_time",
    ],
    [
      "answered with a failure",
      { outcome: { finalSipCode: 486 } },
      RecordIssue.FIELDS_INCONSISTENT,
      "outcome.final_sip_code",
    ],
    ["with SIP code 700", { outcome: { finalSipCode: 700 } }, RecordIssue.FIELD_OUT_OF_RANGE, "outcome.final_sip_code"],
    [
      "with a long reason",
      { outcome: { finalSipCode: 200, reasonPhrase: long(257) } },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "outcome.reason_phrase",
    ],
    [
      "with subcode 1,000,000",
      { outcome: { vendorSubcode: 1_000_000 } },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "outcome.vendor_subcode",
    ],
    [
      "with an unknown release party",
      { outcome: { releaseParty: 5 as never } },
      RecordIssue.UNKNOWN_ENUM_VALUE,
      "outcome.release_party",
    ],
    [
      "with an unknown stage",
      { outcome: { failureStage: 5 as never } },
      RecordIssue.UNKNOWN_ENUM_VALUE,
      "outcome.failure_stage",
    ],
    [
      "with a long close reason",
      { outcome: { closeReason: long(257) } },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "outcome.close_reason",
    ],
    ["with a long trunk", { route: { trunkId: long(129) } }, RecordIssue.FIELD_OUT_OF_RANGE, "route.trunk_id"],
    [
      "with a long signalling region",
      { route: { signalingRegion: long(65) } },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "route.signaling_region",
    ],
    [
      "with a long media region",
      { route: { mediaRegion: long(65) } },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "route.media_region",
    ],
    ["with a long codec", { route: { codec: long(33) } }, RecordIssue.FIELD_OUT_OF_RANGE, "route.codec"],
    [
      "with 17 streams",
      { streamQualities: Array(17).fill(SAMPLE_STREAM) },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "stream_qualities",
    ],
    [
      "with a stream without direction",
      stream({ direction: 0 }),
      RecordIssue.FIELD_REQUIRED,
      "stream_qualities[1].direction",
    ],
    [
      "with a stream of an unknown edge",
      stream({ edge: 4 }),
      RecordIssue.UNKNOWN_ENUM_VALUE,
      "stream_qualities[1].edge",
    ],
    [
      "with negative packets",
      stream({ packetsSent: -1n }),
      RecordIssue.FIELD_OUT_OF_RANGE,
      "stream_qualities[1].packets_sent",
    ],
    [
      "with a loss over 1",
      stream({ lossRatioAvg: 1.0001 }),
      RecordIssue.FIELD_OUT_OF_RANGE,
      "stream_qualities[1].loss_ratio_avg",
    ],
    [
      "with a loss that is no number",
      stream({ lossRatioMax: Number.NaN }),
      RecordIssue.FIELD_OUT_OF_RANGE,
      "stream_qualities[1].loss_ratio_max",
    ],
    [
      "with endless jitter",
      stream({ jitterAvgMs: Number.POSITIVE_INFINITY }),
      RecordIssue.FIELD_OUT_OF_RANGE,
      "stream_qualities[1].jitter_avg_ms",
    ],
    ["with a score below 1", stream({ mosLq: 0.99 }), RecordIssue.FIELD_OUT_OF_RANGE, "stream_qualities[1].mos_lq"],
    ["with a score over 5", stream({ mosCq: 5.01 }), RecordIssue.FIELD_OUT_OF_RANGE, "stream_qualities[1].mos_cq"],
    ["with R over 148", stream({ rFactor: 149 }), RecordIssue.FIELD_OUT_OF_RANGE, "stream_qualities[1].r_factor"],
    [
      "with a degradation over 5",
      stream({ mosDegradation: 5.1 }),
      RecordIssue.FIELD_OUT_OF_RANGE,
      "stream_qualities[1].mos_degradation",
    ],
    [
      "with a long algorithm",
      stream({ mosAlgorithm: long(65) }),
      RecordIssue.FIELD_OUT_OF_RANGE,
      "stream_qualities[1].mos_algorithm",
    ],
    [
      "with a media address that is none",
      { networkIdentifiers: { platformMediaAddress: "host.example" } },
      RecordIssue.FIELD_MALFORMED,
      "network_identifiers.platform_media_address",
    ],
    [
      "with a long user agent",
      { networkIdentifiers: { userAgent: long(257) } },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "network_identifiers.user_agent",
    ],
    [
      "answered with the code 0 (case 33)",
      { outcome: { finalSipCode: 0 } },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "outcome.final_sip_code",
    ],
    [
      "answered with the code 408 (case 33)",
      { outcome: { finalSipCode: 408 } },
      RecordIssue.FIELDS_INCONSISTENT,
      "outcome.final_sip_code",
    ],
    [
      "with an ICID over 256 characters (case 27)",
      { correlation: { icid: long(257) } },
      RecordIssue.FIELD_OUT_OF_RANGE,
      "correlation.icid",
    ],
    [
      "with a loss in percent (case 31)",
      stream({ lossRatioAvg: 2.5 }),
      RecordIssue.FIELD_OUT_OF_RANGE,
      "stream_qualities[1].loss_ratio_avg",
    ],
  ];
  test.each(dropped)("%s", (_, changes, issue, fieldPath) => {
    const prepared = prepare(sampleCdr(changes));
    expect(prepared.refusal).toBeUndefined();
    expect(prepared.warnings).toMatchObject([
      { issue, fieldPath, message: expect.stringMatching(/; it was dropped$/) },
    ]);
  });

  test("of 17 streams the first 16 are kept", () => {
    const { quality } = prepare(sampleCdr({ streamQualities: Array(17).fill(SAMPLE_STREAM) }));
    expect(fromBinary(CallDetailRecordSchema, quality?.payload ?? new Uint8Array()).streamQualities).toHaveLength(16);
  });

  test("of streams of which nobody knows which they are, the others are kept", () => {
    const streams = [{ ...SAMPLE_STREAM, edge: 9 as never }, SAMPLE_STREAM, { ...SAMPLE_STREAM, direction: 0 }];
    const { quality, warnings } = prepare(sampleCdr({ streamQualities: streams }));
    expect(warnings.map(({ fieldPath }) => fieldPath)).toEqual([
      "stream_qualities[2].direction",
      "stream_qualities[0].edge",
    ]);
    expect(fromBinary(CallDetailRecordSchema, quality?.payload ?? new Uint8Array()).streamQualities).toHaveLength(1);
  });

  test("however many they are, and the call is kept whole without them", () => {
    const bad = {
      direction: 1,
      edge: 2,
      lossRatioAvg: 40,
      lossRatioMax: 50,
      discardRatio: 3,
      jitterAvgMs: -1,
      mosLq: 80,
      mosCq: 70,
    };
    const prepared = prepare(sampleCdr({ streamQualities: Array(16).fill(bad) }));
    expect(prepared.refusal).toBeUndefined();
    expect(prepared.quality).toBeUndefined();
    expect(prepared.warnings.length).toBeGreaterThan(10);
  });
});

describe("a call detail record is kept as it is", () => {
  const kept: [string, Changes, string[]][] = [
    [
      "with a loss below 0, for packets came twice (case 3)",
      { streamQualities: [{ direction: 1, edge: 2, packetsReceived: 3_003n, packetsLost: -2n }] },
      [],
    ],
    [
      "with the R of a fullband codec (case 5)",
      { streamQualities: [{ direction: 1, edge: 2, rFactor: 127.4, mosLq: 4.8, codec: "opus" }] },
      [],
    ],
    [
      "with a Call-ID of 300 characters (case 27)",
      {
        correlation: {
          interconnectDialog: { callId: "c".repeat(300), fromTag: "f".repeat(129) },
          icid: "i".repeat(129),
        },
      },
      [],
    ],
    [
      "with a URI of 87 characters (case 29)",
      {
        parties: {
          calling: { kind: 1, value: "+493012345678" },
          called: { kind: 4, value: `sip:4310@192.0.2.18:5060;rinstance=${"a".repeat(52)}` },
        },
      },
      [],
    ],
    ["answered, without a final code (case 33)", { outcome: {} }, []],
    [
      "ringing after the answer (case 22)",
      { times: { ...sampleTimes(), ringingTime: fromNow(-3_589_000) } },
      ["times.ringing_time"],
    ],
    [
      "ringing after the end (case 22)",
      {
        times: { inviteTime: fromNow(-3_600_000), ringingTime: fromNow(-3_500_000), endTime: fromNow(-3_590_000) },
        outcome: { finalSipCode: 487 },
      },
      ["times.ringing_time"],
    ],
    [
      "with a ratio that its counts contradict (case 31)",
      { streamQualities: [{ direction: 1, edge: 2, packetsReceived: 995n, packetsLost: 5n, lossRatioAvg: 0.5 }] },
      ["stream_qualities[0].loss_ratio_avg"],
    ],
    [
      "with a ratio that its counts bear out",
      { streamQualities: [{ direction: 1, edge: 2, packetsReceived: 995n, packetsLost: 5n, lossRatioAvg: 0.006 }] },
      [],
    ],
  ];
  test.each(kept)("%s", (_, changes, warned) => {
    const message = sampleCdr(changes);
    const prepared = prepare(message);
    expect(prepared.refusal).toBeUndefined();
    expect(prepared.warnings.map(({ fieldPath }) => fieldPath)).toEqual(warned);
    const stored = fromBinary(
      CallDetailRecordSchema,
      Buffer.concat([prepared.payload, prepared.quality?.payload ?? Buffer.alloc(0)]),
    );
    expect(stored.times?.ringingTime).toEqual(message.times?.ringingTime);
    expect(stored.correlation).toEqual(message.correlation);
    expect(stored.streamQualities[0]?.packetsLost).toBe(message.streamQualities[0]?.packetsLost);
    expect(stored.streamQualities[0]?.rFactor).toBe(message.streamQualities[0]?.rFactor);
  });
});

describe("a call detail record is taken", () => {
  const none = undefined as never;
  const taken: [string, Changes][] = [
    [
      "while PARTIAL without end and final code",
      { completeness: 1, times: { ...sampleTimes(), endTime: none }, outcome: none },
    ],
    ["when it never rang", { times: { ...sampleTimes(), ringingTime: none } }],
    [
      "with all its times at one moment",
      { times: { inviteTime: fromNow(0), ringingTime: fromNow(0), answerTime: fromNow(0), endTime: fromNow(0) } },
    ],
    [
      "with lengths 1 s from the times",
      { lengths: { setupDurationMs: 2_000n, ringDurationMs: 8_000n, totalDurationMs: 109_000n } },
    ],
    [
      "with 16 streams at their bounds",
      {
        streamQualities: Array(16).fill({
          direction: 1,
          edge: 3,
          mosLq: 5,
          mosCq: 1,
          rFactor: 120,
          lossRatioAvg: 1,
          mosDegradation: 5,
        }),
      },
    ],
    ["with another day than its times say, at revision 2", { revision: 2, recordDate: "2026-03-01" }],
  ];
  test.each(taken)("%s", (_, changes) => {
    expect(prepare(sampleCdr(changes)).refusal).toBeUndefined();
  });

  test("as a VOID with its identity alone, without verdict or parts", () => {
    const message = fromBinary(CallDetailRecordSchema, new Uint8Array());
    Object.assign(message, { recordId: "C-1", recordDate: "2026-03-14", kind: 2 });
    const prepared = prepare(message);
    expect(prepared.refusal).toBeUndefined();
    expect(prepared).toMatchObject({
      isVoid: true,
      candidates: [],
      startTime: undefined,
      row: { entryKind: 2, callId: null, qualityVerdict: 0 },
    });
    expect(prepared.quality ?? prepared.network).toBeUndefined();
  });

  test("with a warning when a time is up to 15 h ahead", () => {
    const warnings = prepare(sampleCdr({ times: { ...sampleTimes(), endTime: fromNow(54_000_000) } })).warnings;
    expect(warnings).toMatchObject([{ issue: RecordIssue.CLOCK_AHEAD, fieldPath: "times.end_time" }]);
  });
});

import { create, type DescMessage, type Message, type MessageInitShape } from "@bufbuild/protobuf";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { type CallDuration, CallDurationSchema } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import type { PrepareContext } from "../../src/upload/records/prepared.ts";

/** Fields to set or to replace. */
type Changes<T extends DescMessage> = Exclude<MessageInitShape<T>, Message>;

/** 2026-03-14T12:00:00Z: the clock of the samples. */
export const SAMPLE_NOW_MS = Date.UTC(2026, 2, 14, 12);

/** What the samples are prepared against. */
export const sampleContext: PrepareContext = {
  now: BigInt(SAMPLE_NOW_MS) * 1_000n,
  hashSecret: Buffer.alloc(32, 7),
  horizons: { firstDays: 120, laterDays: 400 },
};

/** A protobuf timestamp, so many milliseconds after the samples' clock. */
export function fromNow(ms: number): { seconds: bigint; nanos: number } {
  const at = SAMPLE_NOW_MS + ms;
  const seconds = Math.floor(at / 1_000);
  return { seconds: BigInt(seconds), nanos: (at - seconds * 1_000) * 1_000_000 };
}

/** A good duration: an answered call of 100 s that began an hour ago. */
export function sampleDuration(changes: Changes<typeof CallDurationSchema> = {}): CallDuration {
  return create(CallDurationSchema, {
    recordId: "D-1",
    recordDate: "2026-03-14",
    direction: 1,
    calling: { kind: 1, value: "+493012345678" },
    called: { kind: 1, value: "+12025550123" },
    inviteTime: fromNow(-3_600_000),
    answerTime: fromNow(-3_590_000),
    endTime: fromNow(-3_490_000),
    connectedDurationMs: 100_000n,
    answered: true,
    ...changes,
  });
}

/** A duration with every field that can be sent. */
export function fullDuration(): CallDuration {
  return sampleDuration({
    revision: 2,
    kind: 1,
    correlation: SAMPLE_CORRELATION,
    platformRecordId: "P-1",
    calling: { kind: 1, value: "+493012345678", countryCode: "AT", presentation: 1 },
    asserted: { kind: 1, value: "+493012345670", countryCode: "AT", presentation: 2 },
    called: { kind: 1, value: "+12025550123", countryCode: "CA", presentation: 1 },
    dialed: { kind: 4, value: "0012025550123", countryCode: "DE", presentation: 1 },
    redirecting: { kind: 1, value: "+493012345679", countryCode: "AT", presentation: 1 },
    utcOffsetMinutes: 60,
    timeResolutionMs: 1_000,
    billedDurationS: 120n,
    roundingRule: { incrementS: 60, minimumS: 60 },
    finalSipCode: 200,
    q850Cause: 16,
    customerReference: "customer 7",
    trunkId: "trunk-1",
    part: { partIndex: 1, partCount: 2, lastPart: false },
  });
}

/** A good call detail record: an answered call of 100 s that began an hour ago and rang for 7 s. */
export function sampleCdr(changes: Changes<typeof CallDetailRecordSchema> = {}): CallDetailRecord {
  return create(CallDetailRecordSchema, {
    recordId: "C-1",
    recordDate: "2026-03-14",
    callId: "call-1",
    direction: 1,
    parties: { calling: { kind: 1, value: "+493012345678" }, called: { kind: 1, value: "+12025550123" } },
    times: sampleTimes(),
    outcome: { finalSipCode: 200 },
    ...changes,
  });
}

/** The times of `sampleCdr`. */
export function sampleTimes() {
  return {
    inviteTime: fromNow(-3_600_000),
    ringingTime: fromNow(-3_597_000),
    answerTime: fromNow(-3_590_000),
    endTime: fromNow(-3_490_000),
  };
}

/** A call detail record with every field that can be sent. */
export function fullCdr(changes: Changes<typeof CallDetailRecordSchema> = {}): CallDetailRecord {
  return sampleCdr({
    revision: 2,
    kind: 1,
    completeness: 1,
    correlation: SAMPLE_CORRELATION,
    parties: {
      calling: { kind: 1, value: "+493012345678", countryCode: "AT", presentation: 1 },
      asserted: { kind: 1, value: "+493012345670", countryCode: "AT", presentation: 2 },
      called: { kind: 1, value: "+12025550123", countryCode: "CA", presentation: 1 },
      dialed: { kind: 4, value: "0012025550123", countryCode: "DE", presentation: 1 },
      redirecting: { kind: 1, value: "+493012345679", countryCode: "AT", presentation: 1 },
      attestation: 1,
    },
    callType: 1,
    lengths: {
      setupDurationMs: 3_010n,
      ringDurationMs: 7_010n,
      connectedDurationMs: 100_010n,
      totalDurationMs: 110_010n,
    },
    outcome: {
      finalSipCode: 200,
      q850Cause: 16,
      reasonPhrase: "Normal call clearing",
      vendorSubcode: 10_000,
      releaseParty: 1,
      failureStage: 4,
      closeReason: "hung up",
    },
    route: { trunkId: "trunk-1", signalingRegion: "euwe", mediaRegion: "euwe-2", mediaBypass: true, codec: "PCMA" },
    streamQualities: [SAMPLE_STREAM, { ...SAMPLE_STREAM, direction: 2, mosLq: 3.9 }],
    networkIdentifiers: {
      platformMediaAddress: "192.0.2.1",
      carrierMediaAddress: "2001:db8::1",
      carrierSignalingAddress: "198.51.100.1",
      userAgent: "SBC/1.0",
    },
    ...changes,
  });
}

const SAMPLE_CORRELATION = {
  interconnectDialog: { callId: "a84b4c76e66710@sbc.example", fromTag: "1928301774", toTag: "a6c85cf" },
  correlationId: "corr-1",
  sessionId: `${"0123456789abcdef".repeat(2)};${"f".repeat(32)}`,
  icid: "icid-1",
  legIndex: 1,
};

/** A stream with every measure, none of which passes a threshold. */
export const SAMPLE_STREAM = {
  direction: 1,
  edge: 2,
  packetsSent: 5_000n,
  packetsReceived: 4_990n,
  packetsLost: 10n,
  lossRatioAvg: 0.002,
  lossRatioMax: 0.01,
  discardRatio: 0.001,
  jitterAvgMs: 4,
  jitterMaxMs: 12,
  roundTripAvgMs: 80,
  roundTripMaxMs: 120,
  endSystemDelayMs: 60,
  mosLq: 4.2,
  mosCq: 4.1,
  mosAlgorithm: "G.107",
  rFactor: 92,
  concealedRatio: 0.01,
  mosDegradation: 0.2,
  burstDensity: 0.1,
  burstDurationMs: 100,
  gapDensity: 0.01,
  gapDurationMs: 4_000,
  codec: "PCMA",
};

import { WireReader } from "../../domain/wire-reader.ts";
import type { WireWriter } from "../../domain/wire-writer.ts";
import {
  type CallDetailRecord,
  CallDetailRecordSchema,
  CallLengthsSchema,
  CallOutcomeSchema,
  CallPartiesSchema,
  CallRouteSchema,
  CallTimesSchema,
  Completeness,
  NetworkIdentifiersSchema,
} from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { CorrelationSchema, InterconnectDialogSchema, RecordKind } from "../../gen/tandem/type/v1/call_pb.js";
import { StreamQualitySchema } from "../../gen/tandem/type/v1/stream_quality_pb.js";
import { PARTY, TIMESTAMP } from "./decoded-types.ts";
import { compileDecoder, decodedType } from "./message-decoder.ts";
import { MAX_RECORD_BYTES } from "./record-limits.ts";

/** Fields that Tandem sets. What is sent in them is for `fromBinary` to read. */
export const OUTPUT_ONLY = [
  "carrier_id",
  "attribution",
  "quality_verdict",
  "quality_reasons",
  "sequence",
  "ingest_time",
];

/**
 * Reads a call detail record of ordinary form from bytes `[start, end)`, as `decodeDuration` reads
 * a duration: with the result of protobuf-es, or undefined.
 */
export function decodeCdr(bytes: Buffer, start: number, end: number): CallDetailRecord | undefined {
  if (end - start > MAX_RECORD_BYTES) return undefined;
  reader.open(bytes, start, end);
  const message = readCdr(reader, end);
  if (reader.position !== end) return undefined;
  decoded = { message, bytes, start, end };
  return message;
}

/**
 * Writes a record's content: first of the call, then what was measured. It is what was sent, with
 * the defaults of revision, kind and completeness filled in. Works only for the record that was
 * decoded last, and only if an encoder would write the same bytes; else it writes nothing.
 * @returns where the content of the call ends; -1: nothing was written.
 */
export function writeDecodedCdr(writer: WireWriter, message: CallDetailRecord): number {
  if (decoded.message !== message || !reader.isCanonical) return NOT_WRITTEN;
  const { bytes, start, end } = decoded;
  const measuredAt = firstTag(STREAMS, firstTag(NETWORK, end));
  let from = start;
  for (const { number, tag, value } of DEFAULTS) {
    if (tagStarts[number] !== ABSENT) continue;
    const at = nextTagAfter(number, measuredAt);
    writer.rawPart(bytes, from, at);
    writer.uint32(tag);
    writer.uint32(value);
    from = at;
  }
  writer.rawPart(bytes, from, measuredAt);
  const callEnd = writer.position;
  writer.rawPart(bytes, measuredAt, end);
  return callEnd;
}

/** Writes what was sent of the record's streams, each with its verdict behind it. */
export function writeDecodedStreams(writer: WireWriter, verdicts: readonly StreamVerdict[]): void {
  const { itemBounds } = readCdr;
  for (let index = 0; index < verdicts.length; index++) {
    const { verdict, reasons } = verdicts[index] as StreamVerdict;
    writer.uint32((STREAMS << 3) | DELIMITED);
    const mark = writer.open();
    writer.rawPart(decoded.bytes, itemBounds[2 * index] as number, itemBounds[2 * index + 1] as number);
    if (verdict !== 0) {
      writer.uint32(VERDICT << 3);
      writer.uint32(verdict);
    }
    if (reasons.length > 0) {
      writer.uint32((REASONS << 3) | DELIMITED);
      const list = writer.open();
      for (const reason of reasons) writer.uint32(reason);
      writer.close(list);
    }
    writer.close(mark);
  }
}

/** Writes what was sent of the record's network identifiers. */
export function writeDecodedNetwork(writer: WireWriter): void {
  writer.rawPart(decoded.bytes, firstTag(NETWORK, decoded.end), decoded.end);
}

/** What a stream was judged as. */
interface StreamVerdict {
  readonly verdict: number;
  readonly reasons: readonly number[];
}

const NOT_WRITTEN = -1;
const ABSENT = -1;
const DELIMITED = 2;
const { field: FIELDS } = CallDetailRecordSchema;
const STREAMS = FIELDS.streamQualities.number;
const NETWORK = FIELDS.networkIdentifiers.number;
const VERDICT = StreamQualitySchema.field.verdict.number;
const REASONS = StreamQualitySchema.field.reasons.number;
/** What is written of fields that are absent, in their order. */
const DEFAULTS = [
  { number: FIELDS.revision.number, value: 1 },
  { number: FIELDS.kind.number, value: RecordKind.REPORT },
  { number: FIELDS.completeness.number, value: Completeness.COMPLETE },
].map((field) => ({ ...field, tag: field.number << 3 }));

// Where a field begins that was read last.
function firstTag(number: number, ifAbsent: number): number {
  const at = tagStarts[number] as number;
  return at === ABSENT ? ifAbsent : at;
}

function nextTagAfter(number: number, end: number): number {
  for (let next = number + 1; next < STREAMS; next++) {
    const at = tagStarts[next] as number;
    if (at !== ABSENT) return at;
  }
  return end;
}

// What was decoded last.
let decoded: { message: CallDetailRecord | undefined; bytes: Buffer; start: number; end: number } = {
  message: undefined,
  bytes: Buffer.alloc(0),
  start: 0,
  end: 0,
};

// Shared: records are decoded one at a time.
const reader = new WireReader();

const readCdr = compileDecoder(CallDetailRecordSchema, [
  decodedType(
    CallDetailRecordSchema,
    (v) => ({
      $typeName: "tandem.type.v1.CallDetailRecord",
      recordId: v[1],
      recordDate: v[2],
      revision: v[3],
      kind: v[4],
      completeness: v[5],
      carrierId: v[6],
      attribution: v[7],
      callId: v[8],
      correlation: v[9],
      parties: v[10],
      direction: v[11],
      callType: v[12],
      times: v[13],
      lengths: v[14],
      outcome: v[15],
      route: v[16],
      streamQualities: v[17] ?? [],
      qualityVerdict: v[18],
      qualityReasons: v[19] ?? [],
      networkIdentifiers: v[20],
      sequence: v[21],
      ingestTime: v[22],
    }),
    {
      omit: OUTPUT_ONLY,
      copied: ["record_id", "call_id"],
      shared: ["record_date"],
      // Lengths that follow from the times are no content.
      optional: ["lengths"],
    },
  ),
  decodedType(
    CorrelationSchema,
    (v) => ({
      $typeName: "tandem.type.v1.Correlation",
      interconnectDialog: v[1],
      correlationId: v[2],
      sessionId: v[3],
      icid: v[4],
      legIndex: v[5],
    }),
    { copied: ["correlation_id"] },
  ),
  decodedType(
    InterconnectDialogSchema,
    (v) => ({ $typeName: "tandem.type.v1.InterconnectDialog", callId: v[1], fromTag: v[2], toTag: v[3] }),
    { copied: ["call_id"] },
  ),
  decodedType(CallPartiesSchema, (v) => ({
    $typeName: "tandem.type.v1.CallParties",
    calling: v[1],
    asserted: v[2],
    called: v[3],
    dialed: v[4],
    redirecting: v[5],
    attestation: v[6],
  })),
  PARTY,
  decodedType(CallTimesSchema, (v) => ({
    $typeName: "tandem.type.v1.CallTimes",
    inviteTime: v[1],
    ringingTime: v[2],
    answerTime: v[3],
    endTime: v[4],
  })),
  TIMESTAMP,
  decodedType(CallLengthsSchema, (v) => ({
    $typeName: "tandem.type.v1.CallLengths",
    setupDurationMs: v[1],
    ringDurationMs: v[2],
    connectedDurationMs: v[3],
    totalDurationMs: v[4],
  })),
  decodedType(CallOutcomeSchema, (v) => ({
    $typeName: "tandem.type.v1.CallOutcome",
    finalSipCode: v[1],
    q850Cause: v[2],
    reasonPhrase: v[3],
    vendorSubcode: v[4],
    releaseParty: v[5],
    failureStage: v[6],
    closeReason: v[7],
  })),
  decodedType(
    CallRouteSchema,
    (v) => ({
      $typeName: "tandem.type.v1.CallRoute",
      trunkId: v[1],
      signalingRegion: v[2],
      mediaRegion: v[3],
      mediaBypass: v[4],
      codec: v[5],
    }),
    { copied: ["trunk_id", "codec"] },
  ),
  decodedType(
    StreamQualitySchema,
    (v) => ({
      $typeName: "tandem.type.v1.StreamQuality",
      direction: v[1],
      edge: v[2],
      packetsSent: v[3],
      packetsReceived: v[4],
      packetsLost: v[5],
      lossRatioAvg: v[6],
      lossRatioMax: v[7],
      discardRatio: v[8],
      jitterAvgMs: v[9],
      jitterMaxMs: v[10],
      roundTripAvgMs: v[11],
      roundTripMaxMs: v[12],
      endSystemDelayMs: v[13],
      mosLq: v[14],
      mosCq: v[15],
      mosAlgorithm: v[16],
      rFactor: v[17],
      concealedRatio: v[18],
      mosDegradation: v[19],
      burstDensity: v[20],
      burstDurationMs: v[21],
      gapDensity: v[22],
      gapDurationMs: v[23],
      codec: v[24],
      verdict: v[25],
      reasons: v[26] ?? [],
    }),
    { omit: ["verdict", "reasons"] },
  ),
  decodedType(NetworkIdentifiersSchema, (v) => ({
    $typeName: "tandem.type.v1.NetworkIdentifiers",
    platformMediaAddress: v[1],
    carrierMediaAddress: v[2],
    carrierSignalingAddress: v[3],
    userAgent: v[4],
  })),
]);

const { tagStarts } = readCdr;

import { WireReader } from "../../domain/wire-reader.ts";
import { varintBytes, type WireWriter } from "../../domain/wire-writer.ts";
import {
  type CallDuration,
  CallDurationSchema,
  CallPartSchema,
  RoundingRuleSchema,
} from "../../gen/tandem/type/v1/call_duration_pb.js";
import { CorrelationSchema, InterconnectDialogSchema, RecordKind } from "../../gen/tandem/type/v1/call_pb.js";
import { PARTY, TIMESTAMP } from "./decoded-types.ts";
import { compileDecoder, decodedType } from "./message-decoder.ts";

/** Fields that Tandem sets. What a carrier sends in them is for `fromBinary` to read. */
export const OUTPUT_ONLY = ["sequence", "ingest_time", "state", "customer_id"];

/**
 * Reads a duration of ordinary form from bytes `[start, end)`, in a fraction of the time of
 * protobuf-es's `fromBinary` and with the same result. Returns undefined for everything else that
 * may come over the wire, right or wrong: a field that is not listed here, another wire type, a
 * negative or huge integer, a text beyond ASCII, a sub-message in two parts, an encoding that ends
 * too early. Those are for `fromBinary` to read, so that a new field of the contract works, only
 * slower.
 */
export function decodeDuration(bytes: Buffer, start: number, end: number): CallDuration | undefined {
  reader.open(bytes, start, end);
  const message = readDuration(reader, end);
  if (reader.position !== end) return undefined;
  decoded = { message, bytes, start, end };
  return message;
}

/**
 * Writes a duration's content: what it was sent as, with the defaults of revision and kind filled
 * in. Works only for the message that was decoded last, and only if an encoder would write the same
 * bytes; else it writes nothing and returns false.
 */
export function writeDecodedContent(writer: WireWriter, message: CallDuration): boolean {
  if (decoded.message !== message || !reader.isCanonical) return false;
  const { bytes, start, end } = decoded;
  const { recordId, recordDate, revision, kind } = message;
  const revisionAt = start + textBytes(recordId) + textBytes(recordDate);
  const kindAt = revisionAt + (revision === undefined ? 0 : 1 + varintBytes(revision));
  writer.rawPart(bytes, start, revisionAt);
  if (revision === undefined) writer.raw(FIRST_REVISION);
  writer.rawPart(bytes, revisionAt, kindAt);
  if (kind === RecordKind.UNSPECIFIED) writer.raw(REPORT);
  writer.rawPart(bytes, kindAt, end);
  return true;
}

const FIRST_REVISION = Uint8Array.of(CallDurationSchema.field.revision.number << 3, 1);
const REPORT = Uint8Array.of(CallDurationSchema.field.kind.number << 3, RecordKind.REPORT);

// How many bytes a text takes that is ASCII and is not written when it is empty.
function textBytes({ length }: string): number {
  return length === 0 ? 0 : 1 + varintBytes(length) + length;
}

// What was decoded last.
let decoded: { message: CallDuration | undefined; bytes: Buffer; start: number; end: number } = {
  message: undefined,
  bytes: Buffer.alloc(0),
  start: 0,
  end: 0,
};

// Shared: records are decoded one at a time. What it cannot read moves it past every end, so that
// all loops end.
const reader = new WireReader();

const readDuration = compileDecoder(CallDurationSchema, [
  decodedType(
    CallDurationSchema,
    (v) => ({
      $typeName: "tandem.type.v1.CallDuration",
      recordId: v[1],
      recordDate: v[2],
      revision: v[3],
      kind: v[4],
      correlation: v[5],
      platformRecordId: v[6],
      direction: v[7],
      calling: v[8],
      asserted: v[9],
      called: v[10],
      dialed: v[11],
      redirecting: v[12],
      inviteTime: v[13],
      answerTime: v[14],
      endTime: v[15],
      utcOffsetMinutes: v[16],
      timeResolutionMs: v[17],
      connectedDurationMs: v[18],
      billedDurationS: v[19],
      roundingRule: v[20],
      answered: v[21],
      finalSipCode: v[22],
      q850Cause: v[23],
      customerReference: v[24],
      trunkId: v[25],
      part: v[26],
      sequence: v[27],
      ingestTime: v[28],
      state: v[29],
      customerId: v[30],
    }),
    { omit: OUTPUT_ONLY, copied: ["record_id"], shared: ["record_date"] },
  ),
  decodedType(CorrelationSchema, (v) => ({
    $typeName: "tandem.type.v1.Correlation",
    interconnectDialog: v[1],
    correlationId: v[2],
    sessionId: v[3],
    icid: v[4],
    legIndex: v[5],
  })),
  decodedType(InterconnectDialogSchema, (v) => ({
    $typeName: "tandem.type.v1.InterconnectDialog",
    callId: v[1],
    fromTag: v[2],
    toTag: v[3],
  })),
  PARTY,
  TIMESTAMP,
  decodedType(RoundingRuleSchema, (v) => ({
    $typeName: "tandem.type.v1.RoundingRule",
    incrementS: v[1],
    minimumS: v[2],
  })),
  decodedType(CallPartSchema, (v) => ({
    $typeName: "tandem.type.v1.CallPart",
    partIndex: v[1],
    partCount: v[2],
    lastPart: v[3],
  })),
]);

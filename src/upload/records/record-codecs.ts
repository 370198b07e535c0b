import { fromBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { CDR, DURATION } from "../../domain/record-kind.ts";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { type CallDuration, CallDurationSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { RecordKind } from "../../gen/tandem/type/v1/call_pb.js";
import type { DurationRow } from "../../store/records/record-rows.ts";
import type { Attribution, RecordCodec, RecordIdentity } from "../record-codec.ts";
import { type CdrColumns, prepareCdr } from "./cdr-preparation.ts";
import { prepareDuration } from "./duration-preparation.ts";
import { maskedRecordJson } from "./masked-record-json.ts";
import { prepareOrdinaryDuration } from "./ordinary-duration.ts";
import type { PreparedRecord } from "./prepared.ts";
import { type DurationColumns, PreparedDuration } from "./prepared-duration.ts";

/** Durations, as a carrier uploads them. */
export const durationCodec: RecordCodec<CallDuration> = {
  kind: DURATION,
  prepare: prepareDuration,
  prepareEncoded: prepareOrdinaryDuration,
  row: durationRow,
  encode: (prepared) => prepared.payload,
  decode: (bytes) => fromBinary(CallDurationSchema, bytes),
  identity: identityOf,
  connectedDurationMs: (message) => message.connectedDurationMs,
  maskedJson: (message) => maskedRecordJson(CallDurationSchema, message),
};

/** Call detail records, as the platform ingests them. */
export const cdrCodec: RecordCodec<CallDetailRecord> = {
  kind: CDR,
  prepare: prepareCdr,
  row: (prepared, carrierId, attribution) => ({
    ...(prepared.row as CdrColumns),
    payload: Buffer.concat([prepared.payload, encodeAttribution(carrierId, attribution)]),
    quality: prepared.quality,
    network: prepared.network,
  }),
  encode: encodeWhole,
  decode: (bytes) => fromBinary(CallDetailRecordSchema, bytes),
  identity: identityOf,
  connectedDurationMs: (message) => message.lengths?.connectedDurationMs,
  maskedJson: (message) => maskedRecordJson(CallDetailRecordSchema, message),
};

function durationRow(prepared: PreparedRecord<unknown>): DurationRow {
  if (prepared instanceof PreparedDuration) return prepared.wholeRow();
  return { ...(prepared.row as DurationColumns), payload: prepared.payload };
}

function identityOf({ recordId, recordDate, revision, kind }: CallDuration | CallDetailRecord): RecordIdentity {
  return { recordId, recordDate, revision, isVoid: kind === RecordKind.VOID };
}

const { carrierId: CARRIER_ID, attribution: ATTRIBUTION } = CallDetailRecordSchema.field;

// Encodings of one message merge when they are joined, so what Tandem adds at ingest is simply
// appended.
function encodeAttribution(carrierId: string, attribution: Attribution | undefined): Uint8Array {
  const writer = new BinaryWriter().tag(CARRIER_ID.number, WireType.LengthDelimited).string(carrierId);
  if (attribution) {
    writer.tag(ATTRIBUTION.number, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(attribution.phoneNumber);
    writer.tag(2, WireType.LengthDelimited).string(attribution.customerId);
    writer.tag(3, WireType.Varint).int32(attribution.basis);
    writer.join();
  }
  return writer.finish();
}

function encodeWhole(prepared: PreparedRecord<unknown>): Uint8Array {
  const parts = [prepared.payload, prepared.quality?.payload, prepared.network?.payload];
  return Buffer.concat(parts.filter((part) => part !== undefined));
}

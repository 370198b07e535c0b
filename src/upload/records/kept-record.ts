import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import type { Party } from "../../domain/calls/party.ts";
import { PARTY_NAMES, type PartyName } from "../../domain/privacy/erasure.ts";
import { CDR } from "../../domain/record-kind.ts";
import type { CallDetailRecord } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { CallDetailRecordSchema, CallPartiesSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { type CallDuration, CallDurationSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { PartyKind, PartySchema } from "../../gen/tandem/type/v1/party_pb.js";
import type { RecordCodec } from "../record-codec.ts";
import type { PrepareContext, PreparedRecord } from "./prepared.ts";

type Parties = { [Name in PartyName]?: Party | undefined };

/**
 * Prepares a quarantined record. A party that was erased meanwhile could not be sent as it is now:
 * it is checked as one that the network did not deliver, and the mark of its erasure is appended to
 * the encoded record, where it merges.
 */
export function prepareKept<Message>(
  codec: RecordCodec<Message>,
  payload: Uint8Array,
  context: PrepareContext,
): PreparedRecord<unknown> {
  const message = codec.decode(Buffer.from(payload));
  const isCdr = codec.kind === CDR;
  const holder = (isCdr ? (message as CallDetailRecord).parties : (message as CallDuration)) as Parties | undefined;
  const erased = PARTY_NAMES.filter((name) => holder?.[name]?.kind === PartyKind.ERASED);
  for (const name of erased) {
    const party = holder?.[name];
    if (party) party.kind = PartyKind.UNAVAILABLE;
  }
  const prepared = codec.prepare(message, context);
  if (erased.length === 0) return prepared;
  const encoded = isCdr ? encodeCdrParties(erased) : encodeDurationParties(erased);
  return withPayload(prepared, Buffer.concat([prepared.payload, encoded]));
}

const { number: PARTIES } = CallDetailRecordSchema.field.parties;
const { number: KIND } = PartySchema.field.kind;

function encodeCdrParties(names: readonly PartyName[]): Uint8Array {
  const writer = new BinaryWriter().tag(PARTIES, WireType.LengthDelimited).fork();
  for (const name of names) writeErased(writer, CallPartiesSchema.field[name].number);
  return writer.join().finish();
}

function encodeDurationParties(names: readonly PartyName[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const name of names) writeErased(writer, CallDurationSchema.field[name].number);
  return writer.finish();
}

function writeErased(writer: BinaryWriter, field: number): void {
  writer.tag(field, WireType.LengthDelimited).fork().tag(KIND, WireType.Varint).int32(PartyKind.ERASED).join();
}

// A prepared record may have getters, which a spread would lose.
function withPayload(prepared: PreparedRecord<unknown>, payload: Uint8Array): PreparedRecord<unknown> {
  const { refusal, quality, network } = prepared;
  return {
    recordId: prepared.recordId,
    recordDate: prepared.recordDate,
    revision: prepared.revision,
    isVoid: prepared.isVoid,
    contentHash: 0n,
    partyHash: prepared.partyHash,
    connectedDurationMs: prepared.connectedDurationMs,
    warnings: prepared.warnings,
    candidates: prepared.candidates,
    startTime: prepared.startTime,
    row: prepared.row,
    payload,
    payloadBytes: payload.length,
    ...(refusal && { refusal }),
    ...(quality && { quality }),
    ...(network && { network }),
  };
}

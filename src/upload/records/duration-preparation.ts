import { MAX_ID } from "../../domain/calls/call-fields.ts";
import { checkDuration, checkDurationOptional } from "../../domain/calls/duration-checks.ts";
import { partyHashOf } from "../../domain/calls/party-hash.ts";
import { HashedContent, hashContent, hashText } from "../../domain/calls/record-hash.ts";
import { microsFromTimestamp } from "../../domain/time/instant.ts";
import { WireWriter } from "../../domain/wire-writer.ts";
import { type CallDuration, CallDurationSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { RecordKind } from "../../gen/tandem/type/v1/call_pb.js";
import { attributionCandidates, hasDerivedCountry, partyText, writeDerivedCountries } from "./call-parties.ts";
import { OUTPUT_ONLY, writeDecodedContent } from "./duration-decoder.ts";
import { compileEncoder } from "./message-encoder.ts";
import { dropWrongFields } from "./optional-fields.ts";
import type { PrepareContext, PreparedRecord } from "./prepared.ts";
import { type DurationColumns, Head, makeRoom, PreparedDuration, writeHead } from "./prepared-duration.ts";
import { refusedRecord, sizeRefusal, toldWarnings } from "./record-limits.ts";
import { unknownFieldsWarning } from "./unknown-fields.ts";

/**
 * Checks, normalises and encodes an uploaded duration. Never throws, and leaves the message as it
 * is.
 */
export function prepareDuration(
  sent: CallDuration,
  context: PrepareContext,
): PreparedRecord<DurationColumns | undefined> {
  const { message, dropped } = dropWrongFields(CallDurationSchema, sent, checkDurationOptional);
  const { horizons } = context;
  const { fault, warnings } = checkDuration(message, dropped, { nowMs: Number(context.now) / 1_000, horizons });

  writer.reset();
  const hasUnknown = writeContent(message);
  const { recordId, recordDate, direction, connectedDurationMs } = message;
  const revision = message.revision ?? 1;
  const isVoid = message.kind === RecordKind.VOID;
  const contentHash = hashContent(context.hashSecret, HashedContent.DURATION, writer.written());
  const mayBeLarge =
    fault !== undefined || hasUnknown || dropped.length > 0 || (message.customerId?.length ?? 0) > MAX_ID;
  const refusal = (mayBeLarge ? sizeRefusal(CallDurationSchema, sent) : undefined) ?? fault;
  if (refusal) {
    const identity = { recordId, recordDate, revision, isVoid, contentHash };
    return refusedRecord({ ...identity, connectedDurationMs: connectedDurationMs ?? 0n }, refusal);
  }
  writeDerivedCountries(writer, message, PARTY_FIELDS);
  const start = message.inviteTime ?? message.answerTime;
  const startTime = start === undefined ? undefined : microsFromTimestamp(start);
  const parties = partyText(direction, connectedDurationMs, message);
  const partyHash = partyHashOf(hashText(context.hashSecret, HashedContent.DURATION_PARTIES, parties), startTime);
  const payload = writer.written();
  const { slab, payload: payloadAt } = makeRoom(payload.length);
  payload.copy(slab.bytes, payloadAt);
  writeHead(Head.CONTENT_HASH, contentHash);
  writeHead(Head.PARTY_HASH, partyHash);
  writeHead(Head.START_TIME, startTime);
  writeHead(Head.CONNECTED_MS, connectedDurationMs);
  const parts = {
    recordId,
    recordDate,
    revision,
    isVoid,
    direction,
    trunkId: message.trunkId,
    partIndex: message.part?.partIndex,
    warnings: toldWarnings(...warnings, hasUnknown ? unknownFieldsWarning(CallDurationSchema, message) : undefined),
    candidates: attributionCandidates(direction, message),
  };
  return new PreparedDuration(parts, payloadAt + payload.length);
}

// Returns whether it, or a message within it, had fields that this server does not know.
function writeContent(message: CallDuration): boolean {
  return !writeDecodedContent(writer, message) && encodeDurationContent(writer, message);
}

// Shared: records are prepared one at a time.
const writer = new WireWriter();
/** Writes a duration's content, field by field. */
export const encodeDurationContent = compileEncoder(CallDurationSchema, {
  omit: OUTPUT_ONLY,
  defaults: { revision: 1, kind: RecordKind.REPORT },
  omitWhen: { "tandem.type.v1.Party.country_code": hasDerivedCountry },
});
const PARTY_FIELDS = { calling: 8, asserted: 9, called: 10, dialed: 11, redirecting: 12 } as const;

import { isNetworkEffective, type PhaseLengths } from "../../domain/calls/call-rules.ts";
import { checkCdr, checkCdrOptional } from "../../domain/calls/cdr-checks.ts";
import { type CallFacts, factsOf } from "../../domain/calls/cdr-facts.ts";
import { e164Of } from "../../domain/calls/party.ts";
import { partyHashOf } from "../../domain/calls/party-hash.ts";
import { type CallQuality, isTooShort, judgeCall, judgeStreams } from "../../domain/calls/quality.ts";
import { HashedContent, hashContent, hashText } from "../../domain/calls/record-hash.ts";
import { microsFromTimestamp } from "../../domain/time/instant.ts";
import { WireWriter } from "../../domain/wire-writer.ts";
import {
  type CallDetailRecord,
  CallDetailRecordSchema,
  type CallLengths,
  Completeness,
  type NetworkIdentifiers,
} from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { RecordKind } from "../../gen/tandem/type/v1/call_pb.js";
import type { StreamQuality } from "../../gen/tandem/type/v1/stream_quality_pb.js";
import { type CdrRow, EntryKind, type QualityRow } from "../../store/records/record-rows.ts";
import { attributionCandidates, hasDerivedCountry, partyText, writeDerivedCountries } from "./call-parties.ts";
import { OUTPUT_ONLY, writeDecodedCdr, writeDecodedNetwork, writeDecodedStreams } from "./cdr-decoder.ts";
import { contentLengths, derivedLengths } from "./cdr-lengths.ts";
import { compileEncoder } from "./message-encoder.ts";
import { dropWrongFields } from "./optional-fields.ts";
import type { PrepareContext, PreparedRecord } from "./prepared.ts";
import { refusedRecord, sizeRefusal, toldWarnings } from "./record-limits.ts";
import { unknownFieldsWarning } from "./unknown-fields.ts";

/**
 * The columns of a call detail record that come from its message alone, its encoded parts apart.
 */
export type CdrColumns = Omit<CdrRow, "payload" | "quality" | "network">;

/**
 * Checks, normalises, judges and encodes an uploaded call detail record. Never throws, and leaves
 * the message as it is.
 */
export function prepareCdr(sent: CallDetailRecord, context: PrepareContext): PreparedRecord<CdrColumns | undefined> {
  const { message, dropped } = dropWrongFields(CallDetailRecordSchema, sent, checkCdrOptional);
  const isVoid = message.kind === RecordKind.VOID;
  const call = factsOf(message);
  const { horizons } = context;
  const { fault, warnings } = checkCdr(message, call, dropped, { nowMs: Number(context.now) / 1_000, horizons });

  const content = contentOf(message, call.derived);
  writer.reset();
  const { isCopied, callBytes, hasUnknown } = writeContent(message, content);
  const contentHash = hashContent(context.hashSecret, HashedContent.CDR, writer.bytes.subarray(0, writer.position));
  const identity = {
    recordId: message.recordId,
    recordDate: message.recordDate,
    revision: message.revision ?? 1,
    isVoid,
    contentHash,
  };
  const connectedDurationMs = message.lengths?.connectedDurationMs ?? 0n;
  const mayBeLarge = fault !== undefined || hasUnknown || dropped.length > 0 || hasMuchOutput(message);
  const refusal = (mayBeLarge ? sizeRefusal(CallDetailRecordSchema, sent) : undefined) ?? fault;
  if (refusal) return refusedRecord({ ...identity, connectedDurationMs }, refusal);

  writer.position = callBytes;
  const quality = judge(message, call);
  writeDerived(content, call, quality);
  const payload = writer.copyFrom(0);
  const invite = message.times?.inviteTime ?? message.times?.answerTime;
  const startTime = invite === undefined ? undefined : microsFromTimestamp(invite);
  const parties = partyText(message.direction, call.connectedDurationMs, message.parties ?? NO_PARTIES);
  return {
    ...identity,
    partyHash: partyHashOf(hashText(context.hashSecret, HashedContent.CDR_PARTIES, parties), startTime),
    connectedDurationMs,
    warnings: toldWarnings(...warnings, hasUnknown ? unknownFieldsWarning(CallDetailRecordSchema, message) : undefined),
    candidates: attributionCandidates(message.direction, message.parties ?? NO_PARTIES),
    startTime,
    row: columnsOf(message, call, quality),
    payload,
    payloadBytes: payload.length,
    ...qualityPart(message, quality, isCopied),
    ...networkPart(content, isCopied),
  };
}

// First the call, up to `callBytes`, then what was measured. It is copied if that gives the same.
function writeContent(message: CallDetailRecord, content: CallDetailRecord) {
  const isWhole = content.networkIdentifiers === message.networkIdentifiers;
  const copiedBytes = isWhole ? writeDecodedCdr(writer, message) : -1;
  if (copiedBytes >= 0) return { isCopied: true, callBytes: copiedBytes, hasUnknown: false };
  const unknownInCall = encodeCall(writer, content);
  const callBytes = writer.position;
  const unknownInLengths = (message.lengths?.$unknown?.length ?? 0) > 0;
  const hasUnknown = encodeMeasured(writer, content) || unknownInCall || unknownInLengths;
  return { isCopied: false, callBytes, hasUnknown };
}

interface JudgedCall extends CallQuality {
  /** 0 for a VOID without streams, of which nothing is said. */
  column: number;
  streams: { verdict: number; reasons: number[] }[];
}

const never = () => true;
// Shared: records are prepared one at a time.
const writer = new WireWriter();
const encodeCall = compileEncoder(CallDetailRecordSchema, {
  omit: [...OUTPUT_ONLY, "stream_qualities", "network_identifiers"],
  defaults: { revision: 1, kind: RecordKind.REPORT, completeness: Completeness.COMPLETE },
  omitWhen: { "tandem.type.v1.Party.country_code": hasDerivedCountry },
});
const encodeMeasured = compileEncoder(CallDetailRecordSchema, {
  only: ["stream_qualities", "network_identifiers"],
  omitWhen: { "tandem.type.v1.StreamQuality.verdict": never, "tandem.type.v1.StreamQuality.reasons": never },
});
// A verdict on streams, and its reasons, belong to the quality part with the streams, and are
// deleted with it. A verdict on a call without streams means nothing.
const encodeDerived = compileEncoder(CallDetailRecordSchema, {
  only: ["lengths", "quality_verdict", "quality_reasons"],
});
const encodeQuality = compileEncoder(CallDetailRecordSchema, {
  only: ["stream_qualities", "quality_verdict", "quality_reasons"],
});
const encodeNetwork = compileEncoder(CallDetailRecordSchema, { only: ["network_identifiers"] });

/**
 * The field of CallDetailRecord that holds the parties, with its wire type; and the fields of the
 * parties in it.
 */
const PARTIES_TAG = (10 << 3) | 2;
const PARTY_FIELDS = { calling: 1, asserted: 2, called: 3, dialed: 4, redirecting: 5 } as const;
const NO_PARTIES = {};
/** Output-only fields smaller than this cannot make a record too large. */
const MUCH_OUTPUT = 1_000;

// A length that follows from the times is not content: it may be sent or left to be derived, and
// what is stored prepares to the same hash.
function contentOf(message: CallDetailRecord, derived: PhaseLengths): CallDetailRecord {
  const lengths = message.lengths && contentLengths(message.lengths, derived);
  const { networkIdentifiers: sent } = message;
  const networkIdentifiers = sent !== undefined && hasIdentifiers(sent) ? sent : undefined;
  // `delete` would make a slow object of it. Encoders take undefined for absent.
  return { ...message, lengths, networkIdentifiers } as CallDetailRecord;
}

function hasIdentifiers(network: NetworkIdentifiers): boolean {
  const { platformMediaAddress, carrierMediaAddress, carrierSignalingAddress, userAgent } = network;
  return [platformMediaAddress, carrierMediaAddress, carrierSignalingAddress, userAgent].some(
    (value) => value !== undefined,
  );
}

function hasMuchOutput(message: CallDetailRecord): boolean {
  const { attribution } = message;
  const characters =
    message.carrierId.length + (attribution?.phoneNumber.length ?? 0) + (attribution?.customerId.length ?? 0);
  const reasons = message.streamQualities.reduce(
    (sum, stream) => sum + stream.reasons.length,
    message.qualityReasons.length,
  );
  return (
    characters + reasons > MUCH_OUTPUT ||
    attribution?.$unknown !== undefined ||
    message.ingestTime?.$unknown !== undefined
  );
}

function judge(message: CallDetailRecord, call: CallFacts): JudgedCall {
  const connectedMs = call.sent.connectedMs ?? call.derived.connectedMs;
  const tooShort = isTooShort(call.answered, connectedMs);
  const streams = judgeStreams(message.streamQualities, tooShort, connectedMs);
  const quality = judgeCall(streams, tooShort);
  const isSilent = message.kind === RecordKind.VOID && streams.length === 0;
  return { ...quality, reasons: isSilent ? [] : quality.reasons, column: isSilent ? 0 : quality.verdict, streams };
}

// Appended to what was sent, in parts that merge with it when read: the countries, the lengths that
// were absent, the verdict.
function writeDerived(content: CallDetailRecord, call: CallFacts, quality: JudgedCall): void {
  if (content.parties !== undefined) {
    const start = writer.position;
    writer.uint32(PARTIES_TAG);
    const mark = writer.open();
    writeDerivedCountries(writer, content.parties, PARTY_FIELDS);
    if (writer.position === mark + 1) writer.position = start;
    else writer.close(mark);
  }
  const isWithStreams = quality.streams.length > 0;
  const derived: Pick<CallDetailRecord, "qualityVerdict" | "qualityReasons"> & { lengths: CallLengths | undefined } = {
    lengths: derivedLengths(content.lengths, call.derived),
    qualityVerdict: isWithStreams ? 0 : quality.column,
    qualityReasons: isWithStreams ? [] : quality.reasons,
  };
  encodeDerived(writer, derived as CallDetailRecord);
}

function qualityPart(
  { streamQualities }: CallDetailRecord,
  quality: JudgedCall,
  isCopied: boolean,
): { quality?: QualityRow } {
  if (quality.streams.length === 0) return {};
  writer.reset();
  if (isCopied) writeDecodedStreams(writer, quality.streams);
  const encoded: Pick<CallDetailRecord, "streamQualities" | "qualityVerdict" | "qualityReasons"> = {
    streamQualities: isCopied ? [] : judgedStreams(streamQualities, quality),
    qualityVerdict: quality.column,
    qualityReasons: quality.reasons,
  };
  encodeQuality(writer, encoded as CallDetailRecord);
  return {
    quality: {
      mosLq: lowest(streamQualities.map((stream) => stream.mosLq)),
      mosCq: lowest(streamQualities.map((stream) => stream.mosCq)),
      classifiedStreams: quality.classifiedStreams,
      poorStreams: quality.poorStreams,
      reasons: quality.reasons,
      payload: writer.copyFrom(0),
    },
  };
}

function judgedStreams(streams: readonly StreamQuality[], quality: JudgedCall): StreamQuality[] {
  return streams.map((stream, index) => {
    const judged = quality.streams[index];
    return { ...stream, verdict: judged?.verdict ?? 0, reasons: judged?.reasons ?? [] };
  });
}

function networkPart(content: CallDetailRecord, isCopied: boolean): { network?: { payload: Uint8Array } } {
  if (content.networkIdentifiers === undefined) return {};
  writer.reset();
  if (isCopied) writeDecodedNetwork(writer);
  else encodeNetwork(writer, content);
  return { network: { payload: writer.copyFrom(0) } };
}

function columnsOf(message: CallDetailRecord, call: CallFacts, quality: JudgedCall): CdrColumns {
  const { times, route, parties } = message;
  const attempt = attemptOf(message, call);
  return {
    entryKind: message.kind === RecordKind.VOID ? EntryKind.VOID : EntryKind.REPORT,
    partial: message.completeness === Completeness.PARTIAL,
    callId: message.callId || null,
    inviteTime: times?.inviteTime === undefined ? null : microsFromTimestamp(times.inviteTime),
    direction: message.direction,
    trunkId: route?.trunkId || null,
    dialogCallId: message.correlation?.interconnectDialog?.callId || null,
    correlationId: message.correlation?.correlationId || null,
    codec: route?.codec || null,
    callingNumber: e164Of(parties?.calling) ?? null,
    calledNumber: e164Of(parties?.called) ?? null,
    answered: attempt === undefined ? null : attempt.answered,
    networkEffective: attempt === undefined ? null : isNetworkEffective(attempt),
    setupDurationMs: call.setupDurationMs ?? null,
    connectedDurationMs: call.connectedDurationMs ?? null,
    qualityVerdict: quality.column,
  };
}

// Whether it counts as an attempt in carrier.v1.QualitySummary: no void, and no partial record
// before its final code.
function attemptOf(message: CallDetailRecord, call: CallFacts) {
  const finalSipCode = message.outcome?.finalSipCode;
  const isOpen = message.completeness === Completeness.PARTIAL && finalSipCode === undefined;
  if (message.kind === RecordKind.VOID || isOpen) return undefined;
  return {
    answered: call.answered,
    rang: call.moments.ringingMs !== undefined,
    finalSipCode,
    q850Cause: message.outcome?.q850Cause,
  };
}

function lowest(values: readonly (number | undefined)[]): number | null {
  const measured = values.filter((value) => value !== undefined);
  return measured.length === 0 ? null : Math.min(...measured);
}

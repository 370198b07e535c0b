import type { Party } from "../domain/calls/party.ts";
import type { RoundingRule } from "../domain/carriers/carrier.ts";
import type { CarrierFacts, CorrelationIds, PlatformFacts } from "../domain/matching/facts.ts";
import { Completeness } from "../gen/tandem/type/v1/call_detail_record_pb.js";
import { CallType } from "../gen/tandem/type/v1/call_pb.js";
import { PartyKind } from "../gen/tandem/type/v1/party_pb.js";
import type { StoredTip } from "../store/reconciliation/reconcile-input.ts";
import {
  ANSWER,
  ASSERTED,
  CALLED,
  CALLING,
  CONNECTED,
  DIALED,
  END,
  INVITE,
  LONG,
  NUMBER,
  optionalText,
  REDIRECTING,
  RING,
  RINGING,
  reader,
  readIds,
  readLengths,
  readPart,
  readParties,
  readParty,
  readRule,
  readTime,
  readTimes,
  readTrunk,
  type Time,
  TOTAL,
} from "./facts-parts.ts";

// Takes from a stored record what matching needs and passes over the rest, in a tenth of the time
// that a whole message takes. What is not of ordinary form is left to `fromBinary`.

/** The facts of a stored CDR of ordinary form; undefined: another. */
export function readPlatformFacts(tip: StoredTip): PlatformFacts | undefined {
  const { payload } = tip;
  reader.open(payload, 0, payload.length);
  const call = emptyCall();
  while (reader.position < payload.length) readPlatformField(call, reader.uint31(), payload.length);
  if (reader.position !== payload.length) return undefined;
  const { parties, times, lengths } = call;
  return {
    ...identityOf(tip),
    callId: optionalText(call.callId),
    isPartial: call.completeness === Completeness.PARTIAL,
    isEmergency: call.callType === CallType.EMERGENCY || parties[CALLED]?.kind === PartyKind.EMERGENCY,
    direction: call.direction,
    ids: call.ids ?? NO_IDS,
    calling: parties[CALLING],
    asserted: parties[ASSERTED],
    called: parties[CALLED],
    dialed: parties[DIALED],
    redirecting: parties[REDIRECTING],
    inviteMs: msOf(times[INVITE]) ?? startOf(tip),
    ringingMs: msOf(times[RINGING]),
    answerMs: msOf(times[ANSWER]),
    endMs: msOf(times[END]),
    answered: times[ANSWER] !== undefined,
    connectedMs: lengths[CONNECTED] ?? between(times[ANSWER], times[END]),
    ringMs: lengths[RING] ?? between(times[RINGING], times[ANSWER] ?? times[END]),
    totalMs: lengths[TOTAL] ?? between(times[INVITE], times[END]),
    trunkId: optionalText(call.trunkId),
  };
}

/** The facts of a stored duration of ordinary form; undefined: another. */
export function readCarrierFacts(tip: StoredTip): CarrierFacts | undefined {
  const { payload } = tip;
  reader.open(payload, 0, payload.length);
  const call = emptyDuration();
  while (reader.position < payload.length) readCarrierField(call, reader.uint31(), payload.length);
  if (reader.position !== payload.length) return undefined;
  const { parties, times } = call;
  const isBilledOnly = call.billedS !== undefined;
  return {
    ...identityOf(tip),
    echoedRecordId: optionalText(call.echoed),
    direction: call.direction,
    ids: call.ids ?? NO_IDS,
    calling: parties[CALLING],
    asserted: parties[ASSERTED],
    called: parties[CALLED],
    dialed: parties[DIALED],
    redirecting: parties[REDIRECTING],
    inviteMs: msOf(times[INVITE]) ?? (times[ANSWER] ? undefined : startOf(tip)),
    answerMs: msOf(times[ANSWER]),
    endMs: msOf(times[END]),
    answered: call.answered,
    connectedMs: call.connectedMs ?? (isBilledOnly ? undefined : between(times[ANSWER], times[END])),
    billedS: call.billedS,
    roundingRule: call.roundingRule,
    resolutionMs: call.resolutionMs,
    part: call.part,
    trunkId: optionalText(call.trunkId),
  };
}

export function identityOf(tip: StoredTip) {
  const { recordId, recordDate, revision, isVoid, phoneNumber, customerId, ingestMs, firstIngestMs } = tip;
  return { recordId, recordDate, revision, isVoid, phoneNumber, customerId, ingestMs, firstIngestMs };
}

/** A VOID that was never reported begins with its day. */
export function startOf(tip: StoredTip): number {
  return tip.startMs ?? Date.parse(`${tip.recordDate}T00:00:00Z`);
}

const NO_IDS: CorrelationIds = {};

interface Call {
  direction: number;
  ids: CorrelationIds | undefined;
  readonly parties: (Party | undefined)[];
  readonly times: (Time | undefined)[];
  trunkId: string | undefined;
}

interface PlatformCall extends Call {
  completeness: number;
  callId: string;
  callType: number;
  readonly lengths: (number | undefined)[];
}

interface CarrierCall extends Call {
  echoed: string | undefined;
  resolutionMs: number;
  connectedMs: number | undefined;
  billedS: number | undefined;
  roundingRule: RoundingRule | undefined;
  answered: boolean;
  part: CarrierFacts["part"];
}

function emptyCall(): PlatformCall {
  return {
    direction: 0,
    ids: undefined,
    parties: [undefined, undefined, undefined, undefined, undefined, undefined],
    times: [undefined, undefined, undefined, undefined, undefined],
    trunkId: undefined,
    completeness: 0,
    callId: "",
    callType: 0,
    lengths: [undefined, undefined, undefined, undefined, undefined],
  };
}

function emptyDuration(): CarrierCall {
  return {
    direction: 0,
    ids: undefined,
    parties: [undefined, undefined, undefined, undefined, undefined, undefined],
    times: [undefined, undefined, undefined, undefined, undefined],
    trunkId: undefined,
    echoed: undefined,
    resolutionMs: 1,
    connectedMs: undefined,
    billedS: undefined,
    roundingRule: undefined,
    answered: false,
    part: undefined,
  };
}

function readPlatformField(call: PlatformCall, tag: number, end: number): void {
  switch (tag) {
    case (5 << 3) | NUMBER:
      call.completeness = reader.uint31();
      return;
    case (8 << 3) | LONG:
      call.callId = reader.ascii(end);
      return;
    case (9 << 3) | LONG:
      call.ids = readIds(call.ids, end);
      return;
    case (10 << 3) | LONG:
      readParties(call.parties, end);
      return;
    case (11 << 3) | NUMBER:
      call.direction = reader.uint31();
      return;
    case (12 << 3) | NUMBER:
      call.callType = reader.uint31();
      return;
    case (13 << 3) | LONG:
      readTimes(call.times, end);
      return;
    case (14 << 3) | LONG:
      readLengths(call.lengths, end);
      return;
    case (16 << 3) | LONG:
      call.trunkId = readTrunk(call.trunkId, end);
      return;
    default:
      reader.skip(tag, end);
  }
}

function readCarrierField(call: CarrierCall, tag: number, end: number): void {
  switch (tag) {
    case (5 << 3) | LONG:
      call.ids = readIds(call.ids, end);
      return;
    case (6 << 3) | LONG:
      call.echoed = reader.ascii(end);
      return;
    case (7 << 3) | NUMBER:
      call.direction = reader.uint31();
      return;
    case (8 << 3) | LONG:
    case (9 << 3) | LONG:
    case (10 << 3) | LONG:
    case (11 << 3) | LONG:
    case (12 << 3) | LONG:
      readParty(call.parties, (tag >> 3) - 7, end);
      return;
    case (13 << 3) | LONG:
      readTime(call.times, INVITE, end);
      return;
    case (14 << 3) | LONG:
      readTime(call.times, ANSWER, end);
      return;
    case (15 << 3) | LONG:
      readTime(call.times, END, end);
      return;
    default:
      readMeasuredField(call, tag, end);
  }
}

function readMeasuredField(call: CarrierCall, tag: number, end: number): void {
  switch (tag) {
    case (17 << 3) | NUMBER:
      call.resolutionMs = reader.uint31();
      return;
    case (18 << 3) | NUMBER:
      call.connectedMs = reader.uint53();
      return;
    case (19 << 3) | NUMBER:
      call.billedS = reader.uint53();
      return;
    case (20 << 3) | LONG:
      call.roundingRule = readRule(call.roundingRule, end);
      return;
    case (21 << 3) | NUMBER:
      call.answered = reader.bool();
      return;
    case (25 << 3) | LONG:
      call.trunkId = reader.ascii(end);
      return;
    case (26 << 3) | LONG:
      call.part = readPart(call.part, end);
      return;
    default:
      reader.skip(tag, end);
  }
}

function msOf(time: Time | undefined): number | undefined {
  return time && time.seconds * 1_000 + Math.floor(time.nanos / 1_000_000);
}

// Times out of order within a clock's resolution, or an overtaken 180.
function between(start: Time | undefined, end: Time | undefined): number | undefined {
  if (!start || !end) return undefined;
  return Math.max(0, (end.seconds - start.seconds) * 1_000 + Math.round((end.nanos - start.nanos) / 1_000_000));
}

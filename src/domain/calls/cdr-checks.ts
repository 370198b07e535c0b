import { isIP } from "node:net";
import {
  Attestation,
  type CallDetailRecord,
  type CallOutcome,
  type CallParties,
  type CallRoute,
  type CallTimes,
  Completeness,
  FailureStage,
  type NetworkIdentifiers,
} from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { CallType, Direction, RecordKind, ReleaseParty } from "../../gen/tandem/type/v1/call_pb.js";
import { MeasuringEdge, StreamDirection, type StreamQuality } from "../../gen/tandem/type/v1/stream_quality_pb.js";
import { RecordIssue } from "../../gen/tandem/type/v1/upload_pb.js";
import { lastValue } from "../enum-values.ts";
import { checkCodes, checkCorrelation, checkIdentity, MAX_ID } from "./call-fields.ts";
import {
  checkFuture,
  checkLengths,
  checkOrder,
  checkRecordDate,
  checkRinging,
  checkTimestamp,
  compareRinging,
  startMs,
} from "./call-rules.ts";
import { type CallFacts, momentsOf } from "./cdr-facts.ts";
import type { CheckContext, CheckedRecord } from "./checked-record.ts";
import { known, problem, type RecordProblem, range, required, stated, text, within } from "./field-checks.ts";
import { checkPartyDetailsIn, checkPartyIn } from "./party.ts";

/**
 * Checks a record of which the optional fields are right, or were dropped where they were wrong.
 * @param dropped what was wrong in those, as warnings.
 */
export function checkCdr(
  cdr: CallDetailRecord,
  call: CallFacts,
  dropped: readonly RecordProblem[],
  context: CheckContext,
): CheckedRecord {
  const future = within("times", checkFuture(call.moments, context.nowMs));
  const day = { recordDate: cdr.recordDate, revision: cdr.revision ?? 1, startMs: startMs(call.moments) };
  const fault =
    checkFields(cdr) ??
    within("lengths", checkLengths(call.sent, call.derived)) ??
    (cdr.kind === RecordKind.VOID ? undefined : checkReport(cdr)) ??
    (future?.issue === RecordIssue.IN_FUTURE ? future : undefined) ??
    checkRecordDate(day, context.nowMs, context.horizons);
  const ringing = within("times", compareRinging(call.moments));
  return { fault, warnings: [future, ...dropped, ringing, compareLosses(cdr.streamQualities)] };
}

// Each field that a call cannot do without, whatever the others are.
function checkFields(cdr: CallDetailRecord): RecordProblem | undefined {
  return (
    checkIdentity(cdr) ??
    known("kind", cdr.kind, LAST.kind) ??
    known("completeness", cdr.completeness, LAST.completeness) ??
    text("call_id", cdr.callId, MAX_ID) ??
    within("parties", cdr.parties && checkParties(cdr.parties)) ??
    known("direction", cdr.direction, LAST.direction) ??
    within("times", cdr.times && checkTimes(cdr.times)) ??
    within("outcome", cdr.outcome && checkCodes(cdr.outcome))
  );
}

/**
 * Checks each field that a call can do without. What is wrong here is dropped, and the call is
 * kept.
 */
export function checkCdrOptional(cdr: CallDetailRecord): RecordProblem | undefined {
  return (
    within("correlation", checkCorrelation(cdr.correlation)) ??
    within("parties", cdr.parties && checkPartiesOptional(cdr.parties)) ??
    known("call_type", cdr.callType, LAST.callType) ??
    within("times", cdr.times && checkTimesOptional(cdr.times)) ??
    within("outcome", cdr.outcome && checkOutcome(cdr.outcome)) ??
    within("outcome", checkFinalCode(cdr)) ??
    within("route", cdr.route && checkRoute(cdr.route)) ??
    checkStreams(cdr.streamQualities) ??
    within("network_identifiers", cdr.networkIdentifiers && checkNetwork(cdr.networkIdentifiers))
  );
}

// The first stream whose ratio of lost packets is not what its counts say: percent, as a rule, in
// place of a ratio.
function compareLosses(streams: readonly StreamQuality[]): RecordProblem | undefined {
  for (const [index, stream] of streams.entries()) {
    const share = shareLost(stream);
    const ratio = stream.lossRatioAvg;
    if (ratio === undefined || share === undefined || Math.abs(ratio - share) <= Math.max(0.02, Math.min(ratio, share)))
      continue;
    const said = `is ${ratio}, but its packet counts give ${share.toFixed(4)}; expected a ratio, not percent`;
    return within(`stream_qualities[${index}]`, problem(RecordIssue.FIELDS_INCONSISTENT, "loss_ratio_avg", said));
  }
  return undefined;
}

// What a REPORT must have is there, and its fields do not contradict each other.
function checkReport(cdr: CallDetailRecord): RecordProblem | undefined {
  return (
    checkRequired(cdr) ??
    (cdr.completeness === Completeness.PARTIAL ? undefined : checkComplete(cdr)) ??
    checkAnswer(cdr)
  );
}

/** Most streams of a call. */
const MAX_STREAMS = 16;

const LAST = {
  kind: lastValue(RecordKind),
  completeness: lastValue(Completeness),
  direction: lastValue(Direction),
  callType: lastValue(CallType),
  attestation: lastValue(Attestation),
  releaseParty: lastValue(ReleaseParty),
  failureStage: lastValue(FailureStage),
  streamDirection: lastValue(StreamDirection),
  edge: lastValue(MeasuringEdge),
};
const MAX_REGION = 64;
const MAX_CODEC = 32;
const MAX_PHRASE = 256;
const MAX_ADDRESS = 45;
/**
 * Of a fullband codec (ITU-T G.107.2); 129 is a wideband one's (G.107.1), 100 and what an advantage
 * adds a narrowband one's (G.107).
 */
const MAX_R = 148;
/** For ranges that are open above; NaN and the infinities are still outside. */
const ANY = Number.MAX_VALUE;

function checkRequired(cdr: CallDetailRecord): RecordProblem | undefined {
  return (
    required("call_id", cdr.callId !== "") ??
    required("parties", cdr.parties !== undefined) ??
    required("parties.calling", cdr.parties?.calling !== undefined) ??
    required("parties.called", cdr.parties?.called !== undefined) ??
    required("direction", cdr.direction !== Direction.UNSPECIFIED) ??
    required("times", cdr.times !== undefined) ??
    required("times.invite_time", cdr.times?.inviteTime !== undefined)
  );
}

function checkComplete(cdr: CallDetailRecord): RecordProblem | undefined {
  return (
    required("times.end_time", cdr.times?.endTime !== undefined) ??
    required("outcome.final_sip_code", cdr.outcome?.finalSipCode !== undefined || cdr.times?.answerTime !== undefined)
  );
}

// Of a call that was answered the final response to the INVITE is known: a success. What else is
// sent is the code that the call ended with later. Elsewhere a code that is none is dropped while
// more is to come, and refused where it is all that is said of how the call failed.
function checkFinalCode({ times, outcome, completeness }: CallDetailRecord): RecordProblem | undefined {
  const code = outcome?.finalSipCode;
  if (times?.answerTime === undefined) return completeness === Completeness.PARTIAL ? finalCodeRange(code) : undefined;
  if (code === undefined || (code >= 200 && code < 300)) return undefined;
  return (
    finalCodeRange(code) ??
    problem(
      RecordIssue.FIELDS_INCONSISTENT,
      "final_sip_code",
      `is ${code}, but answer_time is present, expected 200 to 299`,
    )
  );
}

function finalCodeRange(code: number | undefined): RecordProblem | undefined {
  return range("final_sip_code", code, 200, 699);
}

/** With fewer packets, one that is lost is a share of its own. */
const MIN_COMPARED_PACKETS = 50;

function shareLost({ packetsSent, packetsReceived, packetsLost }: StreamQuality): number | undefined {
  const received = packetsReceived === undefined ? undefined : Number(packetsReceived);
  const lost =
    packetsLost === undefined ? Number(packetsSent ?? Number.NaN) - (received ?? Number.NaN) : Number(packetsLost);
  const all = received === undefined ? Number(packetsSent ?? Number.NaN) : received + lost;
  return all >= MIN_COMPARED_PACKETS ? Math.max(0, lost) / all : undefined;
}

// The answer is the 200 to the INVITE: there is one if and only if the final response was a
// success.
function checkAnswer(cdr: CallDetailRecord): RecordProblem | undefined {
  const answered = cdr.times?.answerTime !== undefined;
  if (!answered && cdr.lengths?.connectedDurationMs !== undefined) {
    return problem(
      RecordIssue.FIELDS_INCONSISTENT,
      "lengths.connected_duration_ms",
      "is present, but times.answer_time is absent",
    );
  }
  const code = cdr.outcome?.finalSipCode;
  if (code === undefined || answered === code < 300) return undefined;
  const expected = answered
    ? "times.answer_time is present, expected 200 to 299"
    : "times.answer_time is absent, expected 300 to 699";
  return problem(RecordIssue.FIELDS_INCONSISTENT, "outcome.final_sip_code", `is ${code}, but ${expected}`);
}

function checkParties(parties: CallParties): RecordProblem | undefined {
  return (
    checkPartyIn("calling", parties.calling) ??
    checkPartyIn("asserted", parties.asserted) ??
    checkPartyIn("called", parties.called) ??
    checkPartyIn("redirecting", parties.redirecting)
  );
}

function checkPartiesOptional(parties: CallParties): RecordProblem | undefined {
  return (
    checkPartyDetailsIn("calling", parties.calling) ??
    checkPartyDetailsIn("asserted", parties.asserted) ??
    checkPartyDetailsIn("called", parties.called) ??
    checkPartyIn("dialed", parties.dialed) ??
    checkPartyDetailsIn("dialed", parties.dialed) ??
    checkPartyDetailsIn("redirecting", parties.redirecting) ??
    known("attestation", parties.attestation, LAST.attestation)
  );
}

function checkTimes(times: CallTimes): RecordProblem | undefined {
  return (
    checkTimestamp("invite_time", times.inviteTime) ??
    checkTimestamp("answer_time", times.answerTime) ??
    checkTimestamp("end_time", times.endTime) ??
    checkOrder(momentsOf(times), undefined)
  );
}

function checkTimesOptional(times: CallTimes): RecordProblem | undefined {
  return checkTimestamp("ringing_time", times.ringingTime) ?? checkRinging(momentsOf(times));
}

function checkOutcome(outcome: CallOutcome): RecordProblem | undefined {
  return (
    range("q850_cause", outcome.q850Cause, 1, 127) ??
    text("reason_phrase", outcome.reasonPhrase, MAX_PHRASE) ??
    range("vendor_subcode", outcome.vendorSubcode, 0, 999_999) ??
    known("release_party", outcome.releaseParty, LAST.releaseParty) ??
    known("failure_stage", outcome.failureStage, LAST.failureStage) ??
    text("close_reason", outcome.closeReason, MAX_PHRASE)
  );
}

function checkRoute(route: CallRoute): RecordProblem | undefined {
  return (
    text("trunk_id", route.trunkId, MAX_ID) ??
    text("signaling_region", route.signalingRegion, MAX_REGION) ??
    text("media_region", route.mediaRegion, MAX_REGION) ??
    text("codec", route.codec, MAX_CODEC)
  );
}

function checkStreams(streams: readonly StreamQuality[]): RecordProblem | undefined {
  if (streams.length > MAX_STREAMS) {
    return problem(
      RecordIssue.FIELD_OUT_OF_RANGE,
      "stream_qualities",
      `has ${streams.length} streams, expected at most ${MAX_STREAMS}`,
    );
  }
  for (const [index, stream] of streams.entries()) {
    const wrong = checkStream(stream);
    if (wrong !== undefined) return within(`stream_qualities[${index}]`, wrong);
  }
  // From the last, for such a stream is dropped whole, and the others keep their places.
  for (let index = streams.length - 1; index >= 0; index--) {
    const wrong = checkStreamPlace(streams[index] as StreamQuality);
    if (wrong !== undefined) return within(`stream_qualities[${index}]`, wrong);
  }
  return undefined;
}

function checkStreamPlace(stream: StreamQuality): RecordProblem | undefined {
  return stated("direction", stream.direction, LAST.streamDirection) ?? stated("edge", stream.edge, LAST.edge);
}

function checkStream(stream: StreamQuality): RecordProblem | undefined {
  return (
    range("packets_sent", stream.packetsSent, 0, ANY) ??
    range("packets_received", stream.packetsReceived, 0, ANY) ??
    // Signed, for packets may come twice (RFC 3550, 6.4.1).
    range("packets_lost", stream.packetsLost, -ANY, ANY) ??
    range("loss_ratio_avg", stream.lossRatioAvg, 0, 1) ??
    range("loss_ratio_max", stream.lossRatioMax, 0, 1) ??
    range("discard_ratio", stream.discardRatio, 0, 1) ??
    range("jitter_avg_ms", stream.jitterAvgMs, 0, ANY) ??
    range("jitter_max_ms", stream.jitterMaxMs, 0, ANY) ??
    range("round_trip_avg_ms", stream.roundTripAvgMs, 0, ANY) ??
    range("round_trip_max_ms", stream.roundTripMaxMs, 0, ANY) ??
    range("end_system_delay_ms", stream.endSystemDelayMs, 0, ANY) ??
    checkScores(stream) ??
    range("concealed_ratio", stream.concealedRatio, 0, 1) ??
    range("burst_density", stream.burstDensity, 0, 1) ??
    range("burst_duration_ms", stream.burstDurationMs, 0, ANY) ??
    range("gap_density", stream.gapDensity, 0, 1) ??
    range("gap_duration_ms", stream.gapDurationMs, 0, ANY) ??
    text("codec", stream.codec, MAX_CODEC)
  );
}

function checkScores(stream: StreamQuality): RecordProblem | undefined {
  return (
    range("mos_lq", stream.mosLq, 1, 5) ??
    range("mos_cq", stream.mosCq, 1, 5) ??
    text("mos_algorithm", stream.mosAlgorithm, 64) ??
    range("r_factor", stream.rFactor, 0, MAX_R) ??
    range("mos_degradation", stream.mosDegradation, 0, 5)
  );
}

function checkNetwork(network: NetworkIdentifiers): RecordProblem | undefined {
  const { platformMediaAddress } = network;
  return (
    text("platform_media_address", platformMediaAddress, MAX_ADDRESS) ??
    (platformMediaAddress === undefined || isIP(platformMediaAddress) !== 0 ? undefined : NOT_AN_ADDRESS) ??
    text("carrier_media_address", network.carrierMediaAddress, MAX_ADDRESS) ??
    text("carrier_signaling_address", network.carrierSignalingAddress, MAX_ADDRESS) ??
    text("user_agent", network.userAgent, MAX_PHRASE)
  );
}

const NOT_AN_ADDRESS = problem(
  RecordIssue.FIELD_MALFORMED,
  "platform_media_address",
  "has the wrong form, expected an IPv4 or IPv6 address",
);

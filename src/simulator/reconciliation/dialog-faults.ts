import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { CorrelationSchema } from "../../gen/tandem/type/v1/call_pb.js";
import { PartyKind, PartySchema } from "../../gen/tandem/type/v1/party_pb.js";
import { pstnNumber } from "../fictitious-numbers.ts";
import { endingAt } from "./platform-record.ts";
import { type MadeCall, type PlayedCall, playPair, sentByPlatform, truthAs } from "./played-call.ts";

// Faults that only the trunk's dialog reveals: both sides have its Call-ID and tags.

/** After a transfer the platform has two records, and the trunk one call. */
export function playTransferred(call: MadeCall): PlayedCall {
  const { clock, random } = call;
  withDialog(call);
  const { durations, truths } = playPair(call);
  const { answerMs = clock.endMs } = clock;
  // The first part is the shorter one, so that the carrier's record is well longer than it.
  const cutMs = answerMs + Math.round(clock.connectedMs * random.pick([0.3, 0.4, 0.45]));
  const first = endingAt(call.cdr, cutMs);
  const further = secondPart(call, cutMs);
  const cdrs = [sentByPlatform(call, first, cutMs), sentByPlatform(call, further)];
  return { cdrs, durations, truths: [...truths, truthAs("PART_OF_CALL", { cdr: further })] };
}

/** The carrier has another called number: a toll-free number was translated. */
export function playTranslated(call: MadeCall): PlayedCall {
  withDialog(call);
  const { duration, cdrs, durations, truths } = playPair(call);
  const { correlation } = call.cdr;
  if (correlation) duration.correlation = correlation;
  const { countryCode } = call.plan.ends.number;
  const called = { kind: PartyKind.E164, ...pstnNumber(call.random, countryCode) };
  duration.called = create(PartySchema, called);
  delete duration.dialed;
  const differing = truths.map((truth) => ({ ...truth, causes: [...truth.causes, "NUMBERS_DIFFER" as const] }));
  return { cdrs, durations, truths: differing };
}

function withDialog({ cdr, random }: MadeCall): void {
  const [callId = "", fromTag = "", toTag = ""] = [24, 10, 10].map((length) => random.hex(length));
  const { legIndex = 0 } = cdr.correlation ?? {};
  cdr.correlation = create(CorrelationSchema, { interconnectDialog: { callId, fromTag, toTag }, legIndex });
}

function secondPart({ cdr, clock, random }: MadeCall, cutMs: number): CallDetailRecord {
  const part = clone(CallDetailRecordSchema, cdr);
  if (!part.times || !part.lengths) throw new Error(`${cdr.recordId} has no times`);
  part.recordId = `rec-${random.hex(14)}`;
  if (part.correlation) part.correlation.legIndex = 1;
  part.recordDate = new Date(cutMs).toISOString().slice(0, 10);
  part.times.inviteTime = timestampFromMs(cutMs);
  part.times.answerTime = timestampFromMs(cutMs);
  delete part.times.ringingTime;
  delete part.lengths.setupDurationMs;
  delete part.lengths.ringDurationMs;
  part.lengths.connectedDurationMs = BigInt(clock.endMs - cutMs);
  part.lengths.totalDurationMs = BigInt(clock.endMs - cutMs);
  return part;
}

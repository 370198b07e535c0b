import type { CallDetailRecord, CallTimes } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { numberOf } from "../known-numbers.ts";
import { type CallMoments, lengthsOf, momentMs, type PhaseLengths } from "./call-rules.ts";

/** What follows from a record's times and lengths. */
export interface CallFacts {
  moments: CallMoments;
  sent: PhaseLengths;
  derived: PhaseLengths;
  answered: boolean;
  /** As sent, else as derived. */
  setupDurationMs: bigint | undefined;
  connectedDurationMs: bigint | undefined;
}

/** Reads a record's times and lengths, and derives what was not sent. */
export function factsOf(message: CallDetailRecord): CallFacts {
  const moments = momentsOf(message.times);
  const { lengths } = message;
  const derived = lengthsOf(moments);
  const sent = {
    setupMs: numberOf(lengths?.setupDurationMs),
    ringMs: numberOf(lengths?.ringDurationMs),
    connectedMs: numberOf(lengths?.connectedDurationMs),
    totalMs: numberOf(lengths?.totalDurationMs),
  };
  return {
    moments,
    sent,
    derived,
    answered: message.times?.answerTime !== undefined,
    setupDurationMs: lengths?.setupDurationMs ?? optionalMs(derived.setupMs),
    connectedDurationMs: lengths?.connectedDurationMs ?? optionalMs(derived.connectedMs),
  };
}

/** The times of a record. */
export function momentsOf(times: CallTimes | undefined): CallMoments {
  return {
    inviteMs: momentMs(times?.inviteTime),
    ringingMs: momentMs(times?.ringingTime),
    answerMs: momentMs(times?.answerTime),
    endMs: momentMs(times?.endTime),
  };
}

/** A length as a message has it; only whole milliseconds. */
export function optionalMs(ms: number | undefined): bigint | undefined {
  return ms !== undefined && Number.isSafeInteger(ms) ? BigInt(ms) : undefined;
}

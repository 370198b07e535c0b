import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import { given } from "../domain/given.ts";
import {
  type CallDetailRecord,
  CallDetailRecordSchema,
  type CallParties,
  Completeness,
} from "../gen/tandem/type/v1/call_detail_record_pb.js";
import { type CallType, type Direction, RecordKind } from "../gen/tandem/type/v1/call_pb.js";
import type { CallEnd } from "./call-ends.ts";
import type { Random } from "./random.ts";
import { simulateStreamQualities } from "./stream-qualities.ts";

/** What is decided of an attempt before its record is written. */
export interface CallAttempt {
  readonly recordId: string;
  readonly callId: string;
  readonly legIndex: number;
  readonly direction: Direction;
  readonly callType: CallType;
  readonly parties: CallParties;
  readonly trunkId: string;
  readonly sipDomain: string;
  readonly region: string;
  readonly inviteMs: number;
  readonly end: CallEnd;
  /** Answer to end; only read when answered. */
  readonly connectedMs: number;
}

/** The finished record of an attempt, revision 1. */
export function completeRecord(attempt: CallAttempt, random: Random): CallDetailRecord {
  const { inviteMs } = attempt;
  const { rings: _rings, answered: _answered, ...outcome } = attempt.end;
  const times = timesOf(attempt, random);
  const codec = random.pick(["PCMA", "PCMU", "G722", "opus"]);
  const connectedMs = times.answerMs === undefined ? undefined : times.endMs - times.answerMs;
  return create(CallDetailRecordSchema, {
    recordId: attempt.recordId,
    recordDate: dayOf(inviteMs),
    revision: 1,
    kind: RecordKind.REPORT,
    completeness: Completeness.COMPLETE,
    callId: attempt.callId,
    correlation: correlationOf(attempt, random),
    parties: attempt.parties,
    direction: attempt.direction,
    callType: attempt.callType,
    times: {
      inviteTime: timestampFromMs(inviteMs),
      ...given({ ringingTime: timeOf(times.ringingMs), answerTime: timeOf(times.answerMs) }),
      endTime: timestampFromMs(times.endMs),
    },
    lengths: {
      ...(times.ringingMs === undefined ? {} : ringLengths(inviteMs, times.ringingMs, times.answerMs ?? times.endMs)),
      ...(connectedMs === undefined ? {} : { connectedDurationMs: BigInt(connectedMs) }),
      totalDurationMs: BigInt(times.endMs - inviteMs),
    },
    outcome,
    route: {
      trunkId: attempt.trunkId,
      signalingRegion: attempt.region,
      mediaRegion: attempt.region,
      mediaBypass: random.chance(0.3),
      codec,
    },
    streamQualities: connectedMs === undefined ? [] : simulateStreamQualities(random, codec, connectedMs),
  });
}

/** When a record was written: at its end. */
export function endMsOf(record: CallDetailRecord): number {
  return record.times?.endTime === undefined ? 0 : Math.floor(timestampMs(record.times.endTime));
}

/** The UTC day of a time, `YYYY-MM-DD`. */
export function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function timeOf(ms: number | undefined): Timestamp | undefined {
  return ms === undefined ? undefined : timestampFromMs(ms);
}

function timesOf({ end, inviteMs, connectedMs }: CallAttempt, random: Random) {
  const setupMs = Math.max(40, Math.round(random.logNormal(1_800, 0.5)));
  if (!end.rings) return { ringingMs: undefined, answerMs: undefined, endMs: inviteMs + setupMs };
  const ringingMs = inviteMs + setupMs;
  const ringMs = Math.max(150, Math.round(Math.min(random.logNormal(end.answered ? 7_000 : 22_000, 0.6), 90_000)));
  if (!end.answered) return { ringingMs, answerMs: undefined, endMs: ringingMs + ringMs };
  return { ringingMs, answerMs: ringingMs + ringMs, endMs: ringingMs + ringMs + connectedMs };
}

function ringLengths(inviteMs: number, ringingMs: number, ringEndMs: number) {
  return { setupDurationMs: BigInt(ringingMs - inviteMs), ringDurationMs: BigInt(ringEndMs - ringingMs) };
}

function correlationOf({ end, sipDomain, legIndex, callId }: CallAttempt, random: Random) {
  return {
    interconnectDialog: {
      callId: `${random.hex(24)}@${sipDomain}`,
      fromTag: random.hex(10),
      ...(end.answered ? { toTag: random.hex(10) } : {}),
    },
    correlationId: callId,
    sessionId: `${random.hex(32)};${random.hex(32)}`,
    ...(random.chance(0.7) ? { icid: `${random.hex(32)}` } : {}),
    legIndex,
  };
}

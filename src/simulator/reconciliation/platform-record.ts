import { clone } from "@bufbuild/protobuf";
import { timestampFromMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  type CallDetailRecord,
  CallDetailRecordSchema,
  Completeness,
} from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import type { Correlation } from "../../gen/tandem/type/v1/call_pb.js";
import { normalEnd, unansweredEnd } from "../call-ends.ts";
import { directionOf, e164, partiesOf } from "../call-parties.ts";
import { completeRecord } from "../cdr.ts";
import type { Random } from "../random.ts";
import type { SimulatedCarrier } from "../world.ts";
import { callTypeOf } from "./parties.ts";
import type { PlannedCall, Signalling } from "./planned-call.ts";

/** When a call went through its stages, by the platform's clock; milliseconds. */
export interface CallClock {
  readonly inviteMs: number;
  readonly ringingMs: number;
  /** Absent when unanswered. */
  readonly answerMs?: number;
  readonly endMs: number;
  /** 0 when unanswered. */
  readonly connectedMs: number;
}

/** The platform's complete record of a call, revision 1, without stream quality. */
export function platformRecord(
  { plan, carrier, recordId }: { plan: PlannedCall; carrier: SimulatedCarrier; recordId: string },
  random: Random,
): CallDetailRecord {
  const { kind, number, contact, originalCaller } = plan.ends;
  const record = completeRecord(
    {
      recordId,
      callId: `${recordId}-call`,
      legIndex: 0,
      direction: directionOf(kind),
      callType: callTypeOf(kind),
      parties: partiesOf(kind, number, contact, e164(originalCaller)),
      trunkId: plan.trunkId,
      sipDomain: carrier.sipDomain,
      region: carrier.legalCountry.toLowerCase(),
      inviteMs: plan.inviteMs,
      end: plan.answered ? normalEnd(random) : unansweredEnd("noAnswer", random),
      connectedMs: plan.connectedMs,
    },
    random,
  );
  record.streamQualities = [];
  if (record.correlation) keepIds(record.correlation, plan.signalling, random);
  return record;
}

export function clockOf({ recordId, times }: CallDetailRecord): CallClock {
  if (!times?.inviteTime || !times.ringingTime || !times.endTime) throw new Error(`${recordId} lacks a time`);
  const [inviteMs, ringingMs, endMs] = [times.inviteTime, times.ringingTime, times.endTime].map(wholeMs) as [
    number,
    number,
    number,
  ];
  if (!times.answerTime) return { inviteMs, ringingMs, endMs, connectedMs: 0 };
  const answerMs = wholeMs(times.answerTime);
  return { inviteMs, ringingMs, answerMs, endMs, connectedMs: endMs - answerMs };
}

export function endingAt(record: CallDetailRecord, endMs: number): CallDetailRecord {
  const { inviteMs, answerMs } = clockOf(record);
  const changed = clone(CallDetailRecordSchema, record);
  if (!changed.times || !changed.lengths || answerMs === undefined)
    throw new Error("only an answered call has a length");
  changed.times.endTime = timestampFromMs(endMs);
  changed.lengths.connectedDurationMs = BigInt(endMs - answerMs);
  changed.lengths.totalDurationMs = BigInt(endMs - inviteMs);
  return changed;
}

/** The record of a call that still goes on. */
export function stillGoingOn(record: CallDetailRecord): CallDetailRecord {
  const partial = clone(CallDetailRecordSchema, record);
  partial.completeness = Completeness.PARTIAL;
  delete partial.times?.endTime;
  delete partial.lengths?.connectedDurationMs;
  delete partial.lengths?.totalDurationMs;
  delete partial.outcome;
  return partial;
}

export function movedBy(record: CallDetailRecord, byMs: number): CallDetailRecord {
  const moved = clone(CallDetailRecordSchema, record);
  const { times } = moved;
  if (!times) throw new Error(`${record.recordId} has no times`);
  for (const name of ["inviteTime", "ringingTime", "answerTime", "endTime"] as const) {
    const time = times[name];
    if (time) times[name] = timestampFromMs(wholeMs(time) + byMs);
  }
  return moved;
}

function wholeMs(time: Parameters<typeof timestampMs>[0]): number {
  return Math.round(timestampMs(time));
}

/** Not every network carries every id. */
function keepIds(correlation: Correlation, signalling: Signalling, random: Random): void {
  const kept = random.weighted({ all: 50, dialog: 20, icid: 15, session: 15 });
  const icid = random.hex(32);
  if (signalling.ids !== "own" || kept === "icid" || kept === "session") delete correlation.interconnectDialog;
  if (signalling.ids !== "own" || kept === "dialog" || kept === "session") delete correlation.icid;
  if (signalling.ids !== "own" || kept === "dialog" || kept === "icid") delete correlation.sessionId;
  if (signalling.ids === "own" && kept === "icid") correlation.icid = icid;
  if (signalling.ids === "shared") correlation.sessionId = signalling.sessionId;
}

import { clone, create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { given } from "../../domain/given.ts";
import type { CallDetailRecord } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { type CallDuration, CallDurationSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { type Correlation, RecordKind } from "../../gen/tandem/type/v1/call_pb.js";
import { directionOf } from "../call-parties.ts";
import { dayOf } from "../cdr.ts";
import type { Random } from "../random.ts";
import { type CarrierParties, carrierParties } from "./parties.ts";
import type { PlannedCall } from "./planned-call.ts";
import type { CallClock } from "./platform-record.ts";

/** A call as the carrier's switch saw it, before the trunk's faults; milliseconds. */
export interface SwitchView {
  /** Absent: not the first part. */
  readonly inviteMs?: number;
  readonly answerMs?: number;
  readonly endMs: number;
  readonly answered: boolean;
  /** Absent when unanswered. */
  readonly connectedMs?: number;
}

export interface CarrierSource {
  readonly plan: PlannedCall;
  readonly cdr: CallDetailRecord;
  readonly view: SwitchView;
}

/** Switches see a call a little later than the platform and measure it almost alike. */
export function switchView({ inviteMs, answerMs, endMs, connectedMs }: CallClock, random: Random): SwitchView {
  const seenInviteMs = inviteMs + delay(random);
  if (answerMs === undefined) {
    return { inviteMs: seenInviteMs, endMs: Math.max(endMs + delay(random), seenInviteMs), answered: false };
  }
  const seenAnswerMs = Math.max(answerMs + delay(random), seenInviteMs);
  const seenConnectedMs = Math.max(0, connectedMs + lengthNoise(random));
  return {
    inviteMs: seenInviteMs,
    answerMs: seenAnswerMs,
    endMs: seenAnswerMs + seenConnectedMs,
    answered: true,
    connectedMs: seenConnectedMs,
  };
}

/** How a switch writes one call, alike in each of its records. */
export interface SwitchHand {
  readonly resolutionMs: number;
  readonly parties: CarrierParties;
  readonly correlation: ReturnType<typeof correlationOf>;
}

export function switchHand({ plan, cdr }: Omit<CarrierSource, "view">, random: Random): SwitchHand {
  return {
    resolutionMs: random.chance(0.08) ? 1_000 : 1,
    parties: carrierParties(plan.ends, random),
    correlation: correlationOf(cdr.correlation, random),
  };
}

/** The carrier's record, revision 1, with the trunk's clock and rounding. */
export function carrierRecord(source: CarrierSource, random: Random, hand = switchHand(source, random)): CallDuration {
  const { plan, view } = source;
  const { offsetMs, roundingS } = plan.condition;
  const { resolutionMs, parties, correlation } = hand;
  const written = (ms: number) => Math.floor((ms + offsetMs) / resolutionMs) * resolutionMs;
  const timeOf = (ms: number | undefined) => (ms === undefined ? undefined : timestampFromMs(written(ms)));
  const startMs = view.inviteMs ?? view.answerMs;
  if (startMs === undefined) throw new Error("a record needs an invite or an answer");
  return create(CallDurationSchema, {
    recordId: `sw.${random.hex(14)}`,
    recordDate: dayOf(written(startMs)),
    revision: 1,
    kind: RecordKind.REPORT,
    direction: directionOf(plan.ends.kind),
    ...given({ correlation }),
    ...parties,
    ...given({ inviteTime: timeOf(view.inviteMs), answerTime: timeOf(view.answerMs), endTime: timeOf(view.endMs) }),
    timeResolutionMs: resolutionMs,
    answered: view.answered,
    ...(view.connectedMs === undefined ? {} : { connectedDurationMs: BigInt(roundedUp(view.connectedMs, roundingS)) }),
    finalSipCode: view.answered ? 200 : 480,
    trunkId: plan.trunkId,
  });
}

/**
 * The same record, written again by a switch that failed over: a little later, under another id.
 */
export function writtenTwice(record: CallDuration, random: Random): CallDuration {
  const copy = clone(CallDurationSchema, record);
  copy.recordId = `sw.${random.hex(14)}`;
  const laterMs = random.int(0, 1_400);
  for (const name of ["inviteTime", "answerTime", "endTime"] as const) {
    const time = copy[name];
    if (time) copy[name] = timestampFromMs(Number(time.seconds) * 1_000 + Math.round(time.nanos / 1e6) + laterMs);
  }
  const start = copy.inviteTime ?? copy.answerTime;
  if (start) copy.recordDate = dayOf(Number(start.seconds) * 1_000);
  return copy;
}

export function voidDuration({ recordId, recordDate, revision }: CallDuration): CallDuration {
  return create(CallDurationSchema, { recordId, recordDate, revision: (revision ?? 1) + 1, kind: RecordKind.VOID });
}

function delay(random: Random): number {
  return random.chance(0.9) ? random.int(0, 120) : random.int(120, 1_500);
}

function lengthNoise(random: Random): number {
  switch (random.weighted({ none: 50, little: 40, more: 10 })) {
    case "none":
      return 0;
    case "little":
      return random.int(1, 120) * (random.chance(0.5) ? 1 : -1);
    default:
      return random.int(200, 1_800) * (random.chance(0.5) ? 1 : -1);
  }
}

function roundedUp(ms: number, roundingS: number | undefined): number {
  if (roundingS === undefined) return ms;
  return Math.ceil(ms / (roundingS * 1_000)) * roundingS * 1_000;
}

/**
 * The ids as the carrier has them: at times without tags, and its own view or half of a Session-ID.
 * Everything is drawn even without ids, so that other draws stay the same.
 */
function correlationOf(platform: Correlation | undefined, random: Random) {
  const [hasTags, form] = [random.chance(0.7), random.weighted({ same: 60, swapped: 25, local: 15 })];
  const { interconnectDialog, icid, sessionId } = platform ?? {};
  if (!interconnectDialog && icid === undefined && sessionId === undefined) return undefined;
  return given({
    interconnectDialog: hasTags ? interconnectDialog : interconnectDialog && { callId: interconnectDialog.callId },
    icid,
    sessionId: sessionId && sessionSeenAs(form, sessionId),
  });
}

// RFC 7989: each end puts its own UUID first.
function sessionSeenAs(form: "same" | "swapped" | "local", sessionId: string): string {
  const [local = "", remote = ""] = sessionId.split(";");
  if (form === "same") return sessionId;
  return form === "swapped" ? `${remote};${local}` : local;
}

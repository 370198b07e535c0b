import type { CallDuration } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { carrierRecord, type SwitchView, switchHand, switchView } from "./carrier-record.ts";
import { endingAt } from "./platform-record.ts";
import { type MadeCall, type PlayedCall, playPair, sentByCarrier, sentByPlatform, truthOf } from "./played-call.ts";
import { truthOfPair } from "./truth.ts";

/** Switches end a call whose release they lost after these, milliseconds. */
const TIMERS_MS = [10_800_000, 43_200_000] as const;

/** The carrier's switch lost the release. */
export function playStuckAtCarrier(call: MadeCall): PlayedCall {
  const { clock, random } = call;
  const view = switchView(clock, random);
  const connectedMs = random.pick(TIMERS_MS);
  const endMs = (view.answerMs ?? clock.endMs) + connectedMs;
  return playPair(call, { view: { ...view, endMs, connectedMs }, causes: ["STUCK_CALL"] });
}

/** The platform lost the release. */
export function playStuckAtPlatform(call: MadeCall): PlayedCall {
  const { clock, random } = call;
  const connectedMs = random.pick(TIMERS_MS);
  const endMs = (clock.answerMs ?? clock.endMs) + connectedMs;
  const cdr = endingAt(call.cdr, endMs);
  const { duration, durations } = playPair(call);
  const stuck = { ...call, cdr, clock: { ...clock, endMs, connectedMs } };
  return {
    cdrs: [sentByPlatform(call, cdr, endMs)],
    durations,
    truths: [truthOf(stuck, duration, ["STUCK_CALL"])],
  };
}

/** The carrier's switch cut the call in numbered parts and sent all of them. */
export function playCompleteSplit(call: MadeCall): PlayedCall {
  const parts = splitRecords(call, call.random.int(2, 4));
  return played(call, parts, {});
}

/** A part between the first and the last never comes. */
export function playSplitWithGap(call: MadeCall): PlayedCall {
  const parts = splitRecords(call, call.random.int(3, 4));
  return played(call, parts.toSpliced(call.random.int(1, parts.length - 2), 1), { isMissing: true });
}

function played(call: MadeCall, parts: CallDuration[], { isMissing = false }): PlayedCall {
  const sumMs = parts.reduce((sum, { connectedDurationMs }) => sum + Number(connectedDurationMs ?? 0n), 0);
  const truth = truthOfPair({
    deltaMs: sumMs - call.clock.connectedMs,
    toleranceMs: call.toleranceMs,
    offsetMs: 0,
    isRounded: false,
    causes: isMissing ? ["SPLIT"] : [],
  });
  const carrierRecordIds = parts.map(({ recordId }) => recordId);
  return {
    cdrs: [sentByPlatform(call, call.cdr)],
    durations: parts.map((part) => sentByCarrier(call, part, Number(part.endTime?.seconds ?? 0n) * 1_000)),
    truths: [{ platformRecordId: call.cdr.recordId, carrierRecordIds, ...truth }],
  };
}

function splitRecords(call: MadeCall, partCount: number): CallDuration[] {
  const whole = switchView(call.clock, call.random);
  const [saysCount, hand] = [call.random.chance(0.7), switchHand(call, call.random)];
  return partViews(whole, partCount).map((view, index) => {
    const record = carrierRecord({ ...call, view }, call.random, hand);
    return Object.assign(record, {
      part: {
        $typeName: "tandem.type.v1.CallPart" as const,
        partIndex: index + 1,
        ...(saysCount ? { partCount } : { lastPart: index === partCount - 1 }),
      },
    });
  });
}

/** Equal parts, each from the end of the one before. */
function partViews(whole: SwitchView, partCount: number): SwitchView[] {
  const { answerMs = whole.endMs, connectedMs = 0 } = whole;
  const cuts = Array.from({ length: partCount + 1 }, (_, index) => Math.round((connectedMs * index) / partCount));
  return Array.from({ length: partCount }, (_, index) => {
    const [from = 0, until = 0] = [cuts[index], cuts[index + 1]];
    const times = { answerMs: answerMs + from, endMs: answerMs + until, connectedMs: until - from, answered: true };
    return index === 0 && whole.inviteMs !== undefined ? { ...times, inviteMs: whole.inviteMs } : times;
  });
}

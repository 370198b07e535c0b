import { type Timestamp, timestampMs } from "@bufbuild/protobuf/wkt";
import type { CallDetailRecord } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import type { CallDuration } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import type { Correlation } from "../../src/gen/tandem/type/v1/call_pb.js";
import { newestReport } from "./newest-report.ts";
import type { SeenCall, SeenRecord } from "./readings.ts";
import type { TrafficCall } from "./site.ts";

/**
 * What a call's records show, for each of its truths. Copies and voided records are left out: they
 * go with no other call.
 */
export function seenCallsOf({ made, played }: TrafficCall, index: number): SeenCall[] {
  const { ends, condition } = made.plan;
  return played.truths.flatMap((truth): SeenCall[] => {
    if (truth.copyOf !== undefined || truth.status === "VOIDED" || truth.status === "PART_OF_CALL") return [];
    const cdr = truth.platformRecordId === undefined ? undefined : newestReport(played.cdrs, truth.platformRecordId);
    const further = played.truths.filter(({ status }) => status === "PART_OF_CALL");
    const furtherMs = further.map(({ platformRecordId = "" }) => lengthOf(newestReport(played.cdrs, platformRecordId)));
    const durations = truth.carrierRecordIds.flatMap((id) => newestReport(played.durations, id) ?? []);
    const platform =
      cdr &&
      ofPlatform(
        cdr,
        furtherMs.reduce((sum, ms) => sum + ms, 0),
      );
    const carrier = durations.length === 0 ? undefined : ofCarrier(durations, condition.offsetMs);
    const { inviteMs, answerMs } = platform ?? carrier ?? {};
    return [{ index, ends, startMs: inviteMs ?? answerMs ?? made.clock.inviteMs, answerMs, platform, carrier }];
  });
}

function ofPlatform(cdr: CallDetailRecord, furtherMs: number): SeenRecord {
  const { times, correlation } = cdr;
  return {
    inviteMs: wholeMs(times?.inviteTime),
    ringingMs: wholeMs(times?.ringingTime),
    answerMs: wholeMs(times?.answerTime),
    endMs: wholeMs(times?.endTime),
    lengthMs: lengthOf(cdr) + furtherMs,
    answered: times?.answerTime !== undefined,
    resolutionMs: 1,
    ids: idsOf(correlation),
  };
}

function lengthOf(cdr: CallDetailRecord | undefined): number {
  return Number(cdr?.lengths?.connectedDurationMs ?? 0n);
}

function ofCarrier(parts: readonly CallDuration[], offsetMs: number): SeenRecord {
  const [first] = parts;
  const byPlatform = (time: Timestamp | undefined) => {
    const ms = wholeMs(time);
    return ms === undefined ? undefined : ms - offsetMs;
  };
  return {
    inviteMs: byPlatform(first?.inviteTime),
    answerMs: byPlatform(first?.answerTime),
    lengthMs: parts.reduce((sum, { connectedDurationMs, billedDurationS }) => {
      return sum + Number(connectedDurationMs ?? (billedDurationS ?? 0n) * 1_000n);
    }, 0),
    answered: first?.answered ?? false,
    resolutionMs: first?.timeResolutionMs || 1,
    ids: idsOf(first?.correlation),
  };
}

function idsOf(correlation: Correlation | undefined): string[] {
  const { interconnectDialog, icid, sessionId } = correlation ?? {};
  return [
    ...(interconnectDialog ? [`dialog ${interconnectDialog.callId}`] : []),
    ...(icid === undefined ? [] : [`icid ${icid}`]),
    ...(sessionId?.split(";").map((end) => `session ${end}`) ?? []),
  ];
}

function wholeMs(time: Timestamp | undefined): number | undefined {
  return time && Math.round(timestampMs(time));
}

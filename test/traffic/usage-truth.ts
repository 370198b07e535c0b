import type { Truth } from "../../src/simulator/reconciliation/played-call.ts";
import type { TruthStatus } from "../../src/simulator/reconciliation/truth.ts";
import { dayIn } from "../support/usage.ts";
import { newestReport } from "./newest-report.ts";
import type { TrafficCall } from "./site.ts";

/** Both sides agree: the carrier's time counts, or the platform's if the carrier only bills. */
const AGREED: readonly TruthStatus[] = ["MATCHED_EXACT", "WITHIN_TOLERANCE", "MATCHED_UNANSWERED"];
/** Copies and further parts, of which the first counts, and what was taken back. */
const NOWHERE: readonly TruthStatus[] = ["DUPLICATE_AT_CARRIER", "DUPLICATE_AT_PLATFORM", "VOIDED", "PART_OF_CALL"];

/** Connected milliseconds to count, by `customer day`: the day of the call's start in the zone. */
export function usageOfCalls(calls: readonly TrafficCall[], timeZone: string): Map<string, number> {
  const usage = new Map<string, number>();
  for (const call of calls) {
    for (const truth of call.played.truths) {
      const countedMs = countedMsOf(call, truth);
      if (countedMs === 0) continue;
      const key = `${call.made.plan.ends.number.assignment.customerId} ${dayIn(new Date(call.made.clock.inviteMs).toISOString(), timeZone)}`;
      usage.set(key, (usage.get(key) ?? 0) + countedMs);
    }
  }
  return usage;
}

function countedMsOf({ played }: TrafficCall, truth: Truth): number {
  const { status, platformRecordId, carrierRecordIds } = truth;
  if (NOWHERE.includes(status)) return 0;
  const platform = platformRecordId === undefined ? undefined : newestReport(played.cdrs, platformRecordId);
  const platformMs = Number(platform?.lengths?.connectedDurationMs ?? 0n);
  const carrierMs = carrierRecordIds.map((id) => newestReport(played.durations, id)?.connectedDurationMs);
  const isBilledOnly = carrierMs.includes(undefined);
  const reportedMs = isBilledOnly ? platformMs : carrierMs.reduce((sum: number, ms) => sum + Number(ms ?? 0n), 0);
  if (AGREED.includes(status) || status === "MISSING_AT_PLATFORM") return reportedMs;
  return platformMs;
}

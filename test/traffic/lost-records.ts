import type { PlayedCall } from "../../src/simulator/reconciliation/played-call.ts";

/** At which side a call's record is lacking. */
export type LostAt = "nowhere" | "atCarrier" | "atPlatform";

/** A pair of which one record never came, and of which the other has waited long enough. */
export function losing(played: PlayedCall, lostAt: LostAt): PlayedCall {
  const [truth] = played.truths;
  if (lostAt === "nowhere" || truth === undefined) return played;
  if (lostAt === "atPlatform") {
    const { carrierRecordIds } = truth;
    return { ...played, cdrs: [], truths: [{ carrierRecordIds, status: "MISSING_AT_PLATFORM", causes: [] }] };
  }
  const alone = { ...truth, carrierRecordIds: [], status: "MISSING_AT_CARRIER" as const, causes: [] };
  return { ...played, durations: [], truths: [alone] };
}

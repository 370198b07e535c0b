import { playLengthMismatch } from "../../../src/simulator/reconciliation/length-faults.ts";
import { type MadeCall, type PlayedCall, playPair } from "../../../src/simulator/reconciliation/played-call.ts";
import type { TruthStatus } from "../../../src/simulator/reconciliation/truth.ts";
import type { TrafficSite } from "../site.ts";
import type { TrafficShape } from "../traffic-world.ts";

const DAY_MS = 86_400_000;
/** A call costs its first so many seconds, and from there on each so many more that have begun. */
interface Tariff {
  readonly firstS: number;
  readonly eachS: number;
}
const TARIFFS: readonly Tariff[] = [
  { firstS: 30, eachS: 6 },
  { firstS: 60, eachS: 60 },
  { firstS: 90, eachS: 60 },
];
/** So many that a few which are wrong do not hide the tariff of a day. */
const LEAST_OF_A_DAY = 100;

/**
 * Carriers that send bills and no other length, and never tell the tariff: one tariff each, and one
 * carrier that changes it every day.
 */
export const bills: TrafficShape = {
  name: "bills",
  play: (site, callCount) => {
    const days = Math.round((site.endMs - site.startMs) / DAY_MS);
    const trunks = TARIFFS.length + 1;
    for (let trunk = 0; trunk < trunks; trunk += 1) {
      for (let day = 0; day < days; day += 1) {
        const tariff = TARIFFS[trunk < TARIFFS.length ? trunk : day % TARIFFS.length];
        const count = Math.max(LEAST_OF_A_DAY, Math.round(callCount / trunks / days));
        if (tariff !== undefined) playDay(site, { trunkId: `bills-${trunk + 1}`, day, tariff }, count);
      }
    }
  },
};

interface BilledDay {
  readonly trunkId: string;
  readonly day: number;
  readonly tariff: Tariff;
}

function playDay(site: TrafficSite, { trunkId, day, tariff }: BilledDay, count: number): void {
  const { random, startMs } = site;
  for (let left = count; left > 0; left -= 1) {
    // Bills of one UTC day are by one tariff, also where a call is written a second later.
    const inviteMs = startMs + day * DAY_MS + random.int(0, DAY_MS - 10_000);
    const isShort = random.chance(0.3);
    const isOther = random.chance(0.01);
    site.happened(
      {
        planted: `billed ${tariff.firstS}/${tariff.eachS}${isOther ? ", otherwise" : ""}`,
        ends: site.ends(),
        inviteMs,
        trunkId,
        connectedMs: isShort ? random.int(1_000, 40_000) : site.drawTalkMs(),
      },
      (made) => playBill(made, tariff, isOther),
    );
  }
}

function playBill(made: MadeCall, tariff: Tariff, isOther: boolean): PlayedCall {
  const played = isOther ? playLengthMismatch(made) : playPair(made);
  const [truth] = played.truths;
  const [sent] = played.durations;
  if (truth === undefined || sent === undefined) throw new Error("a pair has a truth and a duration");
  const billedS = billOf(tariff, Number(sent.record.connectedDurationMs ?? 0n));
  sent.record.billedDurationS = BigInt(billedS);
  delete sent.record.connectedDurationMs;
  delete sent.record.endTime;
  const status = statusOf(made, tariff, billedS);
  return { ...played, truths: [{ ...truth, status, causes: status === "DURATION_MISMATCH" ? ["UNKNOWN"] : [] }] };
}

function billOf({ firstS, eachS }: Tariff, lengthMs: number): number {
  let billedS = firstS;
  while (billedS * 1_000 < lengthMs) billedS += eachS;
  return billedS;
}

function statusOf({ clock, toleranceMs }: MadeCall, tariff: Tariff, billedS: number): TruthStatus {
  const { connectedMs } = clock;
  if (billedS === billOf(tariff, connectedMs)) return "MATCHED_EXACT";
  const least = billOf(tariff, connectedMs - toleranceMs);
  const most = billOf(tariff, connectedMs + toleranceMs);
  return billedS >= least && billedS <= most ? "WITHIN_TOLERANCE" : "DURATION_MISMATCH";
}

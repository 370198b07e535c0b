import type { CallDetailRecord } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import type { CallDuration } from "../../gen/tandem/type/v1/call_duration_pb.js";
import type { CallTruth } from "../../simulator/reconciliation/truth.ts";
import { createReconciliationWorld } from "../../simulator/reconciliation/world.ts";
import { createWorld, type SimulatedCarrier } from "../../simulator/world.ts";

const DAY_MS = 86_400_000;
const NUMBERS = 300;
/** Records of more than a week ago are for long retention; all calls end before today. */
const DAYS_AGO = 6;
const LEAST_PER_FAULT = 12;
/** What would be a share of the calls otherwise, and what is planted only where it is asked for. */
const PLANTED = {
  unansweredUnreported: 30,
  inboundUnreported: 30,
  droppedAtCarrier: 15,
  carrierOnly: 15,
  transferred: LEAST_PER_FAULT,
  translated: LEAST_PER_FAULT,
};
/** Its days and the day of the calls that its last night goes on into. */
const DAYS = 4;

/** One side's records: those that are sent at once, and those that come when the grace is over. */
export interface SentRecords<Rec> {
  readonly atOnce: readonly Rec[];
  readonly late: readonly Rec[];
}

/** One more carrier, of whose calls it is known what comparing both sides must come to. */
export interface ReconciliationPlan {
  readonly carrier: SimulatedCarrier;
  readonly cdrs: SentRecords<CallDetailRecord>;
  readonly durations: SentRecords<CallDuration>;
  readonly truths: readonly CallTruth[];
  /** Since when its numbers are provisioned and assigned, milliseconds. */
  readonly sinceMs: number;
  /** Its calls' days, `YYYY-MM-DD`, half-open. */
  readonly startDate: string;
  readonly endDate: string;
}

/**
 * Plans some days of calls, on numbers that none of the others has, in which every fault is planted
 * that can be seen at once.
 */
export function planReconciliation(others: readonly SimulatedCarrier[], nowMs: number): ReconciliationPlan {
  const startMs = Math.floor(nowMs / DAY_MS - DAYS_AGO) * DAY_MS;
  const world = createReconciliationWorld({
    // The same calls whatever the demo's seed: what is wrong then is wrong of the code, not of an
    // unlucky draw.
    seed: "demo",
    carrier: carrierBeside(others),
    // Fewer than are planted: so only some are repeated within a minute, where nobody can tell
    // which is which.
    callCount: 300,
    correlatedShare: 0.5,
    startDay: dayOf(startMs),
    leastPerFault: LEAST_PER_FAULT,
    // Calls that are still going on, or of which a side may still come, would keep the demo waiting
    // for ever.
    faults: { ...PLANTED, stillPartial: 0, insideGrace: 0 },
  });
  const lateIds = lateRecordIds(world.truths);
  const sent = <Rec extends { recordId: string }>(arriving: readonly { record: Rec }[]): SentRecords<Rec> => {
    const records = arriving.map(({ record }) => record);
    const isLate = ({ recordId }: Rec) => lateIds.has(recordId);
    return { atOnce: records.filter((record) => !isLate(record)), late: records.filter(isLate) };
  };
  return {
    carrier: world.carrier,
    cdrs: sent(world.cdrs),
    durations: sent(world.durations),
    truths: world.truths,
    sinceMs: startMs - 2 * DAY_MS,
    startDate: dayOf(startMs - DAY_MS),
    endDate: dayOf(startMs + DAYS * DAY_MS),
  };
}

function carrierBeside(others: readonly SimulatedCarrier[]): SimulatedCarrier {
  const taken = new Set(others.flatMap(({ numbers }) => numbers.map(({ phoneNumber }) => phoneNumber)));
  const [, danish] = createWorld({ seed: "demo", numbersPerCarrier: 900 }).carriers;
  if (danish === undefined) throw new Error("the simulated world has three carriers");
  return {
    ...danish,
    carrierId: "oresund-net",
    displayName: "Oresund Net",
    sipDomain: "sip.oresund-net.example",
    trunkIds: ["ore-1", "ore-2"],
    numbers: danish.numbers.filter(({ phoneNumber }) => !taken.has(phoneNumber)).slice(0, NUMBERS),
  };
}

function lateRecordIds(truths: readonly CallTruth[]): Set<string> {
  return new Set(
    truths.flatMap(({ planted, platformRecordId, carrierRecordIds }) => {
      if (planted === "lateAtPlatform") return platformRecordId ?? [];
      return planted === "lateAtCarrier" ? carrierRecordIds : [];
    }),
  );
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

import { DAY_MS } from "../../domain/time/instant.ts";
import type { CallDetailRecord } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import type { CallDuration } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { Direction } from "../../gen/tandem/type/v1/call_pb.js";
import { RecordIssue, Verdict } from "../../gen/tandem/type/v1/upload_pb.js";
import { dayOf } from "../../simulator/cdr.ts";
import { readCallsCsv, recordsFromCalls } from "../../simulator/copenhagen.ts";
import { simulateDay } from "../../simulator/day-of-calls.ts";
import { type DurationFault, FAULTS } from "../../simulator/duration-faults.ts";
import { durationsFor, type PlannedDuration } from "../../simulator/durations.ts";
import type { CallTruth } from "../../simulator/reconciliation/truth.ts";
import { createReconciliationWorld } from "../../simulator/reconciliation/world.ts";
import { createWorld, type SimulatedCarrier } from "../../simulator/world.ts";

const NUMBERS_PER_CARRIER = 100;
/** A number is assigned late only if at most this share of its carrier's durations waits for it. */
const MAX_LATE_SHARE = 0.05;

/** What the demo was asked for. */
export interface DemoOptions {
  readonly seed: string;
  /** Calls of all carriers together. */
  readonly callsPerDay: number;
  /** A calls file, in place of the simulated day. */
  readonly calls?: string;
  readonly json?: true;
  readonly keep?: true;
}

/** All that will happen, decided beforehand: how a record was made says what becomes of it. */
export type DemoPlan = Awaited<ReturnType<typeof makePlan>>;

/** What will happen to one carrier. */
export type CarrierPlan = ReturnType<typeof planCarrier>;

/** A record of an upload, what must become of it, and whether quarantine must release it. */
export type DemoDuration = PlannedDuration & { readonly isReleased?: true };

/** Makes the plan: the same for the same seed and day. */
export async function makePlan(options: DemoOptions, nowMs: number) {
  const { title, carriers, recordsOf, startMs } = await readCalls(options, nowMs);
  return {
    /** Whose calls they are, for people. */
    title,
    carriers: carriers.map((carrier, index) =>
      planCarrier(carrier, recordsOf(carrier, index), { seed: options.seed, nowMs }),
    ),
    /** Comes after them: both sides' records of one more carrier. */
    reconciliation: planReconciliation(carriers, nowMs),
    /**
     * Since when the numbers are provisioned and assigned. Two days before the first: a planted
     * record has a date a day too early, and must be refused only for that.
     */
    sinceMs: startMs - 2 * DAY_MS,
  };
}

/** The calls of a file, or of a simulated day. */
async function readCalls({ seed, calls: file, callsPerDay }: DemoOptions, nowMs: number) {
  if (file !== undefined) {
    const { world, recordsByCarrier, startMs } = recordsFromCalls(await readCallsCsv(file), { seed, nowMs });
    const recordsOf = ({ carrierId }: SimulatedCarrier) => recordsByCarrier.get(carrierId) ?? [];
    return { title: file, carriers: world.carriers, recordsOf, startMs };
  }
  const day = dayOf(nowMs - DAY_MS);
  const { carriers } = createWorld({ seed, numbersPerCarrier: NUMBERS_PER_CARRIER });
  const recordsOf = (carrier: SimulatedCarrier, index: number) =>
    simulateDay(carrier, { seed, day, callCount: Math.floor((callsPerDay + index) / carriers.length) });
  return { title: `a simulated day, ${day}, seed ${seed}`, carriers, recordsOf, startMs: Date.parse(day) };
}

function planCarrier(
  carrier: SimulatedCarrier,
  cdrs: readonly CallDetailRecord[],
  { seed, nowMs }: { seed: string; nowMs: number },
) {
  const each = 1 + Math.floor(cdrs.length / 1_000);
  // A late revision is no refusal, and `--json` has no place for its verdict.
  const kinds = (Object.keys(FAULTS) as DurationFault[]).filter((kind) => kind !== "LATE_REVISION");
  const faults = Object.fromEntries(kinds.map((kind) => [kind, each]));
  const { planned } = durationsFor(carrier, cdrs, { seed, nowMs, faults });
  const lateNumber = chooseLateNumber(cdrs, planned);
  const durations = planned.map(
    (duration): DemoDuration =>
      lateNumber !== undefined && numberOfDuration(duration) === lateNumber
        ? { ...duration, verdict: Verdict.QUARANTINED, issue: RecordIssue.NOT_ATTRIBUTABLE, isReleased: true }
        : duration,
  );
  return {
    carrier,
    /** What the platform ingests, in the order of writing. */
    cdrs,
    durations,
    /** A number that is assigned after all of this: its records wait in quarantine until then. */
    lateNumber,
  };
}

/** The number that a record belongs to, by the contract's rule of attribution. */
export function numberOfCdr({ direction, parties }: CallDetailRecord): string | undefined {
  return direction === Direction.INBOUND ? parties?.called?.value : callerOf(parties);
}

function numberOfDuration({ record }: PlannedDuration): string | undefined {
  return callerOf(record);
}

function callerOf(parties: Pick<CallDuration, "redirecting" | "asserted" | "calling"> | undefined): string | undefined {
  return parties?.redirecting?.value ?? parties?.asserted?.value ?? parties?.calling?.value;
}

/** The busiest number whose records were all sent once and unchanged. */
function chooseLateNumber(
  cdrs: readonly CallDetailRecord[],
  durations: readonly PlannedDuration[],
): string | undefined {
  const revisedIds = new Set(cdrs.filter(({ revision }) => (revision ?? 1) > 1).map(({ recordId }) => recordId));
  const plantedIds = new Set(durations.filter(({ fault }) => fault !== undefined).map(({ record }) => record.recordId));
  const unfit = new Set<string | undefined>();
  for (const cdr of cdrs) if (revisedIds.has(cdr.recordId)) unfit.add(numberOfCdr(cdr));
  const counts = new Map<string, number>();
  for (const duration of durations) {
    const number = numberOfDuration(duration);
    if (plantedIds.has(duration.record.recordId) || duration.record.revision !== 1) unfit.add(number);
    if (number !== undefined) counts.set(number, (counts.get(number) ?? 0) + 1);
  }
  const most = Math.max(1, durations.length * MAX_LATE_SHARE);
  const fit = [...counts].filter(([number, count]) => !unfit.has(number) && count <= most);
  return fit.sort(([a, aCount], [b, bCount]) => bCount - aCount || a.localeCompare(b))[0]?.[0];
}

const NUMBERS = 300;
/** Records of more than a week ago are for long retention; all calls end before today. */
const DAYS_AGO = 6;
const LEAST_PER_FAULT = 12;
/** Faults that would otherwise be a share of the calls, or not be planted. */
const PLANTED = {
  unansweredUnreported: 30,
  inboundUnreported: 30,
  droppedAtCarrier: 15,
  carrierOnly: 15,
  transferred: LEAST_PER_FAULT,
  translated: LEAST_PER_FAULT,
};
/** Its days, and one more for the calls of its last night. */
const DAYS = 4;

/** One more carrier, and what comparing both sides of its calls must come to. */
export type ReconciliationPlan = ReturnType<typeof planReconciliation>;

/** Plans some days of calls on numbers of their own, with every fault that can be seen at once. */
export function planReconciliation(others: readonly SimulatedCarrier[], nowMs: number) {
  const startMs = Math.floor(nowMs / DAY_MS - DAYS_AGO) * DAY_MS;
  const world = createReconciliationWorld({
    // Always the same calls: then a wrong result is the code's fault, not that of an unlucky draw.
    seed: "demo",
    carrier: carrierBeside(others),
    // Fewer than are planted: so only some are repeated within a minute.
    callCount: 300,
    correlatedShare: 0.5,
    startDay: dayOf(startMs),
    leastPerFault: LEAST_PER_FAULT,
    // Calls that still go on, or that still lack a side, would keep the demo waiting for ever.
    faults: { ...PLANTED, stillPartial: 0, insideGrace: 0 },
  });
  const lateIds = lateRecordIds(world.truths);
  // Those that are sent at once, and those that come when the grace is over.
  const sent = <Rec extends { recordId: string }>(arriving: readonly { record: Rec }[]) => {
    const records = arriving.map(({ record }) => record);
    const isLate = ({ recordId }: Rec) => lateIds.has(recordId);
    return { atOnce: records.filter((record) => !isLate(record)), late: records.filter(isLate) };
  };
  return {
    carrier: world.carrier,
    cdrs: sent(world.cdrs),
    durations: sent(world.durations),
    truths: world.truths,
    /** Since when its numbers are provisioned and assigned, milliseconds. */
    sinceMs: startMs - 2 * DAY_MS,
    /** Its calls' days, `YYYY-MM-DD`, half-open. */
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

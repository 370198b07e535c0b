import { enumValues } from "../../src/domain/enum-values.ts";
import { PLATFORM_SIDE } from "../../src/domain/record-kind.ts";
import { addDays } from "../../src/domain/time/instant.ts";
import { DiscrepancyCause, DiscrepancyStatus } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import { createRandom } from "../../src/simulator/random.ts";
import { createReconciliationWorld, type ReconciliationWorld } from "../../src/simulator/reconciliation/world.ts";
import type { FoundResult } from "../../src/simulator/reconciliation/wrong-calls.ts";
import { createWorld } from "../../src/simulator/world.ts";
import type { Database } from "../../src/store/database/database.ts";
import type { CallResultRow } from "../../src/store/reconciliation/call-result-columns.ts";
import { addCarrier, assignNumbers } from "./carriers.ts";
import { appendCdrs, appendDurations } from "./reconcile.ts";

const HOUR_MS = 3_600_000;
/** Records are kept by the week in which they came, from last week on. */
const DAYS_AGO = 6;

/** A world whose records came within the last days. */
export function recentWorld(options: {
  seed: string;
  callCount: number;
  correlatedShare: number;
}): ReconciliationWorld {
  const carrier = createWorld({ seed: "reconcile", numbersPerCarrier: 300 }).carriers[1];
  if (!carrier) throw new Error("the simulated world has three carriers");
  const startDay = addDays(new Date().toISOString().slice(0, 10), -DAYS_AGO);
  return createReconciliationWorld({ ...options, carrier, startDay });
}

/** Onboards the world's carrier under another id, with its numbers. */
export async function addWorldCarrier(db: Database, carrierId: string, world: ReconciliationWorld): Promise<void> {
  await addCarrier(db, carrierId, {
    timeZone: world.carrier.timeZone,
    graceMs: BigInt(world.graceMs),
    durationToleranceMs: BigInt(world.toleranceMs),
  });
  const numbers = world.carrier.numbers.map(({ phoneNumber }) => phoneNumber);
  await assignNumbers(db, carrierId, numbers, "customer-1");
}

/** A step of a delivery: records of one side that came within one hour. */
export interface Delivery {
  readonly arrivalMs: number;
  /** Whether they are second or higher revisions. */
  readonly isLater: boolean;
  readonly run: (db: Database, carrierId: string) => Promise<void>;
}

/**
 * The world's records, in the order of their arrival or shuffled; what is committed at which time
 * does not depend on it. Later revisions stay behind the first ones: a lower revision that comes
 * after a higher one is never stored.
 */
export function deliveriesOf(world: Pick<ReconciliationWorld, "cdrs" | "durations">, shuffleSeed?: string): Delivery[] {
  const isLater = ({ record }: { record: { revision?: number | undefined } }) => (record.revision ?? 1) > 1;
  const make = (later: boolean) =>
    [
      ...inHours(
        world.cdrs.filter((each) => isLater(each) === later),
        appendCdrs,
      ),
      ...inHours(
        world.durations.filter((each) => isLater(each) === later),
        appendDurations,
      ),
    ]
      .map((delivery) => ({ ...delivery, isLater: later }))
      .sort((left, right) => left.arrivalMs - right.arrivalMs);
  const first = make(false);
  if (shuffleSeed === undefined) return [...first, ...make(true)];
  const random = createRandom(shuffleSeed);
  const drawn = first.map((delivery) => ({ delivery, at: random.next() }));
  return [...drawn.sort((left, right) => left.at - right.at).map(({ delivery }) => delivery), ...make(true)];
}

function inHours<R>(
  arriving: readonly { record: R; arrivalMs: number }[],
  append: (db: Database, carrierId: string, records: R[], arrivalMs: number) => Promise<void>,
): Omit<Delivery, "isLater">[] {
  const hours = Map.groupBy(arriving, ({ arrivalMs }) => Math.ceil(arrivalMs / HOUR_MS) * HOUR_MS);
  return [...hours].map(([arrivalMs, group]) => ({
    arrivalMs,
    run: (db, carrierId) =>
      append(
        db,
        carrierId,
        group.map(({ record }) => record),
        arrivalMs,
      ),
  }));
}

/** A stored result as a score takes it. */
export function foundResult(row: CallResultRow): FoundResult {
  return {
    platformRecordId: row.side === PLATFORM_SIDE ? row.recordId : undefined,
    carrierRecordIds: row.carrierRecords.map(({ recordId }) => recordId),
    status: DiscrepancyStatus[row.status] ?? String(row.status),
    causes: enumValues(DiscrepancyCause)
      .filter((cause) => (row.causes & (1 << cause)) !== 0)
      .map((cause) => DiscrepancyCause[cause]),
  };
}

import { expect } from "vitest";
import { enumValues } from "../../src/domain/enum-values.ts";
import { PLATFORM_SIDE } from "../../src/domain/record-kind.ts";
import { addDays } from "../../src/domain/time/instant.ts";
import type { CallDetailRecord } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import type { CallDuration } from "../../src/gen/tandem/type/v1/call_duration_pb.js";
import { DiscrepancyCause, DiscrepancyStatus } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import type { Database } from "../../src/store/database/database.ts";
import { timestamp } from "./feed.ts";
import { addReconciledCarrier, cdr, duration } from "./minute-calls.ts";
import { appendCdrs, appendDurations, readAllResults, reconcileFully } from "./reconcile.ts";

export const SECOND_MS = 1_000;
export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
/** Midnight, four days ago. */
export const MIDNIGHT = Date.parse(`${addDays(new Date().toISOString().slice(0, 10), -4)}T00:00:00Z`);

let carriers = 0;

interface Planned {
  readonly startMs: number;
  /** Which of the other parties; calls of the same are told apart by their lengths. */
  readonly party: number;
}

interface Sides {
  readonly cdrs: readonly CallDetailRecord[];
  readonly durations: readonly CallDuration[];
}

/** Both sides' records, the carrier's by its clock. No id joins them. */
export function recordsOf(calls: readonly Planned[], clock: (ms: number) => number): Sides {
  const cdrs: CallDetailRecord[] = [];
  const durations: CallDuration[] = [];
  for (const [index, { startMs, party }] of calls.entries()) {
    const called = `+1202556${String(1_000 + party)}`;
    const connectedMs = 20_000 + ((index * 7_919) % 180) * SECOND_MS;
    const whole = cdr(`p${index}`, startMs, { called });
    Object.assign(whole.times ?? {}, { endTime: timestamp(startMs + 5_000 + connectedMs) });
    cdrs.push(whole);
    durations.push(duration(`c${index}`, clock(startMs), { called, connectedMs }));
  }
  return { cdrs, durations };
}

/** So many calls in each hour from the first, each of parties of its own unless told otherwise. */
export function evenCalls({
  from = 6,
  hours,
  anHour,
  parties,
}: {
  from?: number;
  hours: number;
  anHour: number;
  parties?: number;
}) {
  return Array.from({ length: hours * anHour }, (_, index) => ({
    startMs: MIDNIGHT + from * HOUR_MS + Math.floor(((index + 0.5) * HOUR_MS) / anHour),
    party: parties === undefined ? index : index % parties,
  }));
}

/** What reconciling comes to, by record: with which it went, its status and its causes. */
async function reconcile(db: Database, sides: Sides, order: "as they came" | "backwards"): Promise<string[]> {
  const carrierId = `clocks-${++carriers}`;
  await addReconciledCarrier(db, carrierId);
  if (order === "as they came") {
    await appendCdrs(db, carrierId, [...sides.cdrs]);
    await appendDurations(db, carrierId, [...sides.durations]);
    await reconcileFully(db, carrierId);
  } else {
    for (const part of inParts(sides.durations.toReversed())) {
      await appendDurations(db, carrierId, part);
      await reconcileFully(db, carrierId);
    }
    for (const part of inParts(sides.cdrs.toReversed())) {
      await appendCdrs(db, carrierId, part);
      await reconcileFully(db, carrierId);
    }
  }
  const rows = (await readAllResults(db, carrierId)).filter((row) => !row.isMerged);
  return rows
    .map((row) => {
      const records = row.carrierRecords.map(({ recordId }) => recordId).join("+");
      // Without a grace one side is late, whichever came last.
      const isTold = (cause: DiscrepancyCause) => (row.causes >> cause) & 1 && cause !== DiscrepancyCause.LATE;
      const causes = enumValues(DiscrepancyCause)
        .filter(isTold)
        .map((cause) => DiscrepancyCause[cause]);
      return [
        row.side === PLATFORM_SIDE ? `${row.recordId}/${records}` : records,
        DiscrepancyStatus[row.status],
        ...causes,
      ].join(" ");
    })
    .sort();
}

function inParts<R>(records: readonly R[]): R[][] {
  const size = Math.max(1, Math.ceil(records.length / 4));
  return Array.from({ length: Math.ceil(records.length / size) }, (_, at) => records.slice(at * size, (at + 1) * size));
}

function expected(count: number, causesOf: (index: number) => readonly string[]): string[] {
  return Array.from({ length: count }, (_, index) =>
    [`p${index}/c${index} MATCHED_EXACT`, ...causesOf(index)].join(" "),
  );
}

/**
 * Reconciles the records in two orders, and expects every call to be paired, with these causes, in
 * both.
 */
export async function expectAllPaired(
  db: Database,
  sides: Sides,
  causesOf: (index: number) => readonly string[],
): Promise<void> {
  const found = await reconcile(db, sides, "as they came");
  const right = new Set(expected(sides.cdrs.length, causesOf));
  expect(found.filter((told) => !right.has(told))).toEqual([]);
  expect(found).toHaveLength(right.size);
  const backwards = new Set(await reconcile(db, sides, "backwards"));
  expect(found.filter((told) => !backwards.has(told))).toEqual([]);
  expect(backwards.size).toBe(found.length);
}

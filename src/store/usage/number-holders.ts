import { sql } from "kysely";
import { earlier, later, type Micros } from "../../domain/time/instant.ts";
import { textArray } from "../database/binary-array.ts";
import { readRows, type Tx } from "../database/run.ts";
import { MOVED_PERIODS } from "./usage-source.ts";

/** A time in which a customer held a number. */
export interface Holder {
  readonly phoneNumber: string;
  readonly customerId: string;
  readonly startTime: Micros;
  /** Exclusive. */
  readonly endTime: Micros;
}

/**
 * Who held these numbers when, by today's history at all carriers: as `heldNumbers` asks for one
 * customer. Spans of a number do not overlap. In a system transaction.
 */
export async function readHolders(tx: Tx, numbers: Iterable<string>): Promise<Holder[]> {
  const wanted = [...new Set(numbers)];
  if (wanted.length === 0) return [];
  const isWanted = sql`phone_number = ANY(${textArray(wanted)}::text[])`;
  // What a carrier holds goes before what is on its way to one.
  const rows = await readRows(tx)<Holder>`
    SELECT h.phone_number, h.customer_id, h.start_time, h.end_time, 1 AS rank FROM number_holding h
    WHERE ${isWanted} AND h.customer_id IS NOT NULL AND h.start_time < h.end_time
    UNION ALL
    SELECT m.phone_number, m.customer_id, m.start_time, m.end_time, 2 FROM (${MOVED_PERIODS}) m
    WHERE ${isWanted} AND m.customer_id IS NOT NULL AND m.start_time < m.end_time
    ORDER BY rank`;
  return [...Map.groupBy(rows, (row) => row.phoneNumber).values()].flatMap(disjoint);
}

/** The customer that held a number at an instant; undefined: none. */
export function holderAt(
  holders: ReadonlyMap<string, readonly Holder[]>,
  phoneNumber: string | undefined,
  time: Micros,
): string | undefined {
  if (phoneNumber === undefined) return undefined;
  return holders.get(phoneNumber)?.find(({ startTime, endTime }) => startTime <= time && time < endTime)?.customerId;
}

// Earlier ones win.
function disjoint(holders: readonly Holder[]): Holder[] {
  const kept: Holder[] = [];
  for (const holder of holders) kept.push(...kept.reduce(without, [holder]));
  return kept;
}

function without(holders: Holder[], taken: Holder): Holder[] {
  return holders
    .flatMap((each) => [
      { ...each, endTime: earlier(each.endTime, taken.startTime) },
      { ...each, startTime: later(each.startTime, taken.endTime) },
    ])
    .filter(({ startTime, endTime }) => startTime < endTime);
}

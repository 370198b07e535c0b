import type { Micros } from "../../domain/time/instant.ts";
import { textArray } from "../database/binary-array.ts";
import { readRows, type Tx } from "../database/run.ts";

/** A period in which the carrier held a number, assigned to one customer or to nobody. */
export interface Holding {
  phoneNumber: string;
  /** The customer that the number was assigned to; undefined while it was assigned to nobody. */
  customerId: string | undefined;
  startTime: Micros;
  /** Exclusive; the year 9999 while no end is known. */
  endTime: Micros;
}

/**
 * Reads who these numbers of one carrier were assigned to, over all time, scheduled periods
 * included: what attributes calls. Periods of one number never overlap; they come by number and
 * start. Numbers that the carrier never held have none. A scheduled port ends the holding at its
 * time.
 */
export async function readHoldings(tx: Tx, carrierId: string, numbers: readonly string[]): Promise<Holding[]> {
  if (numbers.length === 0) return [];
  return readRows(tx)<Holding>`
    SELECT h.phone_number, h.customer_id, h.start_time, LEAST(h.end_time, p.effective_time) AS end_time
    FROM unnest(${textArray(numbers)}::text[]) AS wanted(phone_number)
    JOIN number_holding h ON h.carrier_id = ${carrierId} AND h.phone_number = wanted.phone_number
    LEFT JOIN number_port p ON p.carrier_id = ${carrierId} AND p.phone_number = h.phone_number AND p.stage = 1
    WHERE h.start_time < LEAST(h.end_time, p.effective_time)
    ORDER BY h.phone_number, h.start_time`;
}

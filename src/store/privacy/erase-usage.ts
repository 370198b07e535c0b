import { sql } from "kysely";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { readRows, run, type Tx } from "../database/run.ts";

// Figures of closed periods: an erasure turns a number's lines into lines of no number. In system
// transactions.

/** The days of a period that an erasure reaches, both inclusive, in the period's time zone. */
export interface ReachedDays {
  periodId: string;
  first: string;
  last: string;
}

/** Closed periods that have lines of a number, with the days that an interval reaches. */
export function findPeriodsOf(
  tx: Tx,
  phoneNumber: string,
  { start, end }: { start: Micros; end: Micros },
): Promise<ReachedDays[]> {
  // The days as they were cut when the period was closed.
  const lastBegun = (instant: Micros) => sql`(SELECT max(z.day) FROM zone_day z
      WHERE z.time_zone = p.time_zone AND z.day >= p.start_date AND z.day < p.end_date AND z.start_time <= ${isoFromMicros(instant)}::timestamptz)`;
  return readRows(tx)<ReachedDays>`
    SELECT p.period_id, COALESCE(${lastBegun(start)}, p.start_date) AS first, COALESCE(${lastBegun(end - 1n)}, p.start_date - 1) AS last
    FROM usage_period p WHERE EXISTS (SELECT FROM usage_line l WHERE l.period_id = p.period_id AND l.phone_number = ${phoneNumber})
      OR EXISTS (SELECT FROM usage_restatement s WHERE s.period_id = p.period_id
        AND position(convert_to(${phoneNumber}, 'UTF8') IN s.payload) > 0)`;
}

type Parts = Record<string, number[]>;

interface Line {
  restatementNumber: number;
  usageDate: string;
  phoneNumber: string;
  direction: number;
  countryCode: string;
  parts: Parts;
}

/** Moves a number's lines to no number in all restatements. Locks the period. Returns how many. */
export async function eraseLines(
  tx: Tx,
  carrierId: string,
  phoneNumber: string,
  { periodId, first, last }: ReachedDays,
): Promise<number> {
  await run(tx)`UPDATE usage_period SET restatement_number = restatement_number WHERE period_id = ${periodId}`;
  const rows = await readRows(tx)<Line>`
    SELECT restatement_number, usage_date, phone_number, direction, country_code, parts FROM usage_line l
    WHERE period_id = ${periodId} AND carrier_id = ${carrierId} AND phone_number IN (${phoneNumber}, '')
      AND usage_date >= ${first}::date AND usage_date <= ${last}::date
    ORDER BY restatement_number`;
  const groups = Map.groupBy(rows, (row) => `${row.usageDate}/${row.direction}/${row.countryCode}`);
  for (const lines of groups.values()) {
    const own = lines.filter((line) => line.phoneNumber === phoneNumber);
    if (own.length === 0) continue;
    for (const line of joinLines(
      own,
      lines.filter((other) => other.phoneNumber === ""),
    )) {
      await run(tx)`
        INSERT INTO usage_line (period_id, restatement_number, usage_date, phone_number, direction, country_code, carrier_id, parts)
        VALUES (${periodId}, ${line.restatementNumber}, ${line.usageDate}::date, '', ${line.direction}, ${line.countryCode}, ${carrierId},
          ${JSON.stringify(line.parts)}::jsonb)
        ON CONFLICT (period_id, usage_date, phone_number, direction, country_code, carrier_id, restatement_number)
        DO UPDATE SET parts = EXCLUDED.parts`;
    }
  }
  const { count } = await run(tx)`
    DELETE FROM usage_line WHERE period_id = ${periodId} AND carrier_id = ${carrierId} AND phone_number = ${phoneNumber}
      AND usage_date >= ${first}::date AND usage_date <= ${last}::date`;
  return count;
}

function joinLines(own: readonly Line[], others: readonly Line[]): Line[] {
  const numbers = [...new Set([...own, ...others].map((line) => line.restatementNumber))].sort((a, b) => a - b);
  return numbers.flatMap((number) => {
    const asOf = (lines: readonly Line[]) => lines.findLast((line) => line.restatementNumber <= number);
    const [mine, theirs] = [asOf(own), asOf(others)];
    const line = mine ?? theirs;
    if (!line) return [];
    return [{ ...line, restatementNumber: number, parts: sumParts(mine?.parts ?? {}, theirs?.parts ?? {}) }];
  });
}

function sumParts(a: Parts, b: Parts): Parts {
  const sums: Parts = { ...a };
  for (const [part, theirs] of Object.entries(b)) {
    const mine = a[part] ?? [];
    // A trailing sum of 0 is not kept.
    const longer = mine.length > theirs.length ? mine : theirs;
    sums[part] = longer.map((_, index) => (mine[index] ?? 0) + (theirs[index] ?? 0));
  }
  return sums;
}

/** The restatements of a period in which a number may be. */
export function findRestatementsOf(
  tx: Tx,
  periodId: string,
  pattern: string,
): Promise<{ number: number; payload: Buffer }[]> {
  return readRows(tx)<{ number: number; payload: Buffer }>`
    SELECT restatement_number AS number, payload FROM usage_restatement
    WHERE period_id = ${periodId} AND encode(payload, 'escape') ~ ${pattern}`;
}

export async function rewriteRestatement(tx: Tx, periodId: string, number: number, payload: Buffer): Promise<void> {
  await run(tx)`
    UPDATE usage_restatement SET payload = ${payload} WHERE period_id = ${periodId} AND restatement_number = ${number}`;
}

import { sql } from "kysely";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import type { Tx } from "../database/database.ts";

/**
 * Deletes a carrier's disclosures before an instant, some at a time, and says how many. With the
 * owner's rights: no role of the application may.
 */
export async function deleteDisclosures(tx: Tx, carrierId: string, before: Micros, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`
    DELETE FROM disclosure WHERE carrier_id = ${carrierId} AND disclosure_id IN (
      SELECT disclosure_id FROM disclosure WHERE carrier_id = ${carrierId} AND commit_time < ${isoFromMicros(before)}::timestamptz
      ORDER BY commit_time, disclosure_id LIMIT ${limit})`.execute(tx);
  return Number(numAffectedRows ?? 0n);
}

import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { run, type Tx } from "../database/run.ts";

/** Deletes disclosures before an instant. Needs the owner's rights. Returns how many went. */
export async function deleteDisclosures(tx: Tx, carrierId: string, before: Micros, limit: number): Promise<number> {
  const { count } = await run(tx)`
    DELETE FROM disclosure WHERE carrier_id = ${carrierId} AND disclosure_id IN (
      SELECT disclosure_id FROM disclosure WHERE carrier_id = ${carrierId} AND commit_time < ${isoFromMicros(before)}::timestamptz
      ORDER BY commit_time, disclosure_id LIMIT ${limit})`;
  return count;
}

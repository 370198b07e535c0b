import { readValue, run, type Tx } from "../database/run.ts";

export const Tally = { NUMBERS: 1, OPEN_DURATION_UPLOADS: 2, OPEN_CDR_UPLOADS: 3, CONSUMERS: 4 } as const;
export type Tally = (typeof Tally)[keyof typeof Tally];

/**
 * Takes a place, or says that there is none. Others of the carrier wait for the transaction to end.
 * @param count how many there really are: nothing is told when one goes, so a full tally is
 *   recounted.
 */
export async function takePlace(
  tx: Tx,
  carrierId: string,
  { what, most, count }: { what: Tally; most: number; count: () => Promise<number> },
): Promise<boolean> {
  if ((await addToTally(tx, carrierId, what, 1n)) <= BigInt(most)) return true;
  const held = await count();
  await run(tx)`
    UPDATE carrier_tally SET held = ${BigInt(held) + 1n}::bigint
    WHERE carrier_id = ${carrierId} AND what = ${what}`;
  return held < most;
}

export async function readTally(tx: Tx, carrierId: string, what: Tally): Promise<bigint> {
  const held = await readValue(tx)<bigint | undefined>`
    SELECT held FROM carrier_tally WHERE carrier_id = ${carrierId} AND what = ${what}`;
  return held ?? 0n;
}

/** Adds to a tally, and says what it then is. */
export function addToTally(tx: Tx, carrierId: string, what: Tally, added: bigint): Promise<bigint> {
  return readValue(tx)<bigint>`
    INSERT INTO carrier_tally (carrier_id, what, held) VALUES (${carrierId}, ${what}, ${added}::bigint)
    ON CONFLICT (carrier_id, what) DO UPDATE SET held = carrier_tally.held + EXCLUDED.held RETURNING held`;
}

import { sql } from "kysely";
import type { Micros } from "../domain/instant.ts";
import { textArray, timestamptzArray } from "./binary-array.ts";
import type { Tx } from "./database.ts";

// number_owner decides between carriers, keyed by the number alone. A claim is committed before the carrier's rows, and freed after them, so a
// crash leaves at worst a claim without a row, which the sweeper frees. Every claim has a time that only rises; who frees names the claim that
// it means, so that a release that was held up cannot free a later claim. All in system transactions.

/** A claim on a number, by its time. */
export interface NumberClaim {
  readonly phoneNumber: string;
  readonly claimTime: Micros;
}

/** Claims numbers for a carrier. Gives the claims that are now the carrier's; the other numbers are another's, or on their way to another. */
export async function claimNumbers(
  tx: Tx,
  carrierId: string,
  numbers: readonly string[],
): Promise<Map<string, Micros>> {
  if (numbers.length === 0) return new Map();
  // Sorted, so that two carriers that claim the same numbers wait for each other in one order.
  const sorted = textArray(numbers.toSorted());
  await sql`
    INSERT INTO number_owner (phone_number, carrier_id, claim_time, in_transit)
    SELECT n, ${carrierId}, clock_timestamp(), false FROM unnest(${sorted}::text[]) AS n
    ON CONFLICT DO NOTHING`.execute(tx);
  const { rows } = await sql<{ phone_number: string; claim_time: Micros }>`
    UPDATE number_owner SET claim_time = GREATEST(clock_timestamp(), claim_time + interval '1 microsecond')
    WHERE phone_number = ANY(${sorted}::text[]) AND carrier_id = ${carrierId} AND NOT in_transit
    RETURNING phone_number, claim_time`.execute(tx);
  return new Map(rows.map((row) => [row.phone_number, row.claim_time]));
}

/** Frees claims, unless they have been renewed since. */
export async function freeNumbers(tx: Tx, carrierId: string, claims: readonly NumberClaim[]): Promise<void> {
  if (claims.length === 0) return;
  await sql`
    DELETE FROM number_owner o
    USING unnest(${textArray(claims.map((claim) => claim.phoneNumber))}::text[],
                 ${timestamptzArray(claims.map((claim) => claim.claimTime))}::timestamptz[]) AS c(phone_number, claim_time)
    WHERE o.phone_number = c.phone_number AND o.carrier_id = ${carrierId} AND o.claim_time <= c.claim_time`.execute(tx);
}

/** Moves claims from the carrier that has lost numbers to the one that gains them; until `endTransit` neither can claim them anew. */
export async function moveNumbers(
  tx: Tx,
  fromCarrierId: string,
  toCarrierId: string,
  numbers: readonly string[],
): Promise<Map<string, Micros>> {
  const { rows } = await sql<{ phone_number: string; claim_time: Micros }>`
    INSERT INTO number_owner AS o (phone_number, carrier_id, claim_time, in_transit)
    SELECT n, ${toCarrierId}, clock_timestamp(), true FROM unnest(${textArray(numbers.toSorted())}::text[]) AS n
    ON CONFLICT (phone_number) DO UPDATE
    SET carrier_id = EXCLUDED.carrier_id, in_transit = true, claim_time = GREATEST(EXCLUDED.claim_time, o.claim_time + interval '1 microsecond')
    WHERE o.carrier_id = ${fromCarrierId} OR (o.carrier_id = ${toCarrierId} AND o.in_transit)
    RETURNING phone_number, claim_time`.execute(tx);
  return new Map(rows.map((row) => [row.phone_number, row.claim_time]));
}

/** Says that ported numbers have arrived. */
export async function endTransit(tx: Tx, toCarrierId: string, numbers: readonly string[]): Promise<void> {
  await tx
    .updateTable("number_owner")
    .set({ in_transit: false })
    .where("phone_number", "=", sql<string>`ANY(${textArray(numbers)}::text[])`)
    .where("carrier_id", "=", toCarrierId)
    .where("in_transit", "=", true)
    .execute();
}

/** What one step of the sweep found. */
export interface ClaimSweep {
  readonly freed: number;
  /** Where the next step goes on; undefined after the last. */
  readonly next: string | undefined;
}

/** How many claims one step looks at. */
const SWEEP_CLAIMS = 5_000;

/**
 * Frees claims whose carrier has no such number, among the next ones by number: a crash came between claim and rows, or between the rows of a
 * release and the end of its claim. Young claims are left alone, for their rows may still be on their way, and so are numbers that are being ported.
 */
export async function sweepClaims(tx: Tx, after: string, minimumAgeS: number): Promise<ClaimSweep> {
  const { rows } = await sql<{ last: string | null; looked: bigint; freed: bigint }>`
    WITH page AS MATERIALIZED (
      SELECT phone_number, carrier_id, claim_time FROM number_owner WHERE phone_number > ${after} ORDER BY phone_number LIMIT ${SWEEP_CLAIMS}
    ), stray AS MATERIALIZED (
      SELECT o.* FROM page o
      LEFT JOIN phone_number p ON p.carrier_id = o.carrier_id AND p.phone_number = o.phone_number AND p.state IN (1, 2)
      LEFT JOIN number_port t ON t.phone_number = o.phone_number AND t.stage < 3
      WHERE p.phone_number IS NULL AND t.phone_number IS NULL
        AND o.claim_time < clock_timestamp() - make_interval(secs => ${minimumAgeS})
    ), freed AS (
      DELETE FROM number_owner o USING stray s
      WHERE o.phone_number = s.phone_number AND o.carrier_id = s.carrier_id AND o.claim_time = s.claim_time AND NOT o.in_transit
      RETURNING 1
    )
    SELECT (SELECT max(phone_number) FROM page) AS last, (SELECT count(*) FROM page) AS looked, (SELECT count(*) FROM freed) AS freed`.execute(
    tx,
  );
  const step = rows[0];
  const isLast = step === undefined || Number(step.looked) < SWEEP_CLAIMS;
  return { freed: Number(step?.freed ?? 0n), next: isLast ? undefined : (step.last ?? undefined) };
}

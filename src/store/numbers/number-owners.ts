import type { Micros } from "../../domain/time/instant.ts";
import { textArray } from "../database/binary-array.ts";
import { clockFrom } from "../database/clock-from.ts";
import { readInOrder, readRow, readRows, run, type Tx, unnest } from "../database/run.ts";

// number_owner decides between carriers, by number. A claim is committed before the carrier's rows
// and freed after them, so a crash at worst leaves a claim without a row, for the sweeper. A
// claim's time only rises. A row keeps the time of its last claim, and a release frees no later
// one: a newer call may rely on that. All in system transactions.

export interface NumberClaim {
  readonly phoneNumber: string;
  readonly claimTime: Micros;
}

export interface StandingClaim extends NumberClaim {
  readonly carrierId: string;
  /** Whether the number is on its way to this carrier by a port. */
  readonly inTransit: boolean;
}

/** A number that a carrier wants to claim. */
export interface WantedNumber {
  readonly phoneNumber: string;
  /** Of the last claim by which the carrier held it, if ever: the new one is later. */
  readonly earlierClaimTime: Micros | undefined;
  /** Since when the carrier says to have held it; undefined: from now on. */
  readonly since: Micros | undefined;
}

/** What came of claiming numbers. */
export interface ClaimedNumbers {
  /** The claims that now are the carrier's. */
  readonly claims: ReadonlyMap<string, Micros>;
  /** The new ones among them: no other call relies on them unless it renews them. */
  readonly made: readonly NumberClaim[];
  /** Free numbers that another carrier held since the given time; not claimed. */
  readonly overlaps: ReadonlySet<string>;
  /** Numbers beyond the last place; not claimed. */
  readonly beyond: ReadonlySet<string>;
}

/** Claims numbers, at most `most`, in the order of `wanted`. */
export async function claimNumbers(
  tx: Tx,
  carrierId: string,
  wanted: readonly WantedNumber[],
  most: number,
): Promise<ClaimedNumbers> {
  if (wanted.length === 0 || most <= 0)
    return { claims: new Map(), made: [], overlaps: new Set(), beyond: numbersOf(wanted) };
  // Sorted, so that two carriers that claim the same numbers wait for each other in one order.
  const sorted = wanted.toSorted((a, b) => (a.phoneNumber < b.phoneNumber ? -1 : 1));
  const numbers = textArray(sorted.map((number) => number.phoneNumber));
  const places = sorted.map(({ phoneNumber, earlierClaimTime: earlier = 0n }) => ({ phoneNumber, earlier }));
  const inserted = await readRows(tx)<{ phoneNumber: string }>`
    INSERT INTO number_owner (phone_number, carrier_id, claim_time, in_transit)
    SELECT n.phone_number, ${carrierId}, GREATEST(clock_timestamp(), n.earlier + interval '1 microsecond'), false
    FROM ${unnest("n", places, { phoneNumber: "text", earlier: "timestamptz" })}
    ON CONFLICT DO NOTHING RETURNING phone_number`;
  const rows = await readRows(tx)<OwnerRow>`
    UPDATE number_owner SET claim_time = GREATEST(${clockFrom("claim_time")}, claim_time + interval '1 microsecond')
    WHERE phone_number = ANY(${numbers}::text[]) AND carrier_id = ${carrierId} AND NOT in_transit
    RETURNING phone_number, claim_time`;
  const claimable = claimTimes(rows);
  const overlaps = await findOverlaps(
    tx,
    carrierId,
    sorted.filter((number) => claimable.has(number.phoneNumber)),
  );
  for (const phoneNumber of overlaps) claimable.delete(phoneNumber);
  const { claims, beyond } = takePlaces(wanted, claimable, most);
  // Nobody has seen these claims yet; on older ones other calls may rely.
  const made: NumberClaim[] = [];
  const unmade: string[] = [];
  for (const { phoneNumber } of inserted) {
    const claimTime = claims.get(phoneNumber);
    if (claimTime === undefined) unmade.push(phoneNumber);
    else made.push({ phoneNumber, claimTime });
  }
  if (unmade.length > 0) await run(tx)`DELETE FROM number_owner WHERE phone_number = ANY(${textArray(unmade)}::text[])`;
  return { claims, made, overlaps, beyond };
}

function takePlaces(wanted: readonly WantedNumber[], claimable: ReadonlyMap<string, Micros>, most: number) {
  const claims = new Map<string, Micros>();
  for (const [at, { phoneNumber }] of wanted.entries()) {
    if (claims.size >= most) return { claims, beyond: numbersOf(wanted.slice(at)) };
    const claimTime = claimable.get(phoneNumber);
    if (claimTime !== undefined) claims.set(phoneNumber, claimTime);
  }
  return { claims, beyond: numbersOf([]) };
}

function numbersOf(wanted: readonly WantedNumber[]): Set<string> {
  return new Set(wanted.map((number) => number.phoneNumber));
}

/** Frees claims, unless they have been renewed since. */
export async function freeNumbers(tx: Tx, carrierId: string, claims: readonly NumberClaim[]): Promise<void> {
  if (claims.length === 0) return;
  await run(tx)`
    DELETE FROM number_owner o USING ${claimList(claims)}
    WHERE o.phone_number = c.phone_number AND o.carrier_id = ${carrierId} AND o.claim_time <= c.claim_time`;
}

/** Reads who has claimed numbers; those that nobody has are left out. */
export async function readClaims(tx: Tx, numbers: readonly string[]): Promise<Map<string, StandingClaim>> {
  const rows = await readRows(tx)<StandingClaim>`
    SELECT * FROM number_owner WHERE phone_number = ANY(${textArray(numbers)}::text[])`;
  return new Map(rows.map((row) => [row.phoneNumber, row]));
}

/**
 * Moves claims to the gaining carrier of a port if they are as they were read; makes missing ones.
 * Neither carrier can claim the numbers until `endTransit`. Returns the moved claims.
 */
export async function moveClaims(
  tx: Tx,
  toCarrierId: string,
  claims: readonly StandingClaim[],
  unclaimed: readonly string[],
): Promise<Map<string, Micros>> {
  const moved = await readRows(tx)<OwnerRow>`
    UPDATE number_owner o
    SET carrier_id = ${toCarrierId}, in_transit = true, claim_time = GREATEST(${clockFrom("o.claim_time")}, o.claim_time + interval '1 microsecond')
    FROM ${claimList(claims)}
    WHERE o.phone_number = c.phone_number AND o.claim_time = c.claim_time AND NOT o.in_transit
    RETURNING o.phone_number, o.claim_time`;
  const made = await readRows(tx)<OwnerRow>`
    INSERT INTO number_owner (phone_number, carrier_id, claim_time, in_transit)
    SELECT n, ${toCarrierId}, clock_timestamp(), true FROM unnest(${textArray(unclaimed.toSorted())}::text[]) AS n
    ON CONFLICT DO NOTHING RETURNING phone_number, claim_time`;
  return claimTimes([...moved, ...made]);
}

/** Says that ported numbers have arrived, if it is still these claims that are in transit. */
export async function endTransit(tx: Tx, toCarrierId: string, claims: readonly NumberClaim[]): Promise<void> {
  if (claims.length === 0) return;
  await run(tx)`
    UPDATE number_owner o SET in_transit = false FROM ${claimList(claims)}
    WHERE o.phone_number = c.phone_number AND o.carrier_id = ${toCarrierId} AND o.claim_time = c.claim_time AND o.in_transit`;
}

export interface ClaimSweep {
  readonly freed: number;
  /** Where the next step goes on; undefined after the last. */
  readonly next: string | undefined;
}

/** How many claims one step looks at. */
const SWEEP_CLAIMS = 5_000;

/** Frees claims without a number, which crashes leave; not young ones and those being ported. */
export async function sweepClaims(tx: Tx, after: string, minimumAgeS: number): Promise<ClaimSweep> {
  await readInOrder(tx);
  const step = await readRow(tx)<{ last: string | undefined; looked: bigint; freed: bigint }>`
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
    SELECT (SELECT max(phone_number) FROM page) AS last, (SELECT count(*) FROM page) AS looked, (SELECT count(*) FROM freed) AS freed`;
  const isLast = step === undefined || Number(step.looked) < SWEEP_CLAIMS;
  return { freed: Number(step?.freed ?? 0n), next: isLast ? undefined : step.last };
}

interface OwnerRow {
  phoneNumber: string;
  claimTime: Micros;
}

function claimTimes(rows: readonly OwnerRow[]): Map<string, Micros> {
  return new Map(rows.map((row) => [row.phoneNumber, row.claimTime]));
}

function claimList(claims: readonly NumberClaim[]) {
  return unnest("c", claims, { phoneNumber: "text", claimTime: "timestamptz" });
}

// Under the claim no other holding can begin, so what is read here stays.
async function findOverlaps(tx: Tx, carrierId: string, wanted: readonly WantedNumber[]): Promise<Set<string>> {
  const dated = wanted.flatMap(({ phoneNumber, since }) => (since === undefined ? [] : [{ phoneNumber, since }]));
  if (dated.length === 0) return new Set();
  const rows = await readRows(tx)<{ phoneNumber: string }>`
    SELECT DISTINCT w.phone_number
    FROM ${unnest("w", dated, { phoneNumber: "text", since: "timestamptz" })}
    JOIN number_holding h ON h.phone_number = w.phone_number AND h.carrier_id <> ${carrierId} AND h.end_time > w.since`;
  return new Set(rows.map((row) => row.phoneNumber));
}

import { sql } from "kysely";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { byteaArray, int2Array, int8Array, textArray, timestamptzArray } from "../database/binary-array.ts";
import { insertAll, run, type Tx } from "../database/run.ts";

/** A number's current row: what filters look for, and the row as readers get it. */
export interface StoredRow {
  readonly phoneNumber: string;
  readonly state: number;
  readonly customerId: string | undefined;
  readonly countryCode: string | undefined;
  readonly revision: bigint;
  readonly recordedTime: Micros;
  /** Of the claim by which the carrier held it last. */
  readonly claimTime: Micros;
  /** An encoded PhoneNumber. */
  readonly payload: Uint8Array;
}

/** An entry of the numbers feed: the row after a change, and before it. */
export interface EntryWrite extends StoredRow {
  readonly sequence: bigint;
  readonly previous: StoredRow | undefined;
}

/** What an entry of the numbers feed is. */
export const NumberEntryKind = { CHANGE: 1, ERASURE: 2 } as const;

/** Reads the current rows of numbers; those that the carrier never held are left out. */
export async function readRows(tx: Tx, carrierId: string, numbers: readonly string[]): Promise<Map<string, StoredRow>> {
  const { rows } = await run(tx)<StoredRow>`
    SELECT p.* FROM phone_number p WHERE p.carrier_id = ${carrierId} AND p.phone_number = ANY(${textArray(numbers)}::text[])`;
  return new Map(rows.map((row) => [row.phoneNumber, row]));
}

/** Writes the current rows of numbers. */
export async function writeRows(tx: Tx, carrierId: string, rows: readonly StoredRow[]): Promise<void> {
  if (rows.length === 0) return;
  const query = sql`
    INSERT INTO phone_number (carrier_id, phone_number, state, customer_id, country_code, revision, recorded_time, claim_time, payload)
    SELECT c.carrier_id, w.* FROM carrier c CROSS JOIN unnest(
      ${textArray(rows.map((row) => row.phoneNumber))}::text[], ${int2Array(rows.map((row) => row.state))}::int2[],
      ${textArray(rows.map((row) => row.customerId))}::text[], ${textArray(rows.map((row) => row.countryCode))}::text[],
      ${int8Array(rows.map((row) => row.revision))}::int8[], ${timestamptzArray(rows.map((row) => row.recordedTime))}::timestamptz[],
      ${timestamptzArray(rows.map((row) => row.claimTime))}::timestamptz[], ${byteaArray(rows.map((row) => row.payload))}::bytea[]) AS w
    WHERE c.carrier_id = ${carrierId}
    ON CONFLICT (carrier_id, phone_number) DO UPDATE
    SET state = EXCLUDED.state, customer_id = EXCLUDED.customer_id, country_code = EXCLUDED.country_code, revision = EXCLUDED.revision,
        recorded_time = EXCLUDED.recorded_time, claim_time = EXCLUDED.claim_time, payload = EXCLUDED.payload`;
  await insertAll(tx, query, rows.length);
}

/** Notes on the rows of numbers that are held that they were claimed anew. */
export async function raiseClaimTimes(tx: Tx, carrierId: string, claims: ReadonlyMap<string, Micros>): Promise<void> {
  if (claims.size === 0) return;
  await run(tx)`
    UPDATE phone_number p SET claim_time = GREATEST(p.claim_time, c.claim_time)
    FROM unnest(${textArray([...claims.keys()])}::text[], ${timestamptzArray([...claims.values()])}::timestamptz[]) AS c(phone_number, claim_time)
    WHERE p.carrier_id = ${carrierId} AND p.phone_number = c.phone_number AND p.state IN (1, 2)`;
}

/**
 * Appends entries to the feed whose counter row the transaction has locked; their sequences follow
 * each other without a gap.
 */
export async function writeEntries(
  tx: Tx,
  carrierId: string,
  ingestTime: Micros,
  entries: readonly EntryWrite[],
): Promise<void> {
  if (entries.length === 0) return;
  const query = sql`
    INSERT INTO number_entry (carrier_id, ingest_time, entry_kind, sequence, phone_number, state, customer_id, country_code,
                              previous_state, previous_customer_id, previous_country_code, payload)
    SELECT c.carrier_id, ${isoFromMicros(ingestTime)}::timestamptz, ${NumberEntryKind.CHANGE}::int2, w.* FROM carrier c CROSS JOIN unnest(
      ${int8Array(entries.map((entry) => entry.sequence))}::int8[], ${textArray(entries.map((entry) => entry.phoneNumber))}::text[],
      ${int2Array(entries.map((entry) => entry.state))}::int2[], ${textArray(entries.map((entry) => entry.customerId))}::text[],
      ${textArray(entries.map((entry) => entry.countryCode))}::text[],
      ${int2Array(entries.map((entry) => entry.previous?.state))}::int2[],
      ${textArray(entries.map((entry) => entry.previous?.customerId))}::text[],
      ${textArray(entries.map((entry) => entry.previous?.countryCode))}::text[],
      ${byteaArray(entries.map((entry) => entry.payload))}::bytea[]) AS w
    WHERE c.carrier_id = ${carrierId}`;
  await insertAll(tx, query, entries.length);
}

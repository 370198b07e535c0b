import { sql } from "kysely";
import type { Micros } from "../../domain/time/instant.ts";
import { textArray } from "../database/binary-array.ts";
import { insertAll, instant, readRows, run, type Tx, unnest } from "../database/run.ts";

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

export interface EntryWrite extends StoredRow {
  readonly sequence: bigint;
  readonly previous: StoredRow | undefined;
}

export const NumberEntryKind = { CHANGE: 1, ERASURE: 2 } as const;

/** Reads the current rows of numbers; those that the carrier never held are left out. */
export async function readCurrentRows(
  tx: Tx,
  carrierId: string,
  numbers: readonly string[],
): Promise<Map<string, StoredRow>> {
  const rows = await readRows(tx)<StoredRow>`
    SELECT p.* FROM phone_number p WHERE p.carrier_id = ${carrierId} AND p.phone_number = ANY(${textArray(numbers)}::text[])`;
  return new Map(rows.map((row) => [row.phoneNumber, row]));
}

export async function writeRows(tx: Tx, carrierId: string, rows: readonly StoredRow[]): Promise<void> {
  if (rows.length === 0) return;
  const written = unnest("w", rows, {
    ...({ phoneNumber: "text", state: "int2", customerId: "text", countryCode: "text", revision: "int8" } as const),
    ...({ recordedTime: "timestamptz", claimTime: "timestamptz", payload: "bytea" } as const),
  });
  const query = sql`
    INSERT INTO phone_number (carrier_id, phone_number, state, customer_id, country_code, revision, recorded_time, claim_time, payload)
    SELECT c.carrier_id, w.* FROM carrier c CROSS JOIN ${written}
    WHERE c.carrier_id = ${carrierId}
    ON CONFLICT (carrier_id, phone_number) DO UPDATE
    SET state = EXCLUDED.state, customer_id = EXCLUDED.customer_id, country_code = EXCLUDED.country_code, revision = EXCLUDED.revision,
        recorded_time = EXCLUDED.recorded_time, claim_time = EXCLUDED.claim_time, payload = EXCLUDED.payload`;
  await insertAll(tx, query, rows.length);
}

/** Notes on the rows of numbers that are held that they were claimed anew. */
export async function raiseClaimTimes(tx: Tx, carrierId: string, claims: ReadonlyMap<string, Micros>): Promise<void> {
  if (claims.size === 0) return;
  const renewed = Array.from(claims, ([phoneNumber, claimTime]) => ({ phoneNumber, claimTime }));
  await run(tx)`
    UPDATE phone_number p SET claim_time = GREATEST(p.claim_time, c.claim_time)
    FROM ${unnest("c", renewed, { phoneNumber: "text", claimTime: "timestamptz" })}
    WHERE p.carrier_id = ${carrierId} AND p.phone_number = c.phone_number AND p.state IN (1, 2)`;
}

/** Appends entries to the feed that the transaction has locked. */
export async function writeEntries(
  tx: Tx,
  carrierId: string,
  ingestTime: Micros,
  entries: readonly EntryWrite[],
): Promise<void> {
  if (entries.length === 0) return;
  const rows = entries.map(({ previous, ...entry }) => ({
    ...entry,
    previousState: previous?.state,
    previousCustomerId: previous?.customerId,
    previousCountryCode: previous?.countryCode,
  }));
  const written = unnest("w", rows, {
    ...({ sequence: "int8", phoneNumber: "text", state: "int2", customerId: "text", countryCode: "text" } as const),
    ...({ previousState: "int2", previousCustomerId: "text", previousCountryCode: "text", payload: "bytea" } as const),
  });
  const query = sql`
    INSERT INTO number_entry (carrier_id, ingest_time, entry_kind, sequence, phone_number, state, customer_id, country_code,
                              previous_state, previous_customer_id, previous_country_code, payload)
    SELECT c.carrier_id, ${instant(ingestTime)}, ${NumberEntryKind.CHANGE}::int2, w.* FROM carrier c CROSS JOIN ${written}
    WHERE c.carrier_id = ${carrierId}`;
  await insertAll(tx, query, entries.length);
}

import type { Micros } from "../../domain/time/instant.ts";
import { textArray } from "../database/binary-array.ts";
import { readRows, run, type Tx, unnest } from "../database/run.ts";
import { writeRows } from "../database/write-rows.ts";

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

export function writeCurrentRows(tx: Tx, carrierId: string, rows: readonly StoredRow[]): Promise<void> {
  return writeRows(tx, { table: "phone_number", carrierId, key: ["phone_number"], columns: ROW }, rows);
}

const FILTERED = { phoneNumber: "text", state: "int2", customerId: "text", countryCode: "text" } as const;
const ROW = {
  ...FILTERED,
  ...({ revision: "int8", recordedTime: "timestamptz", claimTime: "timestamptz", payload: "bytea" } as const),
};

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
export function writeEntries(
  tx: Tx,
  carrierId: string,
  ingestTime: Micros,
  entries: readonly EntryWrite[],
): Promise<void> {
  const rows = entries.map(({ previous, ...entry }) => ({
    ...entry,
    ingestTime,
    entryKind: NumberEntryKind.CHANGE as number,
    previousState: previous?.state,
    previousCustomerId: previous?.customerId,
    previousCountryCode: previous?.countryCode,
  }));
  return writeRows(tx, { table: "number_entry", carrierId, columns: ENTRY }, rows);
}

const ENTRY = {
  ...FILTERED,
  ...({ ingestTime: "timestamptz", entryKind: "int2", sequence: "int8", payload: "bytea" } as const),
  ...({ previousState: "int2", previousCustomerId: "text", previousCountryCode: "text" } as const),
};

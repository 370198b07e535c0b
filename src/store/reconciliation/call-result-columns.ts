import { sql } from "kysely";
import type { RecordName, RecordRef } from "../../domain/matching/facts.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { snakeCase, type ValueOf } from "../database/run.ts";

/**
 * Names a result: side 1 and the platform's record if there is one, else side 2 and the carrier's
 * first.
 */
export interface ResultName extends RecordName {
  readonly side: number;
}

// A row of call_result, one a call: what reconciliation found; see domain/matching/result.ts.

const ALWAYS = {
  side: "int2",
  recordId: "text",
  recordDate: "date",
  revision: "int4",
  startTime: "timestamptz",
  /** The call's day in the time zone agreed with the carrier. */
  callDate: "date",
  /** A DiscrepancyStatus. */
  status: "int2",
  /** Bit n: DiscrepancyCause n. */
  causes: "int2",
  /** 0: there is no pair. */
  matchedBy: "int2",
  /** 0: not pending. */
  pendingReason: "int2",
  /** Without a counterpart, or disagreeing: what later records may still pair with. */
  isOpen: "bool",
  /** Its carrier's record is in another row by now: it counts nowhere. */
  isMerged: "bool",
  direction: "int2",
  /** Over all that a reader sees; unchanged: nothing is written. */
  resultHash: "int8",
  /** When the newest of its records was committed. */
  arrivalTime: "timestamptz",
  discrepancyRevision: "int4",
} as const;

const MAY_LACK = {
  /** When time alone changes it. */
  dueTime: "timestamptz",
  phoneNumber: "text",
  /** As attributed when the record came; usage goes by the assignments as they stand. */
  customerId: "text",
  trunkId: "text",
  callId: "text",
  otherNumber: "text",
  otherCountry: "text",
  /** Absent: that side has no record. */
  platformAnswered: "bool",
  carrierAnswered: "bool",
  platformMs: "int8",
  carrierMs: "int8",
  billedS: "int8",
  /** The trunk, and when the call began by the carrier's clock, when it has a record. */
  clockTrunk: "text",
  clockTime: "timestamptz",
  voteMs: "int8",
  /** Of open rows: direction and numbers, hashed. */
  pairKey: "int8",
  /** Of pairs that begin far from each other: the name of the carrier's record, hashed. */
  correlationKey: "int8",
  /** Absent: it never disagreed. */
  discrepancyId: "text",
  firstSeenTime: "timestamptz",
  resolvedTime: "timestamptz",
  /** Of its newest entry in the discrepancy feed. */
  sequence: "int8",
  /** The encoded Discrepancy, of one that is or was. */
  payload: "bytea",
} as const;

/** Written as texts, since arrays of arrays do not fit. */
const LISTS = {
  carrierRecordIds: "text",
  carrierRecordDates: "text",
  carrierRevisions: "text",
  idKeys: "text",
} as const;

const READ = { ...ALWAYS, ...MAY_LACK, ...LISTS };
export const COLUMNS = { ...READ, updateTime: "timestamptz", summedCustomerId: "text" } as const;

type Plain = { -readonly [Name in keyof typeof ALWAYS]: ValueOf[(typeof ALWAYS)[Name]] } & {
  -readonly [Name in keyof typeof MAY_LACK]: ValueOf[(typeof MAY_LACK)[Name]] | undefined;
};

/** A row of call_result, with the carrier's records that it rests on. */
export interface CallResultRow extends Plain {
  carrierRecords: readonly RecordRef[];
  /** Hashed ids under which records would be of this call, or take a record of it. */
  idKeys: bigint[] | undefined;
}

/** A row as it is read. */
export interface StoredRow extends Omit<CallResultRow, "carrierRecords"> {
  carrierRecordIds: string[];
  carrierRecordDates: string[];
  carrierRevisions: number[];
}

type WrittenRow = Plain & { readonly [Name in keyof typeof LISTS]: string | undefined } & {
  updateTime: Micros;
  /** Under whom its usage is summed: by whoever holds the number; of erased ones, see CHANGED. */
  summedCustomerId: string | undefined;
};

/** What is stored of parameters with another type than their column. */
export const STORED = {
  id_keys: sql`string_to_array(r.id_keys, ' ')::bigint[]`,
  carrier_record_ids: sql`string_to_array(r.carrier_record_ids, ' ')`,
  carrier_record_dates: sql`string_to_array(r.carrier_record_dates, ' ')::date[]`,
  carrier_revisions: sql`string_to_array(r.carrier_revisions, ' ')::int4[]`,
  summed_customer_id: sql`CASE WHEN r.phone_number IS NULL THEN r.customer_id ELSE r.summed_customer_id END`,
};

/** A call whose number was erased counts for the customer that held it. */
export const CHANGED = {
  summed_customer_id: sql`
    CASE WHEN EXCLUDED.phone_number IS NULL AND EXCLUDED.customer_id IS NOT NULL
      THEN COALESCE(call_result.usage_customer_id, EXCLUDED.customer_id) ELSE EXCLUDED.summed_customer_id END`,
};

/** The columns of a StoredRow in a result `r`. */
export const SELECTED = sql.raw(
  Object.keys(READ)
    .map((name) => `r.${snakeCase(name)}`)
    .join(", "),
);

export function callResultRow(row: StoredRow): CallResultRow {
  const { carrierRecordIds: ids, carrierRecordDates: dates, carrierRevisions: revisions, ...fields } = row;
  const carrierRecords = ids.map((recordId, index) => ({
    recordId,
    recordDate: dates[index] ?? "",
    revision: revisions[index] ?? 0,
  }));
  return Object.assign(fields, { carrierRecords });
}

export function writtenRow(
  { carrierRecords, ...row }: CallResultRow,
  more: Pick<WrittenRow, "updateTime" | "summedCustomerId">,
): WrittenRow {
  const list = (name: keyof RecordRef) => carrierRecords.map((record) => record[name]).join(" ");
  return {
    ...row,
    idKeys: row.idKeys?.join(" "),
    carrierRecordIds: list("recordId"),
    carrierRecordDates: list("recordDate"),
    carrierRevisions: list("revision"),
    ...more,
  };
}

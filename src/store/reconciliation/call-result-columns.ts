import { sql } from "kysely";
import type { RecordName, RecordRef } from "../../domain/matching/facts.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { snakeCase } from "../database/run.ts";
import type { Columns } from "../database/write-rows.ts";

/**
 * Names a result: side 1 and the platform's record if there is one, else side 2 and the carrier's
 * first.
 */
export interface ResultName extends RecordName {
  readonly side: number;
}

type RecordArrays = "carrierRecordIds" | "carrierRecordDates" | "carrierRevisions";

/** A row of call_result, one a call: what reconciliation found; see domain/matching/result.ts. */
export interface StoredRow extends ResultName {
  revision: number;
  carrierRecordIds: string[];
  carrierRecordDates: string[];
  carrierRevisions: number[];
  startTime: Micros;
  /** The call's day in the time zone agreed with the carrier. */
  callDate: string;
  /** A DiscrepancyStatus. */
  status: number;
  /** Bit n: DiscrepancyCause n. */
  causes: number;
  /** 0: there is no pair. */
  matchedBy: number;
  /** 0: not pending. */
  pendingReason: number;
  /** Without a counterpart, or disagreeing: what later records may still pair with. */
  isOpen: boolean;
  /** Its carrier's record is in another row by now: it counts nowhere. */
  isMerged: boolean;
  /** When time alone changes it. */
  dueTime: Micros | undefined;
  direction: number;
  phoneNumber: string | undefined;
  /** As attributed when the record came; usage goes by the assignments as they stand. */
  customerId: string | undefined;
  trunkId: string | undefined;
  callId: string | undefined;
  otherNumber: string | undefined;
  otherCountry: string | undefined;
  /** Undefined: that side has no record. */
  platformAnswered: boolean | undefined;
  carrierAnswered: boolean | undefined;
  platformMs: bigint | undefined;
  carrierMs: bigint | undefined;
  billedS: bigint | undefined;
  /** The trunk, and when the call began by the carrier's clock, when it has a record. */
  clockTrunk: string | undefined;
  clockTime: Micros | undefined;
  voteMs: bigint | undefined;
  /** Of open rows: direction and numbers, hashed. */
  pairKey: bigint | undefined;
  /** Of pairs that begin far from each other: the name of the carrier's record, hashed. */
  correlationKey: bigint | undefined;
  /** Hashed ids under which records would be of this call, or take a record of it. */
  idKeys: bigint[] | undefined;
  /** Over all that a reader sees; unchanged: nothing is written. */
  resultHash: bigint;
  /** When the newest of its records was committed. */
  arrivalTime: Micros;
  /** Undefined: it never disagreed. */
  discrepancyId: string | undefined;
  discrepancyRevision: number;
  firstSeenTime: Micros | undefined;
  resolvedTime: Micros | undefined;
  /** Of its newest entry in the discrepancy feed. */
  sequence: bigint | undefined;
  /** The encoded Discrepancy, of one that is or was. */
  payload: Buffer | undefined;
}

/** A row of call_result, with the carrier's records that it rests on. */
export interface CallResultRow extends Omit<StoredRow, RecordArrays> {
  carrierRecords: readonly RecordRef[];
}

/** A row as parameters. Lists are texts, since arrays of arrays do not fit. */
type WrittenRow = Omit<StoredRow, RecordArrays | "idKeys"> &
  Record<RecordArrays, string> & { idKeys: string | undefined; updateTime: Micros };

export const COLUMNS = {
  side: "int2",
  recordId: "text",
  recordDate: "date",
  revision: "int4",
  startTime: "timestamptz",
  callDate: "date",
  status: "int2",
  causes: "int2",
  matchedBy: "int2",
  pendingReason: "int2",
  isOpen: "bool",
  isMerged: "bool",
  dueTime: "timestamptz",
  direction: "int2",
  phoneNumber: "text",
  customerId: "text",
  trunkId: "text",
  callId: "text",
  otherNumber: "text",
  otherCountry: "text",
  platformAnswered: "bool",
  carrierAnswered: "bool",
  platformMs: "int8",
  carrierMs: "int8",
  billedS: "int8",
  clockTrunk: "text",
  clockTime: "timestamptz",
  voteMs: "int8",
  pairKey: "int8",
  correlationKey: "int8",
  idKeys: "text",
  resultHash: "int8",
  arrivalTime: "timestamptz",
  discrepancyId: "text",
  discrepancyRevision: "int4",
  firstSeenTime: "timestamptz",
  resolvedTime: "timestamptz",
  sequence: "int8",
  payload: "bytea",
  carrierRecordIds: "text",
  carrierRecordDates: "text",
  carrierRevisions: "text",
  updateTime: "timestamptz",
} as const satisfies Columns<WrittenRow>;

/** What is stored of parameters with another type than their column. */
export const STORED = {
  id_keys: sql`string_to_array(r.id_keys, ' ')::bigint[]`,
  payload: sql`NULLIF(r.payload, ''::bytea)`,
  carrier_record_ids: sql`string_to_array(r.carrier_record_ids, ' ')`,
  carrier_record_dates: sql`string_to_array(r.carrier_record_dates, ' ')::date[]`,
  carrier_revisions: sql`string_to_array(r.carrier_revisions, ' ')::int4[]`,
};

const { updateTime: _, ...READ } = COLUMNS;
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

export function writtenRow({ carrierRecords, ...row }: CallResultRow, updateTime: Micros): WrittenRow {
  const list = (name: keyof RecordRef) => carrierRecords.map((record) => record[name]).join(" ");
  return {
    ...row,
    idKeys: row.idKeys?.join(" "),
    payload: row.payload ?? NOTHING,
    carrierRecordIds: list("recordId"),
    carrierRecordDates: list("recordDate"),
    carrierRevisions: list("revision"),
    updateTime,
  };
}

const NOTHING = Buffer.alloc(0);

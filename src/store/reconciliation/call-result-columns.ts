import { type Selectable, sql } from "kysely";
import type { RecordName, RecordRef } from "../../domain/matching/facts.ts";
import type { Micros } from "../../domain/time/instant.ts";
import type { Found } from "../database/run.ts";
import { snakeCase } from "../database/run.ts";
import type { Schema } from "../database/schema.ts";
import type { Columns } from "./write-rows.ts";

/**
 * Names a result: side 1 and the platform's record if there is one, else side 2 and the carrier's
 * first.
 */
export interface ResultName extends RecordName {
  readonly side: number;
}

type Stored = Found<Selectable<Schema["call_result"]>>;
type RecordArrays = "carrierRecordIds" | "carrierRecordDates" | "carrierRevisions";
type Untold = "carrierId" | "updateTime" | "isErased" | "usageCustomerId";

/** A row as read; schema.ts says what the columns mean. */
export type StoredRow = Omit<Stored, Untold>;

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

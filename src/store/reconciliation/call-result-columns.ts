import { type RawBuilder, sql } from "kysely";
import type { Micros } from "../../domain/time/instant.ts";
import {
  boolArray,
  byteaArray,
  dateArray,
  int2Array,
  int4Array,
  int8Array,
  textArray,
  timestamptzArray,
} from "../database/binary-array.ts";

/**
 * Names a result: the platform's record (side 1) where there is one, else the carrier's first (side
 * 2).
 */
export interface ResultName {
  side: number;
  recordId: string;
  recordDate: string;
}

/** A record that a result rests on. */
interface ResultRecord {
  recordId: string;
  recordDate: string;
  revision: number;
}

/** A row of call_result; see schema.ts for what the columns mean. */
export interface CallResultRow extends ResultName {
  revision: number;
  carrierRecords: readonly ResultRecord[];
  startTime: Micros;
  callDate: string;
  status: number;
  causes: number;
  matchedBy: number;
  pendingReason: number;
  isOpen: boolean;
  isMerged: boolean;
  dueTime: Micros | undefined;
  direction: number;
  phoneNumber: string | undefined;
  customerId: string | undefined;
  trunkId: string | undefined;
  callId: string | undefined;
  otherNumber: string | undefined;
  otherCountry: string | undefined;
  platformAnswered: boolean | undefined;
  carrierAnswered: boolean | undefined;
  platformMs: bigint | undefined;
  carrierMs: bigint | undefined;
  billedS: bigint | undefined;
  clockTrunk: string | undefined;
  clockTime: Micros | undefined;
  voteMs: bigint | undefined;
  pairKey: bigint | undefined;
  correlationKey: bigint | undefined;
  idKeys: readonly bigint[] | undefined;
  resultHash: bigint;
  arrivalTime: Micros;
  discrepancyId: string | undefined;
  discrepancyRevision: number;
  firstSeenTime: Micros | undefined;
  resolvedTime: Micros | undefined;
  sequence: bigint | undefined;
  payload: Buffer | undefined;
}

/** A column of call_result, and how a parameter is made for it: one array of all rows' values. */
interface Column {
  readonly name: string;
  /** Of an element of the parameter. */
  readonly type: string;
  readonly encode: (rows: readonly CallResultRow[]) => Buffer;
  /** What is stored of an element; absent: itself. */
  readonly convert?: (element: RawBuilder<unknown>) => RawBuilder<unknown>;
}

type Field = Exclude<keyof CallResultRow, "carrierRecords">;

type FieldColumn<Value> = Pick<Column, "type" | "convert"> & {
  readonly encode: (values: readonly Value[]) => Buffer;
};

const INT2 = { type: "int2", encode: int2Array };

const INT4 = { type: "int4", encode: int4Array };

const INT8 = { type: "int8", encode: int8Array };

const BOOL = { type: "bool", encode: boolArray };

const TEXT = { type: "text", encode: textArray };

const DATE = { type: "date", encode: dateArray };

const TIME = { type: "timestamptz", encode: timestamptzArray };

const NOTHING = Buffer.alloc(0);

const BYTES: FieldColumn<Buffer | undefined> = {
  type: "bytea",
  encode: (values) => byteaArray(values.map((value) => value ?? NOTHING)),
  convert: (element) => sql`NULLIF(${element}, ''::bytea)`,
};

const KEYS: FieldColumn<readonly bigint[] | undefined> = {
  type: "text",
  encode: (values) => textArray(values.map((value) => value?.join(" "))),
  convert: (element) => sql`string_to_array(${element}, ' ')::bigint[]`,
};

/** Every field that is a column; the column has the field's name in snake case. */
const FIELDS: { readonly [Name in Field]: FieldColumn<CallResultRow[Name]> } = {
  side: INT2,
  recordId: TEXT,
  recordDate: DATE,
  revision: INT4,
  startTime: TIME,
  callDate: DATE,
  status: INT2,
  causes: INT2,
  matchedBy: INT2,
  pendingReason: INT2,
  isOpen: BOOL,
  isMerged: BOOL,
  dueTime: TIME,
  direction: INT2,
  phoneNumber: TEXT,
  customerId: TEXT,
  trunkId: TEXT,
  callId: TEXT,
  otherNumber: TEXT,
  otherCountry: TEXT,
  platformAnswered: BOOL,
  carrierAnswered: BOOL,
  platformMs: INT8,
  carrierMs: INT8,
  billedS: INT8,
  clockTrunk: TEXT,
  clockTime: TIME,
  voteMs: INT8,
  pairKey: INT8,
  correlationKey: INT8,
  idKeys: KEYS,
  resultHash: INT8,
  arrivalTime: TIME,
  discrepancyId: TEXT,
  discrepancyRevision: INT4,
  firstSeenTime: TIME,
  resolvedTime: TIME,
  sequence: INT8,
  payload: BYTES,
};

/**
 * The columns of `carrierRecords`: an array each, in a parameter as text, for which no array of
 * arrays is needed.
 */
const RECORD_COLUMNS = [
  { name: "carrier_record_ids", of: "recordId", type: "text" },
  { name: "carrier_record_dates", of: "recordDate", type: "date" },
  { name: "carrier_revisions", of: "revision", type: "int4" },
] as const;

export const COLUMNS: readonly Column[] = [
  ...(Object.keys(FIELDS) as Field[]).map(fieldColumn),
  ...RECORD_COLUMNS.map(({ name, of, type }) => ({
    name,
    type: "text",
    encode: (rows: readonly CallResultRow[]) =>
      textArray(rows.map((row) => row.carrierRecords.map((record) => String(record[of])).join(" "))),
    convert: (element: RawBuilder<unknown>) => sql`string_to_array(${element}, ' ')::${sql.raw(type)}[]`,
  })),
];

/** What a result is named by. */
export const NAMING: ReadonlySet<string> = new Set(["side", "record_id", "record_date"]);

function fieldColumn<Name extends Field>(field: Name): Column {
  const { type, encode, convert }: FieldColumn<CallResultRow[Name]> = FIELDS[field];
  return {
    name: columnOf(field),
    type,
    encode: (rows) => encode(rows.map((row) => row[field])),
    ...(convert && { convert }),
  };
}

function columnOf(field: Field): string {
  return field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** The columns of a result `r`, by the names of its fields. */
export function selected(): RawBuilder<unknown> {
  const fields = (Object.keys(FIELDS) as Field[]).map(
    (field) => sql`r.${sql.ref(columnOf(field))} AS ${sql.ref(field)}`,
  );
  return sql.join([...fields, ...RECORD_COLUMNS.map(({ name }) => sql.ref(`r.${name}`))]);
}

export interface StoredRow extends Omit<CallResultRow, "carrierRecords"> {
  carrierRecordIds: string[];
  carrierRecordDates: string[];
  carrierRevisions: number[];
}

export function callResultRow(row: StoredRow): CallResultRow {
  const { carrierRecordIds: ids, carrierRecordDates: dates, carrierRevisions: revisions, ...fields } = row;
  const carrierRecords = ids.map((recordId, index) => ({
    recordId,
    recordDate: dates[index] ?? "",
    revision: revisions[index] ?? 0,
  }));
  return Object.assign(fields, { carrierRecords });
}

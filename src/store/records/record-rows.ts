import { sql } from "kysely";
import type { RecordProblem } from "../../domain/calls/field-checks.ts";
import type { JudgedRecord } from "../../domain/calls/judge.ts";
import { ERASED_HASH } from "../../domain/privacy/erasure.ts";
import { CDR, DURATION, type RecordKind } from "../../domain/record-kind.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import type { Verdict } from "../../gen/tandem/type/v1/upload_pb.js";
import type { BytesPart } from "../database/binary-array.ts";
import { run, type Tx, together } from "../database/run.ts";
import { type Column, type ColumnOf, columnsOf, insertColumns } from "./insert-columns.ts";
import type { RejectRow } from "./rejects.ts";

/** What an entry of a feed of records is. */
export const EntryKind = { REPORT: 1, VOID: 2, ERASURE: 3 } as const;
export type EntryKind = (typeof EntryKind)[keyof typeof EntryKind];

/** The columns of duration_record, besides identity, position and attribution. */
export interface DurationRow {
  entryKind: number;
  startTime: Micros | null;
  direction: number;
  connectedDurationMs: bigint | null;
  trunkId: string | null;
  /** The index of a part of a split call. */
  partIndex: number | null;
  payload: Uint8Array | BytesPart;
}

/**
 * The columns of cdr_record, besides identity, position and attribution, and the parts that are
 * stored apart.
 */
export interface CdrRow {
  entryKind: number;
  partial: boolean;
  callId: string | null;
  inviteTime: Micros | null;
  direction: number;
  trunkId: string | null;
  dialogCallId: string | null;
  correlationId: string | null;
  codec: string | null;
  callingNumber: string | null;
  calledNumber: string | null;
  answered: boolean | null;
  networkEffective: boolean | null;
  setupDurationMs: bigint | null;
  connectedDurationMs: bigint | null;
  qualityVerdict: number;
  payload: Uint8Array;
  quality: QualityRow | undefined;
  network: { payload: Uint8Array } | undefined;
}

/** The columns of cdr_quality, besides position. */
export interface QualityRow {
  mosLq: number | null;
  mosCq: number | null;
  classifiedStreams: number;
  poorStreams: number;
  reasons: readonly number[];
  payload: Uint8Array;
}

export type RecordRow = DurationRow | CdrRow;

/** A record as it was sent and checked. */
export interface SentRecord extends JudgedRecord {
  /**
   * As sent; for a refused record made storable: no NUL, no unpaired surrogate, at most 128
   * characters.
   */
  readonly recordId: string;
  /** `YYYY-MM-DD`; empty when a refused record has none. */
  readonly recordDate: string;
  /** From 1; 1 when absent. */
  readonly revision: number;
  /**
   * A hash of the normalised content as sent, without anything derived or output only; the same
   * when the record is prepared again from its payload.
   */
  readonly contentHash: bigint;
  /**
   * A hash of parties, direction and connected duration. Equal for all VOIDs that name no parties.
   */
  readonly partyHash: bigint;
  /** For the control totals: as sent, whatever it is; 0 when absent. */
  readonly connectedDurationMs: bigint;
  /** The invite, else the answer. Absent when refused or when a VOID has none. */
  readonly startTime: Micros | undefined;
  /** Oddities of an accepted record; empty when it is refused. */
  readonly warnings: readonly RecordProblem[];
  /** Why it is REJECTED. */
  readonly refusal?: RecordProblem;
}

/** One record, ready to be judged and stored. */
export interface AppendRecord {
  readonly sent: SentRecord;
  /**
   * The number and customer that the call belongs to; absent when none fits. The number is empty
   * when it was erased.
   */
  readonly attribution: { phoneNumber: string; customerId: string; basis: number } | undefined;
  /** E.164 numbers that may decide the attribution at a later try. */
  readonly numbers: readonly string[];
  /** The columns and encoded parts; absent when refused. */
  readonly row: RecordRow | undefined;
  /** The whole normalised record, encoded, as quarantine keeps it. */
  encoded(): Uint8Array;
  /** The erasures by which something of it was erased as it arrived: its hashes are not kept. */
  readonly erasedBy?: readonly string[];
}

/** One batch of one upload, its records attributed. */
export interface AppendBatch {
  uploadId: string;
  writerEpoch: bigint;
  firstOffset: bigint;
  records: readonly AppendRecord[];
  /** What is kept of a record that is not plainly accepted. */
  describe: (index: number, verdict: Verdict, issue: number) => RejectRow;
}

/** The hash that is kept of a record: none if something of it was erased. */
export function keptHash(record: AppendRecord, hash: bigint): bigint {
  return record.erasedBy === undefined ? hash : ERASED_HASH;
}

/** The position of records in their feed: the sequence of the first, and the ingest time of all. */
interface Place {
  readonly nextSequence: bigint;
  readonly ingestTime: Micros;
}

/**
 * Inserts accepted records with the sequences from `place.nextSequence` on, their keys first: the
 * unique key is the backstop.
 */
export async function insertAccepted(
  tx: Tx,
  carrierId: string,
  kind: RecordKind,
  place: Place,
  records: readonly AppendRecord[],
): Promise<void> {
  if (records.length === 0) return;
  const count = records.length;
  const names = [...columnsOf(records, NAMES), ...placed(place, count)];
  const rows = records.map((record) => record.row as RecordRow);
  const own = kind === CDR ? columnsOf(rows as CdrRow[], CDR_COLUMNS) : durationColumns(rows as DurationRow[]);
  const hasVoid = rows.some((row) => row.entryKind === EntryKind.VOID);
  await together([
    insertColumns(tx, kind.keys, carrierId, [...names, ...columnsOf(records, HASHES)], count),
    insertColumns(tx, kind.records, carrierId, [...names, ...columnsOf(records, HOLDERS), ...own], count),
    ...(kind === CDR ? insertParts(tx, carrierId, place, rows as CdrRow[]) : []),
    ...(hasVoid ? [inheritVoided(tx, carrierId, kind, place, count)] : []),
  ]);
}

const NAMES: readonly ColumnOf<AppendRecord>[] = [
  ["record_id", "text", ({ sent }) => sent.recordId],
  ["record_date", "date", ({ sent }) => sent.recordDate],
  ["revision", "int4", ({ sent }) => sent.revision],
];
const HASHES: readonly ColumnOf<AppendRecord>[] = [
  ["content_hash", "int8", (record) => keptHash(record, record.sent.contentHash)],
  ["party_hash", "int8", (record) => keptHash(record, record.sent.partyHash)],
];
const HOLDERS: readonly ColumnOf<AppendRecord>[] = [
  ["phone_number", "text", ({ attribution }) => attribution?.phoneNumber || null],
  ["customer_id", "text", ({ attribution }) => attribution?.customerId],
];
const DURATION_COLUMNS: readonly ColumnOf<DurationRow>[] = [
  ["entry_kind", "int2", (row) => row.entryKind],
  ["start_time", "timestamptz", (row) => row.startTime],
  ["direction", "int2", (row) => row.direction],
  ["trunk_id", "text", (row) => row.trunkId],
  ["connected_duration_ms", "int8", (row) => row.connectedDurationMs],
  ["payload", "bytea", (row) => row.payload],
];
const CDR_COLUMNS: readonly ColumnOf<CdrRow>[] = [
  ["entry_kind", "int2", (row) => row.entryKind],
  ["partial", "bool", (row) => row.partial],
  ["call_id", "text", (row) => row.callId],
  ["invite_time", "timestamptz", (row) => row.inviteTime],
  ["direction", "int2", (row) => row.direction],
  ["trunk_id", "text", (row) => row.trunkId],
  ["dialog_call_id", "text", (row) => row.dialogCallId],
  ["correlation_id", "text", (row) => row.correlationId],
  ["codec", "text", (row) => row.codec],
  ["calling_number", "text", (row) => row.callingNumber],
  ["called_number", "text", (row) => row.calledNumber],
  ["answered", "bool", (row) => row.answered],
  ["network_effective", "bool", (row) => row.networkEffective],
  ["setup_duration_ms", "int8", (row) => row.setupDurationMs],
  ["connected_duration_ms", "int8", (row) => row.connectedDurationMs],
  ["quality_verdict", "int2", (row) => row.qualityVerdict],
  ["payload", "bytea", (row) => row.payload],
];

function durationColumns(rows: readonly DurationRow[]): Column[] {
  // Hardly any record is a part, and a column costs something for each row.
  const hasParts = rows.some((row) => row.partIndex !== null);
  return columnsOf(
    rows,
    hasParts ? [...DURATION_COLUMNS, ["part_index", "int4", (row) => row.partIndex]] : DURATION_COLUMNS,
  );
}

function placed({ nextSequence, ingestTime }: Place, count: number): Column[] {
  const last = nextSequence + BigInt(count - 1);
  return [{ name: "sequence", value: sql`generate_series(${nextSequence}::int8, ${last}::int8)` }, at(ingestTime)];
}

function at(ingestTime: Micros): Column {
  return { name: "ingest_time", value: sql`${isoFromMicros(ingestTime)}::timestamptz` };
}

/** A part of a call detail record that is stored apart, and the record's sequence. */
interface Part {
  readonly sequence: bigint;
  readonly payload: Uint8Array;
}

const PART: readonly ColumnOf<Part>[] = [
  ["sequence", "int8", (part) => part.sequence],
  ["payload", "bytea", (part) => part.payload],
];
const QUALITY: readonly ColumnOf<Part & QualityRow>[] = [
  ["mos_lq", "float8", (part) => part.mosLq],
  ["mos_cq", "float8", (part) => part.mosCq],
  ["classified_streams", "int4", (part) => part.classifiedStreams],
  ["poor_streams", "int4", (part) => part.poorStreams],
];

function insertParts(tx: Tx, carrierId: string, place: Place, rows: readonly CdrRow[]): Promise<void>[] {
  const partsOf = <P extends object>(part: (row: CdrRow) => P | undefined) =>
    rows.flatMap((row, index) => {
      const found = part(row);
      return found ? [{ ...found, sequence: place.nextSequence + BigInt(index) }] : [];
    });
  const insert = (table: string, parts: readonly Part[], own: readonly Column[]) => {
    const columns = [...columnsOf(parts, PART), at(place.ingestTime), ...own];
    return parts.length === 0 ? [] : [insertColumns(tx, table, carrierId, columns, parts.length)];
  };
  const qualities = partsOf((row) => row.quality);
  // PostgreSQL has no arrays of arrays of different lengths.
  const reasons = columnsOf(qualities, [["reasons", "text", (part) => `{${part.reasons.join(",")}}`]]);
  const cast = reasons.map(({ name, value }) => ({ name, value: sql`${value}::int2[]` }));
  return [
    ...insert("cdr_quality", qualities, [...columnsOf(qualities, QUALITY), ...cast]),
    ...insert(
      "cdr_network",
      partsOf((row) => row.network),
      [],
    ),
  ];
}

// A VOID may name only an identity. Whatever it says itself, it takes the columns that filters use
// from the revision that it takes back, so that whoever saw that one sees this too, and it is found
// by time.
async function inheritVoided(tx: Tx, carrierId: string, kind: RecordKind, place: Place, count: number): Promise<void> {
  const { same, else: ifAbsent } = INHERITED[kind.name];
  const record = sql.table(kind.records);
  const ingestTime = sql`${isoFromMicros(place.ingestTime)}::timestamptz`;
  const set = [
    ...same.map((name) => sql`${sql.ref(name)} = ${sql.ref(`p.${name}`)}`),
    ...ifAbsent.map((name) => sql`${sql.ref(name)} = COALESCE(${sql.ref(`p.${name}`)}, ${sql.ref(`v.${name}`)})`),
  ];
  await run(tx)`
    UPDATE ${record} v SET ${sql.join(set)}
    FROM (
      SELECT DISTINCT ON (void.sequence) void.sequence AS void_sequence, prior.*
      FROM ${record} void
      JOIN ${sql.table(kind.keys)} k ON k.carrier_id = void.carrier_id AND k.record_id = void.record_id AND k.record_date = void.record_date
        AND k.revision < void.revision
      JOIN ${record} prior ON prior.carrier_id = k.carrier_id AND prior.sequence = k.sequence AND prior.ingest_time = k.ingest_time
      WHERE void.carrier_id = ${carrierId} AND void.entry_kind = ${EntryKind.VOID} AND void.ingest_time = ${ingestTime}
        AND void.sequence >= ${place.nextSequence} AND void.sequence < ${place.nextSequence + BigInt(count)}
      ORDER BY void.sequence, k.revision DESC) p
    WHERE v.carrier_id = ${carrierId} AND v.sequence = p.void_sequence AND v.ingest_time = ${ingestTime}`;
}

/**
 * What a VOID takes from the revision before it; columns of the second list only where that one has
 * them.
 */
const INHERITED = {
  [DURATION.name]: {
    same: ["direction", "part_index"],
    else: ["start_time", "phone_number", "customer_id", "trunk_id"],
  },
  [CDR.name]: {
    same: ["direction", "quality_verdict"],
    else: ["call_id", "invite_time", "phone_number", "customer_id", "trunk_id", "dialog_call_id", "correlation_id"],
  },
};

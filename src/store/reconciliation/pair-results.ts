import { type RawBuilder, sql } from "kysely";
import { HOUR_MS, type Micros, microsFromMs } from "../../domain/time/instant.ts";
import {
  boolArray,
  dateArray,
  instantArray,
  int2Array,
  int4Array,
  int8Array,
  textArray,
  wholeArray,
} from "../database/binary-array.ts";
import { instant, readRows, type Tx, together } from "../database/run.ts";
import { type CallFigures, figureColumns, figuresOf } from "../usage/call-figures.ts";
import { holderAt, readHolders } from "../usage/number-holders.ts";
import { lockSums, moveResultSums } from "./result-sums.ts";
import { type SummaryCell, TRAITS } from "./summary-cells.ts";

/**
 * A new result of one record of each side that agree: what is not here is as in every such row.
 * Times are milliseconds since 1970.
 */
export interface PairRow {
  readonly recordId: string;
  readonly recordDate: string;
  readonly revision: number;
  readonly carrierRecordId: string;
  readonly carrierRecordDate: string;
  readonly carrierRevision: number;
  readonly startMs: number;
  readonly callDate: string;
  readonly status: number;
  readonly matchedBy: number;
  readonly direction: number;
  readonly phoneNumber: string | undefined;
  readonly customerId: string | undefined;
  readonly trunkId: string | undefined;
  readonly callId: string | undefined;
  readonly otherNumber: string | undefined;
  readonly otherCountry: string | undefined;
  /** By both sides. */
  readonly answered: boolean;
  readonly platformMs: number | undefined;
  readonly carrierMs: number | undefined;
  readonly billedS: number | undefined;
  readonly clockTrunk: string;
  readonly clockMs: number;
  readonly voteMs: number;
  readonly idKeys: readonly bigint[];
  readonly resultHash: bigint;
  readonly arrivalMs: number;
}

/** Rows of one statement: while it runs, the next is made. */
const CHUNK = 2_000;

/**
 * Writes results of pairs of which neither record has one, and moves the sums with them: those of
 * usage under whoever holds their numbers by today's history.
 */
export async function insertPairs(
  tx: Tx,
  carrierId: string,
  pairs: readonly PairRow[],
  updateTime: Micros,
): Promise<void> {
  if (pairs.length === 0) return;
  const sums = await lockSums(tx, carrierId);
  const numbers = pairs.flatMap(({ phoneNumber }) => phoneNumber ?? []);
  const holders = Map.groupBy(await readHolders(tx, numbers), ({ phoneNumber }) => phoneNumber);
  const sent: Promise<CallFigures[]>[] = [];
  for (let start = 0; start < pairs.length; start += CHUNK) {
    const rows = pairs.slice(start, start + CHUNK).map((pair) => ({
      ...pair,
      summedCustomerId: holderAt(holders, pair.phoneNumber, microsFromMs(pair.startMs)),
    }));
    sent.push(insertChunk(tx, insertOf(carrierId, rows, updateTime), rows.length));
  }
  const come = { usage: (await together(sent)).flat(), summary: pairs.map(cellOfPair) };
  await moveResultSums(tx, carrierId, sums, { come });
}

// What a pair adds to the summary: as `COUNTED` says it of its row.
function cellOfPair(pair: PairRow): SummaryCell {
  const { platformMs, answered } = pair;
  const carrierMs = pair.carrierMs ?? (pair.billedS === undefined ? undefined : pair.billedS * 1_000);
  const isUnmeasured = answered && (platformMs === undefined || carrierMs === undefined);
  return {
    callDate: pair.callDate,
    customerId: pair.customerId ?? "",
    trunkId: pair.trunkId ?? "",
    direction: pair.direction,
    status: pair.status,
    causes: 0,
    matchedBy: pair.matchedBy,
    pairKey: "0",
    traits: TRAITS.PLATFORM + TRAITS.CARRIER + (isUnmeasured ? TRAITS.UNMEASURED : 0),
    hour: Math.floor(pair.startMs / HOUR_MS),
    calls: 1,
    platformMs: platformMs ?? 0,
    carrierMs: carrierMs ?? 0,
    callDeltaMs: isUnmeasured ? 0 : Math.abs((carrierMs ?? 0) - (platformMs ?? 0)),
  };
}

async function insertChunk(tx: Tx, insert: RawBuilder<unknown>, count: number): Promise<CallFigures[]> {
  const come = await readRows(tx)<CallFigures & { written: bigint }>`
    WITH written AS (${insert} RETURNING ${figureColumns("call_result")})
    SELECT w.written, f.* FROM (SELECT count(*) AS written FROM written) w LEFT JOIN (${figuresOf(sql`written`)}) f ON true`;
  if (come[0]?.written !== BigInt(count)) throw new Error(`${count} results: ${come[0]?.written} were written`);
  return come;
}

/** A row with the customer under whom it is summed. */
type SummedPair = PairRow & { readonly summedCustomerId: string | undefined };

function insertOf(carrierId: string, rows: readonly SummedPair[], updateTime: Micros) {
  return sql`
    INSERT INTO call_result (carrier_id, side, record_id, record_date, revision, carrier_record_ids, carrier_record_dates, carrier_revisions,
      start_time, call_date, status, causes, matched_by, pending_reason, is_open, is_merged, direction, phone_number, customer_id, trunk_id,
      call_id, other_number, other_country, platform_answered, carrier_answered, platform_ms, carrier_ms, billed_s, clock_trunk, clock_time,
      vote_ms, id_keys, result_hash, arrival_time, summed_customer_id, update_time, discrepancy_revision)
    SELECT c.carrier_id, 1, r.record_id, r.record_date, r.revision, ARRAY[r.carrier_record_id], ARRAY[r.carrier_record_date], ARRAY[r.carrier_revision],
      r.start_time, r.call_date, r.status, 0, r.matched_by, 0, false, false, r.direction, r.phone_number, r.customer_id, r.trunk_id,
      r.call_id, r.other_number, r.other_country, r.answered, r.answered, r.platform_ms, r.carrier_ms, r.billed_s, r.clock_trunk, r.clock_time,
      r.vote_ms, string_to_array(r.id_keys, ' ')::bigint[], r.result_hash, r.arrival_time, r.summed_customer_id, ${instant(updateTime)}, 0
    FROM carrier c CROSS JOIN ${columnsOf(rows)} WHERE c.carrier_id = ${carrierId}`;
}

function columnsOf(rows: readonly SummedPair[]) {
  const idKeys = rows.map((row) => (row.idKeys.length === 0 ? undefined : row.idKeys.join(" ")));
  return sql`unnest(
      ${textArray(rows.map((row) => row.recordId))}::text[], ${dateArray(rows.map((row) => row.recordDate))}::date[],
      ${int4Array(rows.map((row) => row.revision))}::int4[], ${textArray(rows.map((row) => row.carrierRecordId))}::text[],
      ${dateArray(rows.map((row) => row.carrierRecordDate))}::date[], ${int4Array(rows.map((row) => row.carrierRevision))}::int4[],
      ${instantArray(rows.map((row) => row.startMs))}::timestamptz[], ${dateArray(rows.map((row) => row.callDate))}::date[],
      ${int2Array(rows.map((row) => row.status))}::int2[], ${int2Array(rows.map((row) => row.matchedBy))}::int2[],
      ${int2Array(rows.map((row) => row.direction))}::int2[], ${textArray(rows.map((row) => row.phoneNumber))}::text[],
      ${textArray(rows.map((row) => row.customerId))}::text[], ${textArray(rows.map((row) => row.trunkId))}::text[],
      ${textArray(rows.map((row) => row.callId))}::text[], ${textArray(rows.map((row) => row.otherNumber))}::text[],
      ${textArray(rows.map((row) => row.otherCountry))}::text[], ${boolArray(rows.map((row) => row.answered))}::bool[],
      ${wholeArray(rows.map((row) => row.platformMs))}::int8[], ${wholeArray(rows.map((row) => row.carrierMs))}::int8[],
      ${wholeArray(rows.map((row) => row.billedS))}::int8[], ${textArray(rows.map((row) => row.clockTrunk))}::text[],
      ${instantArray(rows.map((row) => row.clockMs))}::timestamptz[], ${wholeArray(rows.map((row) => row.voteMs))}::int8[],
      ${textArray(idKeys)}::text[], ${int8Array(rows.map((row) => row.resultHash))}::int8[],
      ${instantArray(rows.map((row) => row.arrivalMs))}::timestamptz[], ${textArray(rows.map((row) => row.summedCustomerId))}::text[])
    AS r(record_id, record_date, revision, carrier_record_id, carrier_record_date, carrier_revision, start_time, call_date, status, matched_by,
      direction, phone_number, customer_id, trunk_id, call_id, other_number, other_country, answered, platform_ms, carrier_ms, billed_s,
      clock_trunk, clock_time, vote_ms, id_keys, result_hash, arrival_time, summed_customer_id)`;
}

import { type RawBuilder, sql } from "kysely";
import { DiscrepancyStatus } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { readRows, type Tx } from "../database/run.ts";
import { ABSOLUTE_DELTA_MS, IS_UNMEASURED } from "./discrepancies.ts";

// What a row of call_result adds to the reconciliation summary: the one place that says it, for
// calls that are read one by one and for sums alike.

/** Bits of a kind's traits. */
export const TRAITS = {
  /** The platform has a record. */
  PLATFORM: 1,
  CARRIER: 2,
  /** A side says answered without a length. */
  UNMEASURED: 4,
  /** A copy of the platform's that is answered. */
  ANSWERED_COPY: 8,
} as const;

/** The columns of a kind of calls. Figures of calls of one kind may be added. */
export const KIND = [
  ...["call_date", "customer_id", "trunk_id", "direction", "status", "causes", "matched_by", "pair_key", "traits"],
] as const;
export const KIND_COLUMNS = sql.raw(KIND.join(", "));

const AMBIGUOUS = sql.lit(DiscrepancyStatus.AMBIGUOUS);
const COPY = sql.lit(DiscrepancyStatus.DUPLICATE_AT_PLATFORM);

function trait(name: keyof typeof TRAITS, condition: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`CASE WHEN ${condition} THEN ${sql.lit(TRAITS[name])} ELSE 0 END`;
}

/** What a call `r` is and adds. An absent customer or trunk is an empty text. */
export const COUNTED = sql`
  r.call_date, COALESCE(r.customer_id, '') COLLATE "C" AS customer_id, COALESCE(r.trunk_id, '') COLLATE "C" AS trunk_id, r.direction,
  r.status, r.causes, r.matched_by, CASE WHEN r.status = ${AMBIGUOUS} THEN COALESCE(r.pair_key, 0) ELSE 0 END AS pair_key,
  (${trait("PLATFORM", sql`r.platform_answered IS NOT NULL`)} + ${trait("CARRIER", sql`r.carrier_answered IS NOT NULL`)}
    + ${trait("UNMEASURED", IS_UNMEASURED)} + ${trait("ANSWERED_COPY", sql`r.status = ${COPY} AND r.platform_answered`)})::int2 AS traits,
  r.start_time, 1::int8 AS calls, COALESCE(r.platform_ms, 0) AS platform_ms, COALESCE(r.carrier_ms, r.billed_s * 1000, 0) AS carrier_ms,
  COALESCE(${ABSOLUTE_DELTA_MS}, 0) AS call_delta_ms`;

/** The columns of a call that `COUNTED` rests on. */
export const COUNTED_COLUMNS = [
  ...["call_date", "customer_id", "trunk_id", "direction", "status", "causes", "matched_by", "pair_key", "start_time"],
  ...["platform_answered", "carrier_answered", "platform_ms", "carrier_ms", "billed_s", "is_merged"],
] as const;

/** Calls of one kind that begin in one hour. */
export interface SummaryCell {
  readonly callDate: string;
  readonly customerId: string;
  readonly trunkId: string;
  readonly direction: number;
  readonly status: number;
  readonly causes: number;
  readonly matchedBy: number;
  /** In decimal; "0": none. */
  readonly pairKey: string;
  readonly traits: number;
  /** Whole hours since 1970. */
  readonly hour: number;
  readonly calls: number;
  readonly platformMs: number;
  readonly carrierMs: number;
  readonly callDeltaMs: number;
}

/**
 * Sums calls up, as one JSON value for `cellsOf`. Merged results do not count.
 * @param calls has COUNTED_COLUMNS.
 */
export function cellsAsJson(calls: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`
    SELECT json_agg(json_build_array(c.call_date, c.customer_id, c.trunk_id, c.direction, c.status, c.causes, c.matched_by, c.pair_key::text,
      c.traits, c.hour, c.calls, c.platform_ms, c.carrier_ms, c.call_delta_ms))
    FROM (
      SELECT ${KIND_COLUMNS}, floor(extract(epoch FROM u.start_time) / 3600)::int4 AS hour, sum(u.calls) AS calls, sum(u.platform_ms) AS platform_ms,
        sum(u.carrier_ms) AS carrier_ms, sum(u.call_delta_ms) AS call_delta_ms
      FROM (SELECT ${COUNTED} FROM ${calls} r WHERE NOT r.is_merged) u GROUP BY ${KIND_COLUMNS}, hour) c`;
}

type Kind = [string, string, string, number, number, number, number, string, number];
export type CellsJson = readonly [...kind: Kind, hour: number, ...amounts: [number, number, number, number]][] | null;

export function cellsOf(json: CellsJson | undefined): SummaryCell[] {
  return (json ?? []).map(
    ([callDate, customerId, trunkId, direction, status, causes, matchedBy, pairKey, traits, hour, ...amounts]) => {
      const [calls, platformMs, carrierMs, callDeltaMs] = amounts;
      const kind = { callDate, customerId, trunkId, direction, status, causes, matchedBy, pairKey, traits };
      return { ...kind, hour, calls, platformMs, carrierMs, callDeltaMs };
    },
  );
}

/** Reads what calls add. */
export async function readCells(tx: Tx, calls: RawBuilder<unknown>): Promise<SummaryCell[]> {
  const rows = await readRows(tx)<{ cells: CellsJson }>`SELECT (${cellsAsJson(calls)}) AS cells`;
  return cellsOf(rows[0]?.cells);
}

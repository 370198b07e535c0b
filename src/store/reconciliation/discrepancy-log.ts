import { sql } from "kysely";
import { isoFromMicros } from "../../domain/time/instant.ts";
import { boolArray, byteaArray, int2Array, int8Array, textArray } from "../database/binary-array.ts";
import type { Tx } from "../database/run.ts";
import { insertAll } from "../database/run.ts";
import type { FeedLock } from "../feeds/feed-head.ts";

/** What filters of the discrepancy feed ask for. */
export interface DiscrepancyTraits {
  status: number;
  causes: number;
  customerId: string | undefined;
  trunkId: string | undefined;
  direction: number;
  unresolved: boolean;
  absoluteDeltaMs: bigint | undefined;
}

/** A discrepancy, new or changed, as its feed tells it. */
export interface DiscrepancyEntry {
  discrepancyId: string;
  now: DiscrepancyTraits;
  /** Before this change; absent of a new one. */
  before: DiscrepancyTraits | undefined;
  /** The encoded Discrepancy without its position. */
  payload: Buffer;
}

/** Appends entries with the sequences from `lock.nextSequence` on. */
export async function appendDiscrepancies(
  tx: Tx,
  carrierId: string,
  lock: FeedLock,
  entries: readonly DiscrepancyEntry[],
): Promise<void> {
  if (entries.length === 0) return;
  const now = <K extends keyof DiscrepancyTraits>(name: K) => entries.map((entry) => entry.now[name]);
  const before = <K extends keyof DiscrepancyTraits>(name: K) => entries.map((entry) => entry.before?.[name]);
  const query = sql`
    INSERT INTO discrepancy_entry (carrier_id, sequence, ingest_time, entry_kind, discrepancy_id, status, causes, customer_id, trunk_id, direction,
      unresolved, absolute_delta_ms, previous_status, previous_causes, previous_customer_id, previous_trunk_id, previous_direction,
      previous_unresolved, previous_absolute_delta_ms, payload)
    SELECT c.carrier_id, ${lock.nextSequence}::int8 + e.position - 1, ${isoFromMicros(lock.ingestTime)}::timestamptz, 1, e.discrepancy_id, e.status,
      e.causes, e.customer_id, e.trunk_id, e.direction, e.unresolved, e.absolute_delta_ms, e.previous_status, e.previous_causes,
      e.previous_customer_id, e.previous_trunk_id, e.previous_direction, e.previous_unresolved, e.previous_absolute_delta_ms, e.payload
    FROM carrier c CROSS JOIN unnest(${textArray(entries.map((entry) => entry.discrepancyId))}::text[], ${int2Array(now("status"))}::int2[],
      ${int2Array(now("causes"))}::int2[], ${textArray(now("customerId"))}::text[], ${textArray(now("trunkId"))}::text[],
      ${int2Array(now("direction"))}::int2[], ${boolArray(now("unresolved"))}::bool[], ${int8Array(now("absoluteDeltaMs"))}::int8[],
      ${int2Array(before("status"))}::int2[], ${int2Array(before("causes"))}::int2[], ${textArray(before("customerId"))}::text[],
      ${textArray(before("trunkId"))}::text[], ${int2Array(before("direction"))}::int2[], ${boolArray(before("unresolved"))}::bool[],
      ${int8Array(before("absoluteDeltaMs"))}::int8[], ${byteaArray(entries.map((entry) => entry.payload))}::bytea[])
      WITH ORDINALITY AS e(discrepancy_id, status, causes, customer_id, trunk_id, direction, unresolved, absolute_delta_ms, previous_status,
        previous_causes, previous_customer_id, previous_trunk_id, previous_direction, previous_unresolved, previous_absolute_delta_ms, payload,
        position)
    WHERE c.carrier_id = ${carrierId}`;
  await insertAll(tx, query, entries.length);
}

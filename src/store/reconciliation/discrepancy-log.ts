import type { Tx } from "../database/run.ts";
import type { FeedLock } from "../feeds/feed-head.ts";
import { DiscrepancyEntryKind } from "./discrepancies.ts";
import type { Columns } from "./write-rows.ts";
import { writeRows } from "./write-rows.ts";

/** What filters of the discrepancy feed look at. */
export interface DiscrepancyTraits {
  status: number;
  causes: number;
  customerId: string | undefined;
  trunkId: string | undefined;
  direction: number;
  unresolved: boolean;
  absoluteDeltaMs: bigint | undefined;
}

export interface DiscrepancyEntry {
  discrepancyId: string;
  now: DiscrepancyTraits;
  /** Before this change; undefined: it is new. */
  before: DiscrepancyTraits | undefined;
  /** The encoded Discrepancy without its position. */
  payload: Buffer;
}

const COLUMNS = {
  sequence: "int8",
  ingestTime: "timestamptz",
  entryKind: "int2",
  discrepancyId: "text",
  status: "int2",
  causes: "int2",
  customerId: "text",
  trunkId: "text",
  direction: "int2",
  unresolved: "bool",
  absoluteDeltaMs: "int8",
  previousStatus: "int2",
  previousCauses: "int2",
  previousCustomerId: "text",
  previousTrunkId: "text",
  previousDirection: "int2",
  previousUnresolved: "bool",
  previousAbsoluteDeltaMs: "int8",
  payload: "bytea",
} as const satisfies Columns<ReturnType<typeof rowOf>>;

/** Appends entries, numbered from `lock.nextSequence`. */
export function appendDiscrepancies(
  tx: Tx,
  carrierId: string,
  lock: FeedLock,
  entries: readonly DiscrepancyEntry[],
): Promise<void> {
  const rows = entries.map((entry, index) => rowOf(entry, lock, index));
  return writeRows(tx, { table: "discrepancy_entry", carrierId, columns: COLUMNS }, rows);
}

function rowOf({ discrepancyId, now, before, payload }: DiscrepancyEntry, lock: FeedLock, index: number) {
  return {
    sequence: lock.nextSequence + BigInt(index),
    ingestTime: lock.ingestTime,
    entryKind: DiscrepancyEntryKind.DISCREPANCY as number,
    discrepancyId,
    ...now,
    previousStatus: before?.status,
    previousCauses: before?.causes,
    previousCustomerId: before?.customerId,
    previousTrunkId: before?.trunkId,
    previousDirection: before?.direction,
    previousUnresolved: before?.unresolved,
    previousAbsoluteDeltaMs: before?.absoluteDeltaMs,
    payload,
  };
}

import { sql } from "kysely";
import { type AuditEvent, NO_HASH } from "../../domain/privacy/audit.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import type { AuditOutcome } from "../../gen/tandem/platform/v1/audit_event_pb.js";
import { readRow, readRows, run, type Tx } from "../database/run.ts";
import { PLATFORM_CHAIN } from "./audit-log.ts";

export interface AuditConditions {
  /** Undefined: the platform's chain. */
  readonly carrierId: string | undefined;
  readonly start?: Micros | undefined;
  readonly end?: Micros | undefined;
  readonly actor?: string | undefined;
  readonly method?: string | undefined;
}

/** Lists events of a chain by sequence, after one. In a system transaction. */
export async function listAuditEvents(
  tx: Tx,
  conditions: AuditConditions,
  page: { afterSequence: bigint; limit: number },
): Promise<AuditEvent[]> {
  const { carrierId, start, end, actor, method } = conditions;
  let query = tx
    .selectFrom("audit_event")
    .selectAll()
    .where("carrier_id", "=", carrierId ?? PLATFORM_CHAIN)
    .where("sequence", ">", page.afterSequence);
  if (start !== undefined) query = query.where("event_time", ">=", sql<Micros>`${isoFromMicros(start)}::timestamptz`);
  if (end !== undefined) query = query.where("event_time", "<", sql<Micros>`${isoFromMicros(end)}::timestamptz`);
  if (actor !== undefined) query = query.where("actor", "=", actor);
  if (method !== undefined) query = query.where("method", "=", method);
  const { rows } = await run(tx, query.orderBy("sequence").limit(page.limit));
  return rows.map((row) => ({
    ...row,
    carrierId: row.carrierId === PLATFORM_CHAIN ? undefined : row.carrierId,
    outcome: row.outcome as AuditOutcome,
  }));
}

/** The ends of a chain: its oldest event, its highest head, and the newest event that is stored. */
export interface ChainEnds {
  /** The oldest event that is kept. */
  readonly first: bigint;
  /** 0: none yet. */
  readonly last: bigint;
  readonly lastHash: Uint8Array;
  readonly newest: bigint;
}

/** Reads the ends of a chain; undefined: no such chain. In a system transaction. */
export async function readChainEnds(tx: Tx, carrierId: string | undefined): Promise<ChainEnds | undefined> {
  const chain = carrierId ?? PLATFORM_CHAIN;
  const row = await readRow(tx)<{
    first: bigint;
    last: bigint | undefined;
    lastHash: Buffer | undefined;
    newest: bigint | undefined;
  }>`
    SELECT c.first_sequence AS first, h.sequence AS last, h.entry_hash AS last_hash,
      (SELECT max(e.sequence) FROM audit_event e WHERE e.carrier_id = ${chain}) AS newest
    FROM audit_chain c LEFT JOIN LATERAL (
      SELECT sequence, entry_hash FROM audit_head WHERE carrier_id = ${chain} ORDER BY sequence DESC LIMIT 1) h ON true
    WHERE c.carrier_id = ${chain}`;
  if (!row) return undefined;
  return { first: row.first, last: row.last ?? 0n, lastHash: row.lastHash ?? NO_HASH, newest: row.newest ?? 0n };
}

/** Lists the chains by carrier, the platform's ('') first. In a system transaction. */
export async function listChains(tx: Tx, after: string | undefined, limit: number): Promise<string[]> {
  let query = tx.selectFrom("audit_chain").select("carrier_id");
  if (after !== undefined) query = query.where(sql<string>`carrier_id COLLATE "C"`, ">", after);
  const { rows } = await run(tx, query.orderBy(sql`carrier_id COLLATE "C"`).limit(limit));
  return rows.map((row) => row.carrierId);
}

/**
 * Deletes the oldest events of a chain that lie before an instant. Needs the owner's rights: no
 * role of the application may delete. It takes the chain as an append does and keeps the highest
 * head.
 * @returns how many; fewer than the limit: none is left.
 */
export async function deleteAuditEvents(
  tx: Tx,
  carrierId: string | undefined,
  before: Micros,
  limit: number,
): Promise<number> {
  const chain = carrierId ?? PLATFORM_CHAIN;
  // The chain first: an event appended meanwhile must not count as deleted.
  const update = tx
    .updateTable("audit_chain")
    .set({ turns: sql<bigint>`turns + 1` })
    .where("carrier_id", "=", chain)
    .returning("first_sequence");
  const {
    rows: [head],
  } = await run(tx, update);
  if (!head) return 0;
  const rows = await readRows(tx)<{ sequence: bigint }>`
    DELETE FROM audit_event WHERE carrier_id = ${chain} AND sequence < ${head.firstSequence + BigInt(limit)}
      AND event_time < ${isoFromMicros(before)}::timestamptz
    RETURNING sequence`;
  let last = head.firstSequence - 1n;
  for (const { sequence } of rows) if (sequence > last) last = sequence;
  const query = tx
    .updateTable("audit_chain")
    .set({ first_sequence: last + 1n })
    .where("carrier_id", "=", chain);
  await run(tx, query);
  await run(tx)`
    DELETE FROM audit_head WHERE carrier_id = ${chain}
      AND sequence < (SELECT max(h.sequence) FROM audit_head h WHERE h.carrier_id = ${chain})`;
  return rows.length;
}

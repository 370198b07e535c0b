import { sql } from "kysely";
import { type AuditEvent, NO_HASH } from "../../domain/privacy/audit.ts";
import { later, type Micros } from "../../domain/time/instant.ts";
import { instant, readColumn, readRow, readRows, readValue, run, type Tx } from "../database/run.ts";
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
export function listAuditEvents(
  tx: Tx,
  { carrierId, start, end, actor, method }: AuditConditions,
  page: { afterSequence: bigint; limit: number },
): Promise<AuditEvent[]> {
  const wheres = [sql`carrier_id = ${carrierId ?? PLATFORM_CHAIN} AND sequence > ${page.afterSequence}`];
  if (start !== undefined) wheres.push(sql`event_time >= ${instant(start)}`);
  if (end !== undefined) wheres.push(sql`event_time < ${instant(end)}`);
  if (actor !== undefined) wheres.push(sql`actor = ${actor}`);
  if (method !== undefined) wheres.push(sql`method = ${method}`);
  const eventOf = (row: AuditEvent): AuditEvent => ({ ...row, carrierId: row.carrierId || undefined });
  return readRows(tx, eventOf)`
    SELECT * FROM audit_event WHERE ${sql.join(wheres, sql` AND `)} ORDER BY sequence LIMIT ${page.limit}`;
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
export function listChains(tx: Tx, after: string | undefined, limit: number): Promise<string[]> {
  const isNext = after === undefined ? sql`true` : sql`carrier_id COLLATE "C" > ${after}`;
  return readColumn(tx)<string>`
    SELECT carrier_id FROM audit_chain WHERE ${isNext} ORDER BY carrier_id COLLATE "C" LIMIT ${limit}`;
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
  const first = await readValue(tx)<bigint | undefined>`
    UPDATE audit_chain SET turns = turns + 1 WHERE carrier_id = ${chain} RETURNING first_sequence`;
  if (first === undefined) return 0;
  const deleted = await readColumn(tx)<bigint>`
    DELETE FROM audit_event WHERE carrier_id = ${chain} AND sequence < ${first + BigInt(limit)} AND event_time < ${instant(before)}
    RETURNING sequence`;
  const last = deleted.reduce(later, first - 1n);
  await run(tx)`UPDATE audit_chain SET first_sequence = ${last + 1n} WHERE carrier_id = ${chain}`;
  await run(tx)`
    DELETE FROM audit_head WHERE carrier_id = ${chain}
      AND sequence < (SELECT max(h.sequence) FROM audit_head h WHERE h.carrier_id = ${chain})`;
  return deleted.length;
}

import { type RawBuilder, sql } from "kysely";
import { readRow, readValue, type Tx } from "./run.ts";

/**
 * Which timeline of its write-ahead log the server writes; NULL on a standby, which writes none.
 * The name of the present log file begins with it, and is right from a promotion on.
 * pg_control_checkpoint() tells the old timeline until the next checkpoint is done.
 */
export const TIMELINE_SQL =
  "CASE WHEN pg_is_in_recovery() THEN NULL ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int8 END";

const TIMELINE: RawBuilder<bigint | null> = sql.raw(TIMELINE_SQL);

/** Which history of its write-ahead log the server writes now; undefined while it is a standby. */
export function readTimeline(tx: Tx): Promise<bigint | undefined> {
  return readValue(tx)<bigint | undefined>`SELECT ${TIMELINE} AS timeline`;
}

/** Whether the serving roles may ask for the timeline. Usually everybody may. */
export function mayReadTimeline(tx: Tx): Promise<boolean> {
  return readValue(tx)<boolean>`
    SELECT bool_and(has_function_privilege(r, 'pg_current_wal_lsn()', 'EXECUTE')
      AND has_function_privilege(r, 'pg_walfile_name(pg_lsn)', 'EXECUTE')) AS may
    FROM unnest(ARRAY[current_user, 'tandem_carrier', 'tandem_system']::name[]) r`;
}

/** What the server beneath is polled for. */
export interface ServerState {
  /** Undefined on a standby. */
  readonly timeline: bigint | undefined;
  /** The timeline that an operator has confirmed; 0: not known. */
  readonly confirmedTimeline: bigint;
}

/**
 * Asks for the server's state.
 * @param mayAsk whether the timeline may be asked for.
 */
export async function readServerState(tx: Tx, mayAsk: boolean): Promise<ServerState> {
  const state = await readRow(tx)<ServerState>`
    SELECT ${mayAsk ? TIMELINE : sql`NULL::int8`} AS timeline, i.timeline AS confirmed_timeline
    FROM installation i`;
  return state ?? { timeline: undefined, confirmedTimeline: 0n };
}

/**
 * Names what is committed. A transaction that writes has a number, so two equal names mean the same
 * rows. Undefined on a cluster: there most is written on other servers.
 */
export async function readSnapshot(tx: Tx): Promise<string | undefined> {
  const found = await readRow(tx)<{ snapshot: string; isCluster: boolean }>`
    SELECT pg_current_snapshot()::text AS snapshot, EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') AS is_cluster`;
  return found?.isCluster ? undefined : found?.snapshot;
}

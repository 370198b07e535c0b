import { type RawBuilder, sql } from "kysely";
import { send, type Tx } from "./database.ts";

// The name of the log's present file begins with the timeline. It is right from the promotion on; pg_control_checkpoint() tells the old timeline
// until the next checkpoint is done. A standby has no file that it writes.
const TIMELINE: RawBuilder<bigint | null> = sql`CASE WHEN pg_is_in_recovery() THEN NULL
  ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int8 END`;

/** Which history of its write-ahead log the server writes now; undefined while it is a standby. */
export async function readTimeline(tx: Tx): Promise<bigint | undefined> {
  const query = sql<{ timeline: bigint | null }>`SELECT ${TIMELINE} AS timeline`;
  const { rows } = await send<{ timeline: bigint | null }>(tx, query.compile(tx));
  return rows[0]?.timeline ?? undefined;
}

/** Whether the roles that serve may ask for the timeline. Everybody may, where nobody has forbidden it. */
export async function mayReadTimeline(tx: Tx): Promise<boolean> {
  const { rows } = await sql<{ may: boolean }>`
    SELECT bool_and(has_function_privilege(r, 'pg_current_wal_lsn()', 'EXECUTE')
      AND has_function_privilege(r, 'pg_walfile_name(pg_lsn)', 'EXECUTE')) AS may
    FROM unnest(ARRAY[current_user, 'tandem_carrier', 'tandem_system']::name[]) r`.execute(tx);
  return rows[0]?.may ?? false;
}

/** What is asked again and again of the server beneath. */
export interface ServerState {
  /** Undefined on a standby. */
  readonly timeline: bigint | undefined;
  /** The timeline that an operator has confirmed; 0: not known. */
  readonly confirmedTimeline: bigint;
  /** Whether a commit with synchronous_commit waits for a standby. */
  readonly isReplicated: boolean;
}

/**
 * Asks for the server's state.
 * @param mayAsk whether the timeline may be asked for.
 */
export async function readServerState(tx: Tx, mayAsk: boolean): Promise<ServerState> {
  interface Row {
    timeline: bigint | null;
    confirmed_timeline: bigint;
    is_replicated: boolean;
  }
  const query = sql<Row>`
    SELECT ${mayAsk ? TIMELINE : sql`NULL::int8`} AS timeline, i.timeline AS confirmed_timeline,
      current_setting('synchronous_standby_names') <> '' AS is_replicated
    FROM installation i`;
  const { rows } = await send<Row>(tx, query.compile(tx));
  const row = rows[0];
  return {
    timeline: row?.timeline ?? undefined,
    confirmedTimeline: row?.confirmed_timeline ?? 0n,
    isReplicated: row?.is_replicated ?? false,
  };
}

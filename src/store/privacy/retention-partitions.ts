import { setTimeout as wait } from "node:timers/promises";
import { sql } from "kysely";
import { addDays, utcDay } from "../../domain/time/instant.ts";
import {
  type Database,
  isSqlState,
  ownerTransaction,
  systemTransaction,
  withConnection,
} from "../database/database.ts";
import { AGING_TABLES, isWantedPartition } from "../database/partitions.ts";
import { readClock, readRows, readValue, run, type Tx } from "../database/run.ts";

/** Longest that detaching waits for a transaction that reads, milliseconds. */
const LOCK_TIMEOUT_MS = 2_000;
const MAX_TRIES = 5;

export interface DroppedPartition {
  readonly name: string;
  readonly bytes: bigint;
}

interface AgingPartition {
  name: string;
  parent: string;
  /** Monday. */
  week: string;
  /** Detached partitions only have to be dropped. */
  attached: "attached" | "pending" | "detached";
  bytes: bigint;
}

/**
 * Drops the partitions that every carrier's retention has passed, without making readers or writers
 * wait. Finishes what another process left half done. One process at a time.
 * @param onLeft told of a partition that somebody reads for too long; the next run tries again.
 */
export async function dropExpiredPartitions(
  db: Database,
  signal: AbortSignal,
  onLeft: (error: unknown) => void,
): Promise<DroppedPartition[]> {
  const expired = await findExpired(db);
  const dropped: DroppedPartition[] = [];
  for (const partition of expired) {
    if (signal.aborted) break;
    try {
      await detach(db, partition, signal);
      await ownerTransaction(db, (tx) => run(tx)`DROP TABLE IF EXISTS ${sql.table(partition.name)}`);
      dropped.push({ name: partition.name, bytes: partition.bytes });
    } catch (error) {
      onLeft(error);
    }
  }
  return dropped;
}

// By week. Partitions that would be made anew are not dropped.
async function findExpired(db: Database): Promise<AgingPartition[]> {
  const { partitions, floors, today } = await systemTransaction(db, async (tx) => ({
    today: utcDay(await readClock(tx)),
    floors: await readFloors(tx),
    partitions: await listAging(tx),
  }));
  const expired: AgingPartition[] = [];
  for (const partition of partitions) {
    const floor = floors[partition.parent];
    const isPast = floor !== undefined && addDays(partition.week, 7) <= floor;
    if (!isPast || isWantedPartition(partition.parent, partition.week, today)) continue;
    if (partition.parent.endsWith("_key") && !(await isEmpty(db, partition.name))) continue;
    expired.push(partition);
  }
  return expired;
}

// The day before which every carrier's rows of a table are gone. A carrier that retention has not
// reached keeps everything.
function readFloors(tx: Tx): Promise<Readonly<Record<string, string>>> {
  const before = (part: string) => sql.raw(`(min(COALESCE(${part}_before, 'epoch')) AT TIME ZONE 'UTC')::date`);
  const keys = sql`min(COALESCE(keys_from, 'epoch'::date))`;
  return readValue(tx)<Readonly<Record<string, string>>>`
    SELECT json_strip_nulls(json_build_object('cdr_record', ${before("call")}, 'cdr_quality', ${before("quality")},
      'cdr_network', ${before("network")}, 'duration_record', ${before("duration")}, 'cdr_key', ${keys}, 'duration_key', ${keys}))
    FROM carrier c LEFT JOIN retention_state s ON s.carrier_id = c.carrier_id`;
}

// Including detached ones, which are ordinary tables with a partition's name.
function listAging(tx: Tx): Promise<AgingPartition[]> {
  return readRows(tx)<AgingPartition>`
    SELECT c.relname AS name, left(c.relname, -9) AS parent, to_date(right(c.relname, 8), 'YYYYMMDD')::text AS week,
      CASE WHEN i.inhrelid IS NULL THEN 'detached' WHEN i.inhdetachpending THEN 'pending' ELSE 'attached' END AS attached,
      pg_total_relation_size(c.oid) AS bytes
    FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
    WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace AND c.relname ~ '_\\d{8}$'
      AND left(c.relname, -9) = ANY(${[...AGING_TABLES]}::text[])
    ORDER BY right(c.relname, 8), c.relname`;
}

function isEmpty(db: Database, name: string): Promise<boolean> {
  return ownerTransaction(db, (tx) => readValue(tx)<boolean>`SELECT NOT EXISTS (SELECT FROM ${sql.table(name)})`, {
    statementTimeoutMs: 60_000,
  });
}

async function detach(db: Database, partition: AgingPartition, signal: AbortSignal): Promise<void> {
  let { attached } = partition;
  for (let attempt = 1; attached !== "detached"; attempt++) {
    const how = attached === "pending" ? "FINALIZE" : "CONCURRENTLY";
    try {
      await runOutsideTransaction(db, `ALTER TABLE ${partition.parent} DETACH PARTITION ${partition.name} ${how}`);
      return;
    } catch (error) {
      // 55P03: somebody reads it for longer than we wait. 55000: a detach of it or of a sibling is
      // pending.
      if (attempt === MAX_TRIES || signal.aborted || !isSqlState(error, "55P03", "55000", "57014", "40P01"))
        throw error;
    }
    await wait(LOCK_TIMEOUT_MS / 4, undefined, { signal }).catch(() => {});
    const found = await systemTransaction(db, listAging);
    const sibling = found.find((each) => each.parent === partition.parent && each.attached === "pending");
    if (sibling && sibling.name !== partition.name) {
      await runOutsideTransaction(db, `ALTER TABLE ${sibling.parent} DETACH PARTITION ${sibling.name} FINALIZE`);
    }
    attached = found.find((each) => each.name === partition.name)?.attached ?? "detached";
  }
}

// DETACH CONCURRENTLY is two transactions, so its time limit is set for the session and reset.
async function runOutsideTransaction(db: Database, statement: string): Promise<void> {
  await withConnection(db, async (client) => {
    await client.query(`SET lock_timeout = ${LOCK_TIMEOUT_MS}`);
    await client.query(statement);
    await client.query("RESET lock_timeout");
  });
}

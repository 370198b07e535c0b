import { sql } from "kysely";
import { addDays, utcDay } from "../../domain/time/instant.ts";
import { leaveCarriersOut } from "./carrier-statistics.ts";
import { type Database, isSqlState, ownerTransaction } from "./database.ts";
import { readClock, readRows, run, type Tx } from "./run.ts";

// Records age by their ingest time, keys by the day that is part of their identity.
const BY_INGEST_TIME = ["cdr_record", "cdr_quality", "cdr_network", "duration_record"] as const;
const BY_RECORD_DATE = ["cdr_key", "duration_key"] as const;

/** The tables that have a partition a week. */
export const AGING_TABLES: readonly string[] = [...BY_INGEST_TIME, ...BY_RECORD_DATE];

/** How many weeks ahead partitions are made. */
export const PARTITION_WEEKS_AHEAD = 4;
/** How many weeks back keys are taken: later revisions may be 400 days old. */
const KEY_WEEKS_BACK = 58;
/** How many weeks back records can come: the clock of the database may step back a little. */
const INGEST_WEEKS_BACK = 1;

/** Whether a missing partition would be made. */
export function isWantedPartition(table: string, week: string, today: string): boolean {
  const back = isKeyTable(table) ? KEY_WEEKS_BACK : INGEST_WEEKS_BACK;
  return week >= addDays(monday(today), -7 * back);
}

/**
 * Makes the missing weekly partitions (Monday to Monday, UTC), from the past that is still accepted
 * to four weeks ahead. May run in several processes at once. Call it at start and daily: a missing
 * partition stops ingest.
 * @param ingestWeeksBack how far back those by ingest time are made: further to load history.
 */
export async function ensurePartitions(
  db: Database,
  ingestWeeksBack: number = INGEST_WEEKS_BACK,
): Promise<{ created: number }> {
  const thisWeek = await ownerTransaction(db, async (tx) => monday(utcDay(await readClock(tx))));
  const wanted = AGING_TABLES.flatMap((table) =>
    weeks(thisWeek, isKeyTable(table) ? -KEY_WEEKS_BACK : -ingestWeeksBack).map((week) => ({ table, week })),
  );
  const existing = await ownerTransaction(db, (tx) => listPartitions(tx));
  const missing = wanted.filter((partition) => !isCovered(existing, partition));
  const statement = existing.length === 0 ? createStatement : attachStatements;
  for (let start = 0; start < missing.length; start += 32)
    await createPartitions(db, missing.slice(start, start + 32).map(statement));
  if (missing.length > 0) await leaveCarriersOut(db);
  return { created: missing.length };
}

/** How many whole weeks from now have a partition in every table: what an alarm watches. */
export async function countPartitionWeeksAhead(db: Database, today: string): Promise<number> {
  const existing = await ownerTransaction(db, (tx) => listPartitions(tx));
  let ahead = 0;
  const hasWeek = (week: string) => AGING_TABLES.every((table) => isCovered(existing, { table, week }));
  while (hasWeek(addDays(monday(today), 7 * (ahead + 1)))) ahead++;
  return ahead;
}

/** A partition of several weeks, which somebody made by hand, is as good as one for each. */
function isCovered(existing: readonly Bounds[], { table, week }: Partition): boolean {
  const end = addDays(week, 7);
  return existing.some((bounds) => bounds.table === table && bounds.start <= week && end <= bounds.end);
}

/** A period of days without its end. */
export interface Days {
  readonly start: string;
  readonly end: string;
}

interface Bounds extends Days {
  readonly table: string;
}

/** The partitions of tables, the oldest first. */
export function listPartitions(tx: Tx, tables: readonly string[] = AGING_TABLES): Promise<Bounds[]> {
  // A transaction's time zone is UTC, so a bound's text begins with its day.
  return readRows(tx)<Bounds>`
    SELECT parent.relname AS table, days[1] AS start, days[2] AS end FROM pg_inherits i
    JOIN pg_class child ON child.oid = i.inhrelid JOIN pg_class parent ON parent.oid = i.inhparent
    CROSS JOIN LATERAL regexp_match(pg_get_expr(child.relpartbound, child.oid),
      'FROM \\(''(.{10}).*''\\) TO \\(''(.{10})') AS days
    WHERE parent.relname = ANY(${[...tables]}) AND parent.relnamespace = current_schema()::regnamespace
    ORDER BY days[1]`;
}

// Several in one transaction, for speed; one by one if another process is making them.
async function createPartitions(db: Database, statements: string[]): Promise<void> {
  const execute = (text: string) => ownerTransaction(db, (tx) => run(tx, sql.raw(text)));
  try {
    await execute(statements.join("; "));
  } catch (error) {
    if (!isSqlState(error, "42P07", "23505", "42710", "42P17", "55P03", "XX000")) throw error;
    for (const statement of statements) {
      await execute(statement).catch((single) => {
        if (!isSqlState(single, "42P07", "23505", "42710")) throw single;
      });
    }
  }
}

interface Partition {
  readonly table: string;
  readonly week: string;
}

// Twice as fast, but locks the whole table: only for a new database that nobody uses yet.
function createStatement(partition: Partition): string {
  return `CREATE TABLE IF NOT EXISTS ${nameOf(partition)} PARTITION OF ${partition.table} ${boundsOf(partition)}`;
}

// Attaching waits for no reader and no writer, and none waits for it.
function attachStatements(partition: Partition): string {
  const name = nameOf(partition);
  return `CREATE TABLE ${name} (LIKE ${partition.table} INCLUDING ALL); ALTER TABLE ${partition.table} ATTACH PARTITION ${name} ${boundsOf(partition)}`;
}

function boundsOf({ table, week }: Partition): string {
  const bound = (day: string) => (isKeyTable(table) ? `'${day}'` : `'${day} 00:00:00+00'`);
  return `FOR VALUES FROM (${bound(week)}) TO (${bound(addDays(week, 7))})`;
}

function nameOf({ table, week }: Partition): string {
  return `${table}_${week.replaceAll("-", "")}`;
}

function weeks(thisWeek: string, start: number): string[] {
  const count = PARTITION_WEEKS_AHEAD - start + 1;
  return Array.from({ length: count }, (_, index) => addDays(thisWeek, 7 * (start + index)));
}

function isKeyTable(table: string): boolean {
  return BY_RECORD_DATE.some((name) => name === table);
}

function monday(day: string): string {
  const weekday = new Date(`${day}T00:00:00Z`).getUTCDay();
  return addDays(day, -((weekday + 6) % 7));
}

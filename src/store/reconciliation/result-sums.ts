import { type RawBuilder, sql } from "kysely";
import type { Micros } from "../../domain/time/instant.ts";
import { readRows, type Tx, together } from "../database/run.ts";
import { type CallFigures, FIGURE_COLUMNS, figuresOf } from "../usage/call-figures.ts";
import { lockZones, lockZonesAlone, moveSums, type SumZone } from "../usage/usage-sums.ts";
import { type CellsJson, COUNTED_COLUMNS, cellsAsJson, cellsOf, type SummaryCell } from "./summary-cells.ts";
import { moveSummary, readSummarizedFrom } from "./summary-sums.ts";

// The sums that results move: those of usage and those of the reconciliation summary. Whoever
// changes what a result adds locks them first, and moves them in the same transaction. Lock order:
// before results, and before the head of the discrepancies' feed. An erasure locks feed heads
// first; no turn runs then.

/** A carrier's sums, locked. */
export interface LockedSums {
  readonly zones: readonly SumZone[];
  readonly summarizedFrom: Micros;
}

/** Locks a carrier's sums beside other turns. */
export function lockSums(tx: Tx, carrierId: string): Promise<LockedSums> {
  return locked(tx, carrierId, lockZones(tx, carrierId));
}

/** Locks a carrier's sums when nobody else has. */
export function lockSumsAlone(tx: Tx, carrierId: string): Promise<LockedSums> {
  return locked(tx, carrierId, lockZonesAlone(tx, carrierId));
}

// The second statement runs under the lock of the first.
async function locked(tx: Tx, carrierId: string, lock: Promise<SumZone[]>): Promise<LockedSums> {
  const [zones, summarizedFrom] = await together([lock, readSummarizedFrom(tx, carrierId)]);
  return { zones, summarizedFrom };
}

/** What results add to the sums. */
export interface Added {
  readonly usage: readonly CallFigures[];
  readonly summary: readonly SummaryCell[];
}

/** The columns of a result that its sums rest on. */
export function sumColumns(alias: string): RawBuilder<unknown> {
  return sql.raw([...new Set([...FIGURE_COLUMNS, ...COUNTED_COLUMNS])].map((name) => `${alias}.${name}`).join(", "));
}

const COUNT = sql`count(*) AS count`;

/**
 * Runs a statement that reads, writes or deletes results, and sums up what they add.
 * @param change returns `sumColumns`.
 * @param counts are taken over what it returned.
 */
export async function readAdded<Counts = { count: bigint }>(
  tx: Tx,
  change: RawBuilder<unknown>,
  counts = COUNT,
): Promise<Added & { counts: Counts }> {
  type CountRow = Counts & { cells: CellsJson };
  const changed = sql`changed`;
  // One row of counts, then rows of figures.
  const rows = await readRows(tx)<object>`
    WITH changed AS (${change})
    SELECT n.*, f.* FROM (SELECT true AS is_counts, ${counts}, (${cellsAsJson(changed)}) AS cells FROM changed) n
    FULL JOIN (${figuresOf(changed)}) f ON false`;
  const isCounts = (row: object) => "isCounts" in row && row.isCounts === true;
  const found = rows.find(isCounts) as CountRow;
  const usage = rows.filter((row) => !isCounts(row)) as CallFigures[];
  return { usage, summary: cellsOf(found.cells), counts: found };
}

/** Moves the sums that the transaction has locked. */
export async function moveResultSums(
  tx: Tx,
  carrierId: string,
  { zones, summarizedFrom }: LockedSums,
  { gone, come }: { gone?: Added | undefined; come?: Added | undefined },
): Promise<void> {
  await moveSums(tx, carrierId, zones, { gone: gone?.usage ?? [], come: come?.usage ?? [] });
  await moveSummary(tx, carrierId, summarizedFrom, { gone: gone?.summary ?? [], come: come?.summary ?? [] });
}

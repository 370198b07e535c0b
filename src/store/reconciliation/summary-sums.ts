import { type RawBuilder, sql } from "kysely";
import { HOUR_MS, type Micros } from "../../domain/time/instant.ts";
import { inRange, instant, readInOrder, readValue, run, type Tx, unnest } from "../database/run.ts";
import { writeRows } from "../database/write-rows.ts";
import { readCells, type SummaryCell } from "./summary-cells.ts";

// Sums of the reconciliation summary, which move with the results. At every commit they are what
// the carrier's calls add that begin from `filled_from` on. Whoever changes what a result adds has
// locked the carrier's sums and moves them in the same transaction (result-sums.ts).

/** No call is earlier: all are in the sums. */
const ALL_FILLED: Micros = 0n;
const NOT_FILLED: Micros = 253_402_300_799_000_000n;
const HOUR: Micros = 3_600_000_000n;

/** Since the year 1970, whole hours. */
type Hour = number;

/** The first element of `hours` is of the hour that begins so long before the day does in UTC. */
export const HOURS_AHEAD = 14;
/** More hours than a day has in all zones together. */
export const MOST_HOURS = 64;

/** From when on a carrier's calls are in its sums: the beginning of an hour. */
export async function readSummarizedFrom(tx: Tx, carrierId: string): Promise<Micros> {
  const filledFrom = await readValue(tx)<Micros | undefined>`
    SELECT filled_from FROM summary_fill WHERE carrier_id = ${carrierId}`;
  return filledFrom ?? NOT_FILLED;
}

/** Says from when on a carrier's calls are in its sums. Default: all are, as of a new carrier. */
export async function writeSummarizedFrom(tx: Tx, carrierId: string, filledFrom = ALL_FILLED): Promise<void> {
  await run(tx)`
    INSERT INTO summary_fill AS f (carrier_id, filled_from) VALUES (${carrierId}, ${instant(filledFrom)})
    ON CONFLICT (carrier_id) DO UPDATE SET filled_from = EXCLUDED.filled_from`;
}

/** The condition that a carrier's calls are not all in its sums. */
export function isSummaryUnfilled(carrierId: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`
    NOT EXISTS (SELECT 1 FROM summary_fill f WHERE f.carrier_id = ${carrierId} AND f.filled_from <= ${instant(ALL_FILLED)})`;
}

/**
 * Puts more of a carrier's calls into its sums, about so many, from its newest to its oldest. The
 * transaction has locked the sums alone.
 * @returns false: all are.
 */
export async function fillSummary(tx: Tx, carrierId: string, filledFrom: Micros, stepCalls: number): Promise<boolean> {
  if (filledFrom <= ALL_FILLED) return false;
  await readInOrder(tx);
  const first = await readValue(tx)<Micros | undefined>`
    SELECT r.start_time FROM call_result r WHERE r.carrier_id = ${carrierId} AND r.start_time < ${instant(filledFrom)}
    ORDER BY r.start_time DESC OFFSET ${stepCalls - 1} LIMIT 1`;
  const from = first === undefined ? ALL_FILLED : first - (first % HOUR);
  const range = { start: from, end: filledFrom };
  const calls = sql`(SELECT * FROM call_result c WHERE c.carrier_id = ${carrierId} AND ${inRange(sql`c.start_time`, range)} OFFSET 0)`;
  await moveSummary(tx, carrierId, from, { come: await readCells(tx, calls) });
  await writeSummarizedFrom(tx, carrierId, from);
  return true;
}

/** Moves a carrier's sums, which the transaction has locked. */
export async function moveSummary(
  tx: Tx,
  carrierId: string,
  summarizedFrom: Micros,
  { gone = [], come = [] }: { gone?: Iterable<SummaryCell>; come?: Iterable<SummaryCell> },
): Promise<void> {
  const changes = new SummaryChanges(Number(summarizedFrom / HOUR));
  for (const cell of gone) changes.add(cell, -1);
  for (const cell of come) changes.add(cell, 1);
  await writeChanges(tx, carrierId, changes.list());
}

interface SumRow extends Omit<SummaryCell, "hour" | "pairKey"> {
  calls: number;
  platformMs: number;
  carrierMs: number;
  callDeltaMs: number;
  readonly pairKey: bigint;
  /** The hour that the first of `counts` is of. */
  readonly firstHour: Hour;
  /** Calls by hour. */
  readonly counts: number[];
}

class SummaryChanges {
  readonly #from: Hour;
  readonly #rows = new Map<string, SumRow>();

  constructor(from: Hour) {
    this.#from = from;
  }

  add(cell: SummaryCell, sign: 1 | -1): void {
    if (cell.hour < this.#from) return;
    const row = this.#rowOf(cell);
    row.calls += sign * cell.calls;
    row.platformMs += sign * cell.platformMs;
    row.carrierMs += sign * cell.carrierMs;
    row.callDeltaMs += sign * cell.callDeltaMs;
    // Every day of a zone lies within these hours. Others cannot be, and would count at an end.
    const place = Math.min(Math.max(cell.hour - row.firstHour, 0), MOST_HOURS - 1);
    while (row.counts.length <= place) row.counts.push(0);
    row.counts[place] = (row.counts[place] ?? 0) + sign * cell.calls;
  }

  #rowOf(cell: SummaryCell): SumRow {
    const { callDate, customerId, trunkId, direction, status, causes, matchedBy, pairKey, traits } = cell;
    const key = `${callDate}\0${customerId}\0${trunkId}\0${direction}\0${status}\0${causes}\0${matchedBy}\0${pairKey}\0${traits}`;
    const known = this.#rows.get(key);
    if (known) return known;
    const kind = { callDate, customerId, trunkId, direction, status, causes, matchedBy, traits };
    const row: SumRow = {
      ...kind,
      pairKey: BigInt(pairKey),
      ...{ calls: 0, platformMs: 0, carrierMs: 0, callDeltaMs: 0 },
      firstHour: Date.parse(callDate) / HOUR_MS - HOURS_AHEAD,
      counts: [],
    };
    this.#rows.set(key, row);
    return row;
  }

  /** What changed, in the order of the keys, in which everybody locks. */
  list(): SumRow[] {
    return [...this.#rows]
      .filter(([, row]) => isAny(row))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, row]) => row);
  }
}

function isAny({ calls, platformMs, carrierMs, callDeltaMs, counts }: SumRow): boolean {
  return [calls, platformMs, carrierMs, callDeltaMs, ...counts].some((each) => each !== 0);
}

const KEY = {
  callDate: "date",
  customerId: "text",
  trunkId: "text",
  direction: "int2",
  status: "int2",
  causes: "int2",
  matchedBy: "int2",
  pairKey: "int8",
  traits: "int2",
} as const;
const KEY_NAMES = [
  "call_date",
  "customer_id",
  "trunk_id",
  "direction",
  "status",
  "causes",
  "matched_by",
  "pair_key",
  "traits",
];
const ADDED_NAMES = ["calls", "platform_ms", "carrier_ms", "call_delta_ms"];

async function writeChanges(tx: Tx, carrierId: string, rows: readonly SumRow[]): Promise<void> {
  const written = rows.map(({ calls, platformMs, carrierMs, callDeltaMs, firstHour: _, counts, ...row }) => ({
    ...row,
    calls: BigInt(calls),
    platformMs: BigInt(platformMs),
    carrierMs: BigInt(carrierMs),
    callDeltaMs: BigInt(callDeltaMs),
    hours: counts.join(" "),
  }));
  const added = ADDED_NAMES.map((name) => [name, sql.raw(`summary_sum.${name} + EXCLUDED.${name}`)]);
  const of = {
    table: "summary_sum",
    carrierId,
    key: KEY_NAMES,
    columns: { ...KEY, calls: "int8", platformMs: "int8", carrierMs: "int8", callDeltaMs: "int8", hours: "text" },
    stored: { hours: sql`string_to_array(r.hours, ' ')::int4[]` },
    changed: { ...Object.fromEntries(added), hours: sql`add_counts(summary_sum.hours, EXCLUDED.hours)` },
  } as const;
  await writeRows(tx, of, written);
  await deleteEmpty(
    tx,
    carrierId,
    rows.filter(({ calls }) => calls < 0),
  );
}

async function deleteEmpty(tx: Tx, carrierId: string, rows: readonly SumRow[]): Promise<void> {
  if (rows.length === 0) return;
  const isSame = KEY_NAMES.map((name) => `s.${name} = w.${name}`).join(" AND ");
  await run(tx)`
    DELETE FROM summary_sum s USING ${unnest("w", rows, KEY)} WHERE s.carrier_id = ${carrierId} AND ${sql.raw(isSame)} AND s.calls = 0`;
}

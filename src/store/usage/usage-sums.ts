import { sql } from "kysely";
import type { Micros } from "../../domain/time/instant.ts";
import { SUMS } from "../../domain/usage/totals.ts";
import { insertAll, instant, readRows, run, snakeCase, type Tx, unnest } from "../database/run.ts";
import { readDaysOf } from "../zone-days/zone-days.ts";
import type { CallFigures } from "./call-figures.ts";

// Sums of usage, which move with the results. Of each zone of a carrier they are, at every commit,
// what its calls add that begin from `filledFrom` on, under the customers that the rows name
// (summed_customer_id).
//
// Whoever changes what a result adds has locked the carrier's zones, and moves the sums in the same
// transaction (reconciliation/result-sums.ts).

/** A zone that a carrier's calls are summed in. */
export interface SumZone {
  readonly timeZone: string;
  /** Calls that begin earlier are not in its sums. The beginning of a quarter of an hour. */
  readonly filledFrom: Micros;
}

/** No call is earlier: the zone is filled. */
export const ALL_FILLED: Micros = 0n;
const NOT_FILLED = sql`'9999-12-31T00:00:00Z'::timestamptz`;

/**
 * Puts a zone in use for these carriers; their reconcilers fill it.
 * @param areNew they have no calls yet, so there is nothing to fill.
 */
export async function useZone(
  tx: Tx,
  carrierIds: readonly string[],
  timeZone: string,
  { areNew = false } = {},
): Promise<void> {
  await run(tx)`
    INSERT INTO usage_zone (carrier_id, time_zone, filled_from)
    SELECT c.carrier_id, ${timeZone}, ${areNew ? instant(ALL_FILLED) : NOT_FILLED} FROM carrier c WHERE c.carrier_id = ANY(${[...carrierIds]}::text[])
    ON CONFLICT DO NOTHING`;
}

/**
 * Locks a carrier's zones beside other turns. Whoever is alone waits for this transaction, and what
 * is read from here on has what they committed.
 */
export async function lockZones(tx: Tx, carrierId: string): Promise<SumZone[]> {
  return readRows(tx)<SumZone>`
    SELECT time_zone, filled_from FROM usage_zone WHERE carrier_id = ${carrierId} FOR SHARE`;
}

/** Locks a carrier's zones when nobody else has. */
export async function lockZonesAlone(tx: Tx, carrierId: string): Promise<SumZone[]> {
  return readRows(tx)<SumZone>`
    UPDATE usage_zone SET filled_from = filled_from WHERE carrier_id = ${carrierId} RETURNING time_zone, filled_from`;
}

/** What calls added before a change, and what they add after it. */
export interface Moved {
  readonly gone?: readonly CallFigures[];
  readonly come?: readonly CallFigures[];
}

/** Moves the sums of these zones, which the transaction has locked. */
export async function moveSums(tx: Tx, carrierId: string, zones: readonly SumZone[], moved: Moved): Promise<void> {
  const changes = new SumChanges();
  for (const zone of zones) {
    const isIn = ({ customerId, quarter }: CallFigures) => customerId !== undefined && quarter >= zone.filledFrom;
    const [gone, come] = [(moved.gone ?? []).filter(isIn), (moved.come ?? []).filter(isIn)];
    const days = await readDaysOf(
      tx,
      zone.timeZone,
      [...gone, ...come].map(({ quarter }) => quarter),
    );
    for (const figures of gone) changes.add(zone.timeZone, days.dayOf(figures.quarter), figures, -1n);
    for (const figures of come) changes.add(zone.timeZone, days.dayOf(figures.quarter), figures, 1n);
  }
  await writeChanges(tx, carrierId, changes.list());
}

type SumRow = Omit<CallFigures, "wasCustomerId" | "quarter" | "customerId"> & {
  customerId: string;
  timeZone: string;
  usageDate: string;
};

const ADDED = [...SUMS, "reported"] as const;

class SumChanges {
  readonly #rows = new Map<string, { -readonly [Name in keyof SumRow]: SumRow[Name] }>();

  add(timeZone: string, usageDate: string, figures: CallFigures, sign: 1n | -1n): void {
    const { customerId = "", direction, countryCode, part } = figures;
    const key = [customerId, timeZone, usageDate, direction, countryCode, part].join("\0");
    const row = this.#rows.get(key);
    if (row) for (const name of ADDED) row[name] += sign * figures[name];
    else {
      const added = Object.fromEntries(ADDED.map((name) => [name, sign * figures[name]]));
      this.#rows.set(key, { customerId, timeZone, usageDate, direction, countryCode, part, ...added } as SumRow);
    }
  }

  /** What changed, in the order of the keys, in which everybody locks. */
  list(): SumRow[] {
    return [...this.#rows]
      .filter(([, row]) => ADDED.some((name) => row[name] !== 0n))
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([, row]) => row);
  }
}

const KEY = {
  customerId: "text",
  timeZone: "text",
  usageDate: "date",
  direction: "int2",
  countryCode: "text",
  part: "int2",
} as const;
const COLUMNS = {
  ...KEY,
  attempts: "int8",
  answered: "int8",
  connectedMs: "int8",
  billedCount: "int8",
  billedS: "int8",
  unmeasured: "int8",
  reported: "int8",
} as const;
const KEY_NAMES = Object.keys(KEY).map(snakeCase);
const ADDED_NAMES = ADDED.map(snakeCase);

async function writeChanges(tx: Tx, carrierId: string, rows: readonly SumRow[]): Promise<void> {
  if (rows.length === 0) return;
  const names = [...KEY_NAMES, ...ADDED_NAMES];
  const query = sql`
    INSERT INTO usage_sum AS s (carrier_id, ${sql.raw(names.join(", "))})
    SELECT c.carrier_id, ${sql.raw(names.map((name) => `w.${name}`).join(", "))}
    FROM carrier c CROSS JOIN ${unnest<SumRow>("w", rows, COLUMNS)} WHERE c.carrier_id = ${carrierId}
    ON CONFLICT (carrier_id, ${sql.raw(KEY_NAMES.join(", "))})
    DO UPDATE SET ${sql.raw(ADDED_NAMES.map((name) => `${name} = s.${name} + EXCLUDED.${name}`).join(", "))}`;
  await insertAll(tx, query, rows.length);
  await deleteEmpty(
    tx,
    carrierId,
    rows.filter(({ attempts }) => attempts < 0n),
  );
}

async function deleteEmpty(tx: Tx, carrierId: string, rows: readonly SumRow[]): Promise<void> {
  if (rows.length === 0) return;
  const isSame = KEY_NAMES.map((name) => `s.${name} = w.${name}`).join(" AND ");
  await run(tx)`
    DELETE FROM usage_sum s USING ${unnest<SumRow>("w", rows, KEY)}
    WHERE s.carrier_id = ${carrierId} AND ${sql.raw(isSame)} AND s.attempts = 0`;
}

/** Notes from when on a zone is filled. */
export async function writeFilledFrom(tx: Tx, carrierId: string, { timeZone, filledFrom }: SumZone): Promise<void> {
  await run(tx)`
    UPDATE usage_zone SET filled_from = ${instant(filledFrom)} WHERE carrier_id = ${carrierId} AND time_zone = ${timeZone}`;
}

import { type RawBuilder, sql } from "kysely";
import type { RecordName } from "../../domain/matching/facts.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { inRange, instant, readColumn, readInOrder, readRows, readValue, type Tx, unnest } from "../database/run.ts";
import { RECORD_NAME } from "../reconciliation/reconcile-input.ts";
import { type CallFigures, figureColumns, figuresOf, QUARTER } from "./call-figures.ts";
import { type Holder, readHolders } from "./number-holders.ts";
import {
  deleteMarks,
  findOthersMarked,
  insertMarks,
  type NumberSpan,
  readMarks,
  type UsageMark,
  unnestSpans,
} from "./usage-marks.ts";
import { ALL_FILLED, lockZonesAlone, moveSums, type SumZone, writeFilledFrom } from "./usage-sums.ts";

/** Most marks of one step. */
const STEP_MARKS = 1_000;
/** About how many calls one step fills in. */
const STEP_CALLS = 20_000;

/**
 * One step of keeping a carrier's sums: works off marks of numbers, else fills a zone further, from
 * its newest calls to its oldest. In a system transaction.
 * @returns false: there was nothing to do.
 */
export async function keepSums(tx: Tx, carrierId: string, stepCalls = STEP_CALLS): Promise<boolean> {
  const marks = await readMarks(tx, carrierId, { limit: STEP_MARKS });
  if (marks.length > 0) {
    await workOff(tx, carrierId, marks);
    return true;
  }
  if (!(await isAnyUnfilled(tx, carrierId))) return false;
  const zones = await lockZonesAlone(tx, carrierId);
  const zone = zones.find(({ filledFrom }) => filledFrom > ALL_FILLED);
  if (zone) await fill(tx, carrierId, { zones, zone, stepCalls });
  return zone !== undefined;
}

/**
 * Works off what a carrier has of marks of a number, and moves its calls of another span, after an
 * erasure cut them out of the number's history: a mark would have the number.
 */
export async function settleNumber(tx: Tx, carrierId: string, phoneNumber: string, span?: NumberSpan): Promise<void> {
  for (;;) {
    const marks = await readMarks(tx, carrierId, { phoneNumber, limit: STEP_MARKS });
    if (marks.length > 0) await workOff(tx, carrierId, marks);
    if (marks.length < STEP_MARKS) break;
  }
  if (!span) return;
  for (const [other, spans] of await findOthersMarked(tx, carrierId, [span])) await insertMarks(tx, other, spans, true);
  await moveCalls(tx, carrierId, await lockZonesAlone(tx, carrierId), callsOf(carrierId, [span]), [phoneNumber]);
}

/** Moves calls without a number to whoever held it, after an erasure took the number from them. */
export async function moveNamed(
  tx: Tx,
  carrierId: string,
  zones: readonly SumZone[],
  names: readonly (RecordName & { readonly side: number })[],
): Promise<void> {
  const calls = sql`(
    SELECT c.* FROM ${unnest("n", names, { side: "int2", ...RECORD_NAME })} JOIN call_result c
      ON c.carrier_id = ${carrierId} AND c.record_date = n.record_date AND c.record_id = n.record_id AND c.side = n.side
    WHERE c.phone_number IS NULL)`;
  await moveCalls(tx, carrierId, zones, calls, []);
}

// The lock waits for turns that go by an older history. Later turns read today's.
async function workOff(tx: Tx, carrierId: string, marks: readonly UsageMark[]): Promise<void> {
  const zones = await lockZonesAlone(tx, carrierId);
  const own = marks.filter(({ isPassedOn }) => !isPassedOn);
  for (const [other, spans] of await findOthersMarked(tx, carrierId, own)) await insertMarks(tx, other, spans, true);
  const numbers = marks.map(({ phoneNumber }) => phoneNumber);
  await moveCalls(tx, carrierId, zones, callsOf(carrierId, marks), numbers);
  await deleteMarks(tx, carrierId, marks);
}

async function isAnyUnfilled(tx: Tx, carrierId: string): Promise<boolean> {
  return readValue(tx)<boolean>`
    SELECT EXISTS (SELECT 1 FROM usage_zone WHERE carrier_id = ${carrierId} AND filled_from > ${instant(ALL_FILLED)})`;
}

async function fill(
  tx: Tx,
  carrierId: string,
  { zones, zone, stepCalls }: { zones: readonly SumZone[]; zone: SumZone; stepCalls: number },
): Promise<void> {
  await readInOrder(tx);
  const from = await readValue(tx)<Micros | undefined>`
    SELECT ${QUARTER} AS quarter FROM call_result r
    WHERE r.carrier_id = ${carrierId} AND r.start_time < ${instant(zone.filledFrom)}
    ORDER BY r.start_time DESC OFFSET ${stepCalls - 1} LIMIT 1`;
  const filledFrom = from ?? ALL_FILLED;
  const calls = callsIn(carrierId, { start: filledFrom, end: zone.filledFrom });
  // Calls from before there were sums have no customer yet.
  await moveCalls(tx, carrierId, zones, calls, await readNumbersOf(tx, calls));
  const come = await readRows(tx)<CallFigures>`${figuresOf(calls)}`;
  const filled = { ...zone, filledFrom };
  await moveSums(tx, carrierId, [filled], { come });
  await writeFilledFrom(tx, carrierId, filled);
}

/** A carrier's calls of numbers and spans. */
function callsOf(carrierId: string, spans: readonly NumberSpan[]): RawBuilder<unknown> {
  return sql`(
    SELECT c.* FROM ${unnestSpans(spans)} CROSS JOIN LATERAL (
      SELECT * FROM call_result f
      WHERE f.carrier_id = ${carrierId} AND f.phone_number = w.phone_number AND f.start_time >= w.start_time AND f.start_time < w.end_time
      OFFSET 0) c)`;
}

/** A carrier's calls of a time. */
export function callsIn(carrierId: string, range: { start: Micros; end: Micros }): RawBuilder<unknown> {
  return sql`(SELECT * FROM call_result c WHERE c.carrier_id = ${carrierId} AND ${inRange(sql`c.start_time`, range)} OFFSET 0)`;
}

/** The numbers of calls. */
export async function readNumbersOf(tx: Tx, calls: RawBuilder<unknown>): Promise<string[]> {
  return readColumn(tx)<string>`
    SELECT DISTINCT r.phone_number FROM ${calls} r WHERE r.phone_number IS NOT NULL`;
}

/** The customer under whom a call `r` of a holder `h` counts; without a number, who held it. */
const CUSTOMER = sql`
  CASE WHEN r.phone_number IS NOT NULL THEN h.customer_id WHEN r.customer_id IS NOT NULL THEN COALESCE(r.usage_customer_id, r.customer_id) END`;

/** The calls that are summed under another customer than held their numbers. */
export function staleOf(calls: RawBuilder<unknown>, holders: readonly Holder[]): RawBuilder<unknown> {
  const held = unnest<Holder>("h", holders, {
    phoneNumber: "text",
    customerId: "text",
    startTime: "timestamptz",
    endTime: "timestamptz",
  });
  return sql`
    SELECT r.record_date, r.record_id, r.side, r.phone_number, r.start_time, r.summed_customer_id AS was_customer_id, ${CUSTOMER} AS customer_id
    FROM ${calls} r LEFT JOIN ${held} ON h.phone_number = r.phone_number AND h.start_time <= r.start_time AND h.end_time > r.start_time
    WHERE r.summed_customer_id IS DISTINCT FROM ${CUSTOMER}`;
}

// Moves calls to the customers of today's history, and the sums of these zones with them.
async function moveCalls(
  tx: Tx,
  carrierId: string,
  zones: readonly SumZone[],
  calls: RawBuilder<unknown>,
  numbers: Iterable<string>,
): Promise<void> {
  const holders = await readHolders(tx, numbers);
  const rows = await readRows(tx)<CallFigures>`
    WITH stale AS MATERIALIZED (${staleOf(calls, holders)}), moved AS (
      UPDATE call_result r SET summed_customer_id = s.customer_id FROM stale s
      WHERE r.carrier_id = ${carrierId} AND r.record_date = s.record_date AND r.record_id = s.record_id AND r.side = s.side
      RETURNING s.was_customer_id, ${figureColumns("r")}
    ) ${figuresOf(sql`moved`, true)}`;
  const gone = rows.map((row) => ({ ...row, customerId: row.wasCustomerId }));
  await moveSums(tx, carrierId, zones, { gone, come: rows });
}

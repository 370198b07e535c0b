import { type RawBuilder, sql } from "kysely";
import type { RecordName } from "../../domain/matching/facts.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { inRange, instant, readColumn, readInOrder, readRows, readValue, type Tx, unnest } from "../database/run.ts";
import { RECORD_NAME } from "../reconciliation/reconcile-input.ts";
import { lockSumsAlone } from "../reconciliation/result-sums.ts";
import { fillSummary, isSummaryUnfilled } from "../reconciliation/summary-sums.ts";
import { type CallFigures, figureColumns, figuresOf, QUARTER } from "./call-figures.ts";
import { holderAt, readHolders } from "./number-holders.ts";
import {
  deleteMarks,
  findOthersMarked,
  insertMarks,
  type NumberSpan,
  readMarks,
  SPAN,
  shortenMark,
  type UsageMark,
  unnestSpans,
} from "./usage-marks.ts";
import { ALL_FILLED, lockZonesAlone, moveSums, type SumZone, writeFilledFrom } from "./usage-sums.ts";

/** Most marks of one step. */
const STEP_MARKS = 1_000;
/** About how many calls one step fills in. */
const STEP_CALLS = 20_000;

/**
 * One step of keeping a carrier's sums: works off marks of numbers, else fills a zone or the
 * summary further, from the newest calls to the oldest. In a system transaction.
 * @returns false: there was nothing to do.
 */
export async function keepSums(tx: Tx, carrierId: string, stepCalls = STEP_CALLS): Promise<boolean> {
  const marks = await readMarks(tx, carrierId, { limit: STEP_MARKS });
  if (marks.length > 0) {
    await workOff(tx, carrierId, marks, stepCalls);
    return true;
  }
  if (!(await isAnyUnfilled(tx, carrierId))) return false;
  const { zones, summarizedFrom } = await lockSumsAlone(tx, carrierId);
  const zone = zones.find(({ filledFrom }) => filledFrom > ALL_FILLED);
  if (!zone) return fillSummary(tx, carrierId, summarizedFrom, stepCalls);
  await fill(tx, carrierId, { zones, zone, stepCalls });
  return true;
}

/** Works off all that a carrier has of marks of a number: an erasure leaves no mark with it. */
export async function settleNumber(tx: Tx, carrierId: string, phoneNumber: string): Promise<void> {
  for (;;) {
    const marks = await readMarks(tx, carrierId, { phoneNumber, limit: STEP_MARKS });
    if (marks.length === 0) return;
    await workOff(tx, carrierId, marks, STEP_CALLS);
  }
}

/** Moves calls without a number to whoever held it, after an erasure took the number from them. */
export async function moveNamed(
  tx: Tx,
  carrierId: string,
  zones: readonly SumZone[],
  names: readonly (RecordName & { readonly side: number })[],
): Promise<void> {
  const calls = sql`(
    SELECT c.* FROM ${unnest("n", names, NAME)} JOIN call_result c
      ON c.carrier_id = ${carrierId} AND c.record_date = n.record_date AND c.record_id = n.record_id AND c.side = n.side
    WHERE c.phone_number IS NULL)`;
  await moveCalls(tx, carrierId, zones, calls);
}

const NAME = { side: "int2", ...RECORD_NAME } as const;

// The lock waits for turns that go by an older history. Later turns read today's.
async function workOff(tx: Tx, carrierId: string, marks: readonly UsageMark[], stepCalls: number): Promise<void> {
  const zones = await lockZonesAlone(tx, carrierId);
  const { whole, cut } = await chooseMarks(tx, carrierId, marks, stepCalls);
  const chosen = cut ? [cut] : whole;
  const own = chosen.filter(({ isPassedOn }) => !isPassedOn);
  for (const [other, spans] of await findOthersMarked(tx, carrierId, own)) await insertMarks(tx, other, spans, true);
  await moveCalls(tx, carrierId, zones, callsOf(carrierId, chosen));
  if (cut) await shortenMark(tx, carrierId, cut);
  else await deleteMarks(tx, carrierId, whole);
}

// As many as have the calls of a step together, else the beginning of one.
async function chooseMarks(
  tx: Tx,
  carrierId: string,
  marks: readonly UsageMark[],
  stepCalls: number,
): Promise<{ whole: UsageMark[]; cut?: UsageMark }> {
  const counts = await countCalls(tx, carrierId, marks, stepCalls + 1);
  let sum = 0;
  const whole = marks.filter((_, index) => {
    sum += counts[index] ?? 0;
    return sum <= stepCalls;
  });
  const [first] = marks;
  if (whole.length > 0 || !first) return { whole };
  const endTime = await readValue(tx)<Micros | undefined>`
    SELECT r.start_time FROM ${callsOf(carrierId, [first])} r WHERE r.start_time > ${instant(first.startTime)}
    ORDER BY r.start_time OFFSET ${stepCalls - 1} LIMIT 1`;
  return endTime === undefined ? { whole: [first] } : { whole, cut: { ...first, endTime } };
}

/** How many calls spans have, each at most `most`. */
async function countCalls(
  tx: Tx,
  carrierId: string,
  spans: readonly NumberSpan[],
  most: number,
): Promise<readonly number[]> {
  const rows = spans.map((span, position) => ({ ...span, position }));
  return readColumn(tx)<number>`
    SELECT c.count FROM ${unnest("w", rows, { ...SPAN, position: "int4" })} CROSS JOIN LATERAL (
      SELECT count(*)::int4 AS count FROM (
        SELECT 1 FROM call_result f
        WHERE f.carrier_id = ${carrierId} AND f.phone_number = w.phone_number AND f.start_time >= w.start_time AND f.start_time < w.end_time
        LIMIT ${most}) n) c
    ORDER BY w.position`;
}

/** The condition that a carrier's sums are to be moved or filled. */
export function hasSumWork(carrierId: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`(EXISTS (SELECT 1 FROM usage_mark k WHERE k.carrier_id = ${carrierId}) OR ${isUnfilled(carrierId)})`;
}

function isUnfilled(carrierId: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql<boolean>`(EXISTS (SELECT 1 FROM usage_zone z WHERE z.carrier_id = ${carrierId} AND z.filled_from > ${instant(ALL_FILLED)})
    OR ${isSummaryUnfilled(carrierId)})`;
}

async function isAnyUnfilled(tx: Tx, carrierId: string): Promise<boolean> {
  return readValue(tx)<boolean>`SELECT ${isUnfilled(sql`${carrierId}`)} AS is_unfilled`;
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
  await moveCalls(tx, carrierId, zones, calls);
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

/** A call that is summed under another customer than held its number. */
export interface StaleCall extends RecordName {
  readonly side: number;
  readonly phoneNumber: string | undefined;
  readonly startTime: Micros;
  readonly wasCustomerId: string | undefined;
  readonly customerId: string | undefined;
}

/** Finds such calls by today's history. One without a number counts for whoever held it. */
export async function findStale(tx: Tx, calls: RawBuilder<unknown>): Promise<StaleCall[]> {
  const rows = await readRows(tx)<StaleCall>`
    SELECT r.record_date, r.record_id, r.side, r.phone_number, r.start_time, r.summed_customer_id AS was_customer_id,
      CASE WHEN r.phone_number IS NULL AND r.customer_id IS NOT NULL THEN COALESCE(r.usage_customer_id, r.customer_id) END AS customer_id
    FROM ${calls} r`;
  const numbers = rows.flatMap(({ phoneNumber }) => phoneNumber ?? []);
  const holders = Map.groupBy(await readHolders(tx, numbers), ({ phoneNumber }) => phoneNumber);
  return rows
    .map((row) => ({ ...row, customerId: row.customerId ?? holderAt(holders, row.phoneNumber, row.startTime) }))
    .filter(({ customerId, wasCustomerId }) => customerId !== wasCustomerId);
}

// Moves calls to the customers of today's history, and the sums of these zones with them.
async function moveCalls(
  tx: Tx,
  carrierId: string,
  zones: readonly SumZone[],
  calls: RawBuilder<unknown>,
): Promise<void> {
  const stale = await findStale(tx, calls);
  if (stale.length === 0) return;
  const come = await readRows(tx)<CallFigures>`
    WITH moved AS (
      UPDATE call_result r SET summed_customer_id = n.customer_id
      FROM ${unnest<StaleCall>("n", stale, { ...NAME, customerId: "text", wasCustomerId: "text" })}
      WHERE r.carrier_id = ${carrierId} AND r.record_date = n.record_date AND r.record_id = n.record_id AND r.side = n.side
      RETURNING n.was_customer_id, ${figureColumns("r")}
    ) ${figuresOf(sql`moved`, true)}`;
  const gone = come.map((row) => ({ ...row, customerId: row.wasCustomerId }));
  await moveSums(tx, carrierId, zones, { gone, come });
}

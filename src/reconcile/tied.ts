import type { CallResult } from "../domain/matching/result.ts";
import { CARRIER_SIDE } from "../domain/record-kind.ts";
import { type Micros, msFromMicros } from "../domain/time/instant.ts";
import { MatchedBy } from "../gen/tandem/type/v1/discrepancy_pb.js";
import { type Tx, together } from "../store/database/run.ts";
import type { CallResultRow } from "../store/reconciliation/call-result-columns.ts";
import { readDurationStarts } from "../store/reconciliation/reconcile-input.ts";
import { hasIds } from "./call-keys.ts";
import { findHolders, identityOf, isFresh } from "./far-counterparts.ts";
import { nameText } from "./result-row.ts";
import { minuteOf } from "./window.ts";

/**
 * Returns the minutes that must be matched in this turn because a stored result links their records
 * to ours. Judged in different turns, a record could end up in two results or in none. Looks for
 * each record once.
 */
export async function findTied(
  tx: Tx,
  carrierId: string,
  { judged, rows, offsets, sought }: TiedSearch,
): Promise<Micros[]> {
  const isIn = new Set(judged.flatMap(({ result }) => result.carrier.map(refText)));
  const names = judged.flatMap(({ name, result }) => [
    name,
    ...result.carrier.map((record) => nameText({ ...record, side: CARRIER_SIDE })),
  ]);
  const released = names.flatMap((name) => {
    const row = rows.get(name);
    return row === undefined || row.isMerged ? [] : row.carrierRecords.filter((record) => !isIn.has(refText(record)));
  });
  const alone = judged.flatMap(({ result }) => (result.platform ? [] : [result]));
  const joined = judged.flatMap(({ name, result }) => {
    const before = new Set(rows.get(name)?.carrierRecords.map(refText));
    return mayBeOfAnother(result) && result.carrier.some((record) => !before.has(refText(record))) ? [result] : [];
  });
  // Stored results that hold a record which an id now gives to a call here.
  const isJudged = new Set(judged.map(({ name }) => name));
  const losing = [...rows].filter(([name, row]) => {
    const isElsewhere = row.isMerged || isJudged.has(name) || (row.side === CARRIER_SIDE && isIn.has(refText(row)));
    return !isElsewhere && row.carrierRecords.some((record) => isIn.has(refText(record)));
  });
  const isNew = (purpose: string, text: string) => isFresh(sought, `${purpose}/${text}`);
  const [starts, holders] = await together([
    readDurationStarts(
      tx,
      carrierId,
      released.filter((record) => isNew("released", refText(record))),
    ),
    findHolders(
      tx,
      carrierId,
      alone.filter((result) => isNew("held", identityOf(result))),
      joined.filter((result) => isNew("held", identityOf(result))),
    ),
  ]);
  const corrected = starts.flatMap((start) => [0, ...offsets].map((offset) => minuteOf(msFromMicros(start) - offset)));
  const lost = losing.flatMap(([name, row]) => (isNew("losing", name) ? [row.startTime] : []));
  const named = [...holders.map(({ startTime }) => startTime), ...lost];
  return [...corrected, ...named.map((start) => minuteOf(msFromMicros(start)))];
}

// An id or an echo outweighs numbers, so the carrier's record may belong to a call far away.
function mayBeOfAnother({ platform, carrier: [record], matchedBy }: CallResult): boolean {
  if (platform === undefined || record === undefined) return false;
  if (matchedBy !== MatchedBy.NUMBERS_AND_TIME && matchedBy !== MatchedBy.ECHOED) return false;
  return record.echoedRecordId !== undefined || hasIds(record.ids);
}

interface TiedSearch {
  readonly judged: readonly { result: CallResult; name: string }[];
  readonly rows: ReadonlyMap<string, CallResultRow>;
  /** Which of these offsets applies to a record shows when it is read. */
  readonly offsets: readonly number[];
  readonly sought: Set<string>;
}

function refText({ recordDate, recordId }: { recordDate: string; recordId: string }): string {
  return `${recordDate}/${recordId}`;
}

import { recordText } from "../../domain/matching/facts.ts";
import type { CallResult } from "../../domain/matching/result.ts";
import { CARRIER_SIDE } from "../../domain/record-kind.ts";
import { type Micros, msFromMicros } from "../../domain/time/instant.ts";
import { MatchedBy } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { type Tx, together } from "../../store/database/run.ts";
import type { CallResultRow } from "../../store/reconciliation/call-result-columns.ts";
import { hasIds } from "../call-keys.ts";
import type { CarrierVotes } from "../clocks/carrier-votes.ts";
import type { LoneRow } from "../lone-calls.ts";
import { nameText } from "../result-row.ts";
import { minuteOf } from "../spans.ts";
import { readPossibleStarts } from "./possible-starts.ts";
import { findHolders, identityOf, type Sought } from "./stored-holders.ts";

interface TiedSearch {
  readonly judged: readonly { result: CallResult; name: string }[];
  /** Lone pairs without a result. */
  readonly lone: readonly LoneRow[];
  readonly rows: ReadonlyMap<string, CallResultRow>;
  readonly votes: CarrierVotes;
  readonly sought: Sought;
}

/**
 * Returns the minutes that this turn must match too, because a stored result links their records to
 * ours. In different turns a record could end up in two results or in none. Looks for each record
 * once.
 */
export async function findTied(
  tx: Tx,
  carrierId: string,
  { judged, lone, rows, votes, sought }: TiedSearch,
): Promise<Micros[]> {
  const isHere = new Set(judged.flatMap(({ result }) => result.carrier.map(recordText)));
  const names = judged.flatMap(({ name, result }) => [
    name,
    ...result.carrier.map((record) => nameText({ ...record, side: CARRIER_SIDE })),
  ]);
  const released = names.flatMap((name) => {
    const row = rows.get(name);
    return row === undefined || row.isMerged
      ? []
      : row.carrierRecords.filter((record) => !isHere.has(recordText(record)));
  });
  const alone = judged.flatMap(({ result }) => (result.platform ? [] : [result]));
  const joined = judged.flatMap(({ name, result }) => {
    const before = new Set(rows.get(name)?.carrierRecords.map(recordText));
    return mayBeOfAnother(result) && result.carrier.some((record) => !before.has(recordText(record))) ? [result] : [];
  });
  // Stored results with a record that an id now gives to a call here.
  const isJudged = new Set(judged.map(({ name }) => name));
  const losing = [...rows].filter(([name, row]) => {
    const isElsewhere =
      row.isMerged || isJudged.has(name) || (row.side === CARRIER_SIDE && isHere.has(recordText(row)));
    return !isElsewhere && row.carrierRecords.some((record) => isHere.has(recordText(record)));
  });
  const ofLone = lone.flatMap(({ pair }) =>
    mayBeOfAnother({ ...pair, carrier: [pair.carrier], matchedBy: pair.by }) ? [pair.carrier] : [],
  );
  const recordsOf = (results: readonly CallResult[]) =>
    sought.fresh("held", results, identityOf).flatMap(({ carrier }) => carrier);
  const [starts, holders] = await together([
    readPossibleStarts(tx, carrierId, sought.fresh("released", released, recordText), votes),
    findHolders(tx, carrierId, recordsOf(alone), [...recordsOf(joined), ...sought.fresh("lone", ofLone, recordText)]),
  ]);
  const lost = sought.fresh("losing", losing, ([name]) => name).map(([, row]) => row);
  return [...starts, ...[...holders, ...lost].map(({ startTime }) => msFromMicros(startTime))].map(minuteOf);
}

type Joined = Pick<CallResult, "platform" | "carrier" | "matchedBy">;

// An id or echo outweighs numbers, so the record may belong to a call far away.
function mayBeOfAnother({ platform, carrier: [record], matchedBy }: Joined): boolean {
  if (platform === undefined || record === undefined) return false;
  if (matchedBy !== MatchedBy.NUMBERS_AND_TIME && matchedBy !== MatchedBy.ECHOED) return false;
  return record.echoedRecordId !== undefined || hasIds(record.ids);
}

import { FeedId } from "../domain/feed-id.ts";
import { HOUR_MS, MINUTE_MS, type Micros, microsFromMs, msFromMicros } from "../domain/time/instant.ts";
import type { Tx } from "../store/database/run.ts";
import { advanceFeed, lockFeed } from "../store/feeds/feed-head.ts";
import type { CallResultRow } from "../store/reconciliation/call-result-columns.ts";
import { clearDueTimes, deleteResults, writeResults } from "../store/reconciliation/call-results.ts";
import {
  readClockMinutes,
  readRoundedMinutes,
  writeClockVotes,
  writeRoundingVotes,
} from "../store/reconciliation/clock-offsets.ts";
import { appendDiscrepancies } from "../store/reconciliation/discrepancies.ts";
import { insertPairs } from "../store/reconciliation/pair-results.ts";
import { clearMinutes, type MarkedMinutes, markMinutes } from "../store/reconciliation/reconcile-progress.ts";
import type { Reconciled } from "./carrier.ts";
import type { CarrierVotes } from "./clocks/carrier-votes.ts";
import { renewEvidence } from "./clocks/renew-evidence.ts";
import { edgesOf, NEIGHBOUR_MS } from "./match-whole.ts";
import { type Changes, findChanges, isTold, logChanges, untoldRow } from "./result-log.ts";
import { nameText } from "./result-row.ts";
import { type Settled, settleTurn, spansOfMinutes } from "./settle-turn.ts";
import { isIn, minuteOf } from "./spans.ts";
import { TurnRecords } from "./turn-records.ts";
import type { Claim } from "./zones.ts";

export interface TurnOutcome {
  /** Results that were judged, and written. */
  judged: number;
  written: number;
  /** Undefined: the feed gained no entry. */
  headSequence: bigint | undefined;
}

/**
 * Runs one turn in the caller's transaction, which holds the leases of the minutes' zones. It takes
 * those of further zones with `claim`. Its phases:
 *
 * 1. Renew the evidence on the carrier's clock.
 * 2. Settle: match the calls of the marked minutes, with every record that a result depends on,
 *    until the pairs show the offsets and rules that they were judged by.
 * 3. Write the votes and results that changed, and clear what was worked off.
 * 4. Tell of results in the discrepancy feed. Other workers wait for its counter from here on.
 * 5. Mark what follows for other minutes in the next round.
 */
export async function reconcileMinutes(
  tx: Tx,
  carrier: Reconciled,
  { minutes, round }: MarkedMinutes,
  { now, claim }: { now: Micros; claim: Claim },
): Promise<TurnOutcome> {
  const { carrierId } = carrier;
  const marked = spansOfMinutes(minutes);
  const records = new TurnRecords(tx, carrier);
  const heard = await renewEvidence(tx, carrierId, { records, base: marked });
  const settled = await settleTurn(tx, carrier, { marked, records, heard, now, claim });
  await writeVotes(tx, carrierId, settled.votes);
  await clearDueTimes(tx, carrierId, findOrphans(settled, now));
  await clearMinutes(tx, carrierId, minutes);
  const told = await writeChanges(tx, carrierId, settled, now);
  await markMinutes(tx, carrierId, await consequencesOf(tx, carrierId, settled), round + 1);
  return { judged: settled.judgedCount, ...told };
}

async function writeChanges(
  tx: Tx,
  carrierId: string,
  { judged, lone, rows }: Settled,
  now: Micros,
): Promise<Pick<TurnOutcome, "written" | "headSequence">> {
  const changes = findChanges(judged, rows);
  const [told, untold] = [changes.changed.filter(isTold), changes.changed.filter((change) => !isTold(change))];
  const pairs = lone.map(({ row }) => row);
  await insertPairs(tx, carrierId, pairs, now);
  await deleteResults(tx, carrierId, changes.deleted);
  await writeResults(tx, carrierId, { results: untold.map(untoldRow), changed: beforeOf(untold) }, now);
  const written = untold.length + lone.length;
  if (told.length === 0 && changes.merged.length === 0) return { written, headSequence: undefined };
  const lock = await lockFeed(tx, carrierId, FeedId.DISCREPANCIES);
  const { rows: toldRows, entries } = logChanges(carrierId, { told, merged: changes.merged }, lock);
  const changed = [...beforeOf(told), ...changes.merged.map(({ row }) => row)];
  await writeResults(tx, carrierId, { results: toldRows, changed }, lock.ingestTime);
  const nextSequence = lock.nextSequence + BigInt(entries.length);
  await appendDiscrepancies(tx, carrierId, lock, entries);
  await advanceFeed(tx, carrierId, FeedId.DISCREPANCIES, nextSequence);
  return { written: written + toldRows.length, headSequence: nextSequence - 1n };
}

function beforeOf(changed: Changes["changed"]): CallResultRow[] {
  return changed.flatMap(({ before }) => before ?? []);
}

async function writeVotes(tx: Tx, carrierId: string, votes: CarrierVotes): Promise<void> {
  const { clock, rounding } = votes.changes();
  await writeClockVotes(tx, carrierId, clock);
  await writeRoundingVotes(tx, carrierId, rounding);
}

// Due rows whose records are gone or moved.
function findOrphans({ judged, rows, base }: Settled, now: Micros): CallResultRow[] {
  const names = new Set(judged.map(({ name }) => name));
  const isDue = ({ dueTime }: CallResultRow) => dueTime !== undefined && dueTime <= now;
  return [...rows.values()].filter(
    (row) => isDue(row) && isIn(base, msFromMicros(row.startTime)) && !names.has(nameText(row)),
  );
}

// Minutes that were matched with other votes than those of now, those beside a crowd, and tied ones
// that were not taken in.
async function consequencesOf(tx: Tx, carrierId: string, settled: Settled): Promise<Micros[]> {
  const { stored, used, votes, base, leftTied } = settled;
  const isElsewhere = (minute: Micros) => !isIn(base, msFromMicros(minute));
  return [
    ...(await minutesOfChange(tx, carrierId, stored, used)).filter(isElsewhere),
    ...(await minutesOfChange(tx, carrierId, used, votes)),
    ...crowdEdges(settled).filter(isElsewhere),
    ...leftTied,
  ];
}

// Minutes beside new records of a crowd, whose calls may be affected.
function crowdEdges({ judged, rows, window, used }: Settled): Micros[] {
  const reach = Math.ceil(NEIGHBOUR_MS / MINUTE_MS);
  return judged.flatMap(({ name, row, result }) => {
    const before = rows.get(name);
    if (result.candidateCount === undefined || (before?.status === row.status && !before.isMerged)) return [];
    return edgesOf(result, window, used).flatMap((ms) =>
      Array.from({ length: 2 * reach + 1 }, (_, index) => minuteOf(ms + (index - reach) * MINUTE_MS)),
    );
  });
}

// Minutes whose offset or rule changed. Those without a result are marked anyway.
async function minutesOfChange(
  tx: Tx,
  carrierId: string,
  before: CarrierVotes,
  after: CarrierVotes,
): Promise<Micros[]> {
  const [was, is] = [before.decisions(), after.decisions()];
  const hours = changed(was.hours, is.hours, ({ offsets }) => offsets.join()).flatMap(([first, ...others]) => {
    const { trunkId, hourMs } = first;
    const hour = microsFromMs(hourMs);
    return [...new Set([0, ...[first, ...others].flatMap(({ offsets }) => offsets)])].map((offsetMs) => {
      const startMs = hourMs - offsetMs;
      const calls = { start: microsFromMs(startMs - MINUTE_MS), end: microsFromMs(startMs + HOUR_MS + MINUTE_MS) };
      return { trunkId, hour, calls };
    });
  });
  const minutes = new Set(await readClockMinutes(tx, carrierId, hours));
  for (const [{ trunkId, day }] of changed(was.days, is.days, ({ rule }) => rule)) {
    for (const minute of await readRoundedMinutes(tx, carrierId, { trunkId, day })) minutes.add(minute);
  }
  return [...minutes];
}

/** What is decided otherwise, by both decisions if there are two. */
function changed<T>(was: ReadonlyMap<string, T>, is: ReadonlyMap<string, T>, textOf: (decision: T) => string) {
  return [...new Set([...was.keys(), ...is.keys()])].flatMap((key): [T, ...T[]][] => {
    const [first, ...others] = [was.get(key), is.get(key)].filter((decision) => decision !== undefined);
    const isSame = others.some((other) => first !== undefined && textOf(first) === textOf(other));
    return first === undefined || isSame ? [] : [[first, ...others]];
  });
}

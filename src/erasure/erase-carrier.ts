import type { FeedId } from "../domain/feed-id.ts";
import { CDR, PLATFORM_SIDE, RECORD_KINDS, type RecordKind } from "../domain/record-kind.ts";
import { type Micros, microsFromMs } from "../domain/time/instant.ts";
import { RecordPart } from "../gen/tandem/type/v1/agreement_pb.js";
import type { Tx } from "../store/database/run.ts";
import {
  type BatchPlace,
  eraseBatchHashes,
  findNextStart,
  findRecordsOf,
  findTimelessRecordsOf,
  type RecordName,
} from "../store/privacy/erase-calls.ts";
import { findResultsOf, type ResultPlace } from "../store/privacy/erase-results.ts";
import { type ErasureAtCarrier, readErasureCarrier, writeErasureCarrier } from "../store/privacy/erasures.ts";
import type { CarrierErasure, CarrierRun } from "./carrier-run.ts";
import { eraseCalls, gatherCalls, type Seeds } from "./erase-calls.ts";
import { eraseCopies } from "./erase-copies.ts";
import { eraseLogs } from "./erase-logs.ts";
import { eraseNumbers } from "./erase-numbers.ts";
import { eraseUsage } from "./erase-usage.ts";
import { addCounts } from "./erased-counts.ts";
import { lookAgainAt } from "./look-again.ts";

/** Records of one transaction. */
const PAGE = 200;
/** Upload batches of one transaction, each with up to 16 KiB of hashes. */
const BATCHES = 200;
/** Span of one statement. */
const SLICE: Micros = 86_400_000_000n;

/**
 * Erases a number from everything kept of one carrier, step by step, each in its own transaction.
 * It may stop anywhere and begin again: what is erased is not found again.
 */
export async function eraseAtCarrier(run: CarrierRun): Promise<void> {
  const began = performance.now();
  const hashes = new Set<bigint>();
  // Upload hashes come first: they are found by the records' hashes.
  await eachPage(run, async (tx, seeds) => {
    const found = await gatherCalls(tx, run, seeds);
    for (const { contentHash } of [...found.platform, ...found.carrier])
      if (contentHash !== 0n) hashes.add(contentHash);
  });
  await eraseUploadedHashes(run, hashes);
  await eachPage(run, async (tx, seeds) => {
    const found = await gatherCalls(tx, run, seeds);
    if (found.platform.length + found.carrier.length + found.results.length === 0) return undefined;
    const at = await readErasureCarrier(tx, run.scope.erasureId, run.carrierId);
    const heads = await eraseCalls(tx, run, found, at);
    await writeErasureCarrier(tx, run.scope.erasureId, at);
    return heads;
  });
  await eraseResultsAlone(run);
  await eraseCopies(run);
  await eraseUsage(run);
  await eraseNumbers(run);
  await eraseLogs(run);
  const took = microsFromMs(Math.ceil(performance.now() - began));
  await run.transact(async (tx) => {
    const at = await readErasureCarrier(tx, run.scope.erasureId, run.carrierId);
    await writeErasureCarrier(tx, run.scope.erasureId, {
      ...at,
      isDone: true,
      exceptions: run.exceptions.list(),
      lookTime: lookAgainAt(run.exceptions, { ended: run.now + took, took }),
    });
  });
}

/** Counts the records that an erasure would rewrite; writes nothing. */
export async function forecastAtCarrier(run: CarrierRun, at: ErasureAtCarrier): Promise<void> {
  const names = new Set<string>();
  await eachPage(run, async (tx, seeds) => {
    const found = await gatherCalls(tx, run, seeds);
    const sides = [
      { part: RecordPart.CALL, records: found.platform },
      { part: RecordPart.DURATION, records: found.carrier },
    ];
    for (const { part, records } of sides) {
      for (const { recordId, recordDate, revision } of records) {
        const isNew = !names.has(`${part}/${recordDate}/${recordId}`);
        const isOther = !names.has(`${part}/${recordDate}/${recordId}/${revision}`);
        names.add(`${part}/${recordDate}/${recordId}`).add(`${part}/${recordDate}/${recordId}/${revision}`);
        addCounts(at, part, { records: isNew ? 1 : 0, hashes: isOther ? 1 : 0 });
      }
    }
  });
  at.exceptions = run.exceptions.list();
}

// One side after the other; no call is found twice.
async function eachPage(
  run: CarrierRun,
  work: (tx: Tx, seeds: Seeds) => Promise<Map<FeedId, bigint> | undefined | undefined>,
): Promise<void> {
  for (const kind of RECORD_KINDS) {
    const asSeeds = (names: readonly RecordName[], { start, end }: { start: Micros; end: Micros }): Seeds =>
      kind === CDR ? { platform: names, carrier: [], start, end } : { platform: [], carrier: names, start, end };
    for await (const slice of slicesOf(run, kind)) {
      let after = 0n;
      for (let isMore = true; isMore; ) {
        run.signal.throwIfAborted();
        const heads = await run.transact(async (tx) => {
          const search = { ...searchOf(run), ...slice };
          const page = await findRecordsOf(tx, kind, run.carrierId, search, { after, limit: PAGE });
          isMore = page.length === PAGE;
          after = page.at(-1)?.sequence ?? after;
          return page.length > 0 ? work(tx, asSeeds(page, slice)) : undefined;
        });
        tell(run, heads);
      }
    }
    let after = 0n;
    for (let isMore = true; isMore; ) {
      run.signal.throwIfAborted();
      const heads = await run.transact(async (tx) => {
        const page = await findTimelessRecordsOf(tx, kind, run.carrierId, searchOf(run), { after, limit: PAGE });
        isMore = page.length === PAGE;
        after = page.at(-1)?.sequence ?? after;
        return page.length > 0 ? work(tx, asSeeds(page, run.scope)) : undefined;
      });
      tell(run, heads);
    }
  }
}

function tell({ onAppended }: CarrierRun, heads: Map<FeedId, bigint> | undefined | undefined): void {
  for (const [feed, head] of heads ?? []) onAppended(feed, head);
}

function searchOf({ scope }: CarrierErasure) {
  const { number, start, end } = scope;
  return { forms: number.forms, pattern: number.pattern, start, end };
}

// The days of the period that have records.
async function* slicesOf(run: CarrierRun, of: RecordKind | "result"): AsyncGenerator<{ start: Micros; end: Micros }> {
  const { end } = run.scope;
  let from = run.scope.start;
  while (from < end) {
    run.signal.throwIfAborted();
    const start = await run.transact((tx) => findNextStart(tx, of, run.carrierId, { start: from, end }));
    if (start === undefined) return;
    from = start + SLICE < end ? start + SLICE : end;
    yield { start, end: from };
  }
}

async function eraseUploadedHashes(run: CarrierRun, hashes: ReadonlySet<bigint>): Promise<void> {
  if (hashes.size === 0) return;
  let after: BatchPlace | undefined;
  do {
    run.signal.throwIfAborted();
    after = await run.transact(async (tx) => {
      const page = await eraseBatchHashes(tx, run.carrierId, hashes, { after, limit: BATCHES });
      if (page.erased > 0) {
        const at = await readErasureCarrier(tx, run.scope.erasureId, run.carrierId);
        addCounts(at, RecordPart.CALL, { hashes: page.erased });
        await writeErasureCarrier(tx, run.scope.erasureId, at);
      }
      return page.last;
    });
  } while (after);
}

// Results whose records are past their retention are kept longer.
async function eraseResultsAlone(run: CarrierRun): Promise<void> {
  for await (const slice of slicesOf(run, "result")) await eraseResultsIn(run, slice);
}

async function eraseResultsIn(run: CarrierRun, slice: { start: Micros; end: Micros }): Promise<void> {
  let after: ResultPlace | undefined;
  for (let isMore = true; isMore; ) {
    run.signal.throwIfAborted();
    const heads = await run.transact(async (tx) => {
      const found = await findResultsOf(tx, run.carrierId, { ...searchOf(run), ...slice }, { after, limit: PAGE });
      isMore = found.length === PAGE;
      after = found.at(-1);
      const seeds = {
        platform: found.filter(({ side }) => side === PLATFORM_SIDE),
        carrier: found.flatMap(({ carrierRecords }) => carrierRecords),
        ...slice,
      };
      const gathered = await gatherCalls(tx, run, seeds);
      if (gathered.results.length === 0) return undefined;
      const at = await readErasureCarrier(tx, run.scope.erasureId, run.carrierId);
      const done = await eraseCalls(tx, run, gathered, at);
      await writeErasureCarrier(tx, run.scope.erasureId, at);
      return done;
    });
    tell(run, heads);
  }
}

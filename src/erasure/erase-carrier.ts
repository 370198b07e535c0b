import { ERASED_HASH } from "../domain/privacy/erasure.ts";
import { RECORD_KINDS, type RecordKind } from "../domain/record-kind.ts";
import { DAY, earlier, microsFromMs } from "../domain/time/instant.ts";
import { RecordPart } from "../gen/tandem/type/v1/agreement_pb.js";
import type { Tx } from "../store/database/run.ts";
import {
  type FoundRecord,
  findBatches,
  findNextStart,
  findRecordsOf,
  rewriteBatch,
  type UploadBatch,
} from "../store/privacy/erase-calls.ts";
import { findResultsOf, type StoredResult } from "../store/privacy/erase-results.ts";
import type { ErasureAtCarrier } from "../store/privacy/erasures.ts";
import { type CarrierRun, eachPage, type NewHeads, searchOf, writeReceipt } from "./carrier-run.ts";
import { eraseCalls, gatherCalls } from "./erase-calls.ts";
import { eraseCopies } from "./erase-copies.ts";
import { eraseLogs } from "./erase-logs.ts";
import { eraseNumbers } from "./erase-numbers.ts";
import { eraseUsage } from "./erase-usage.ts";
import { addCounts } from "./erased-counts.ts";
import { type FoundCalls, namesIn } from "./kept-calls.ts";
import { lookAgainAt } from "./look-again.ts";

/** Erases a number at one carrier, each step in its own transaction. Safe to stop and repeat. */
export async function eraseAtCarrier(run: CarrierRun): Promise<void> {
  const began = performance.now();
  const hashes = new Set<bigint>();
  // Upload hashes come first: they are found by the records' hashes.
  await eachCall(run, async (_, { records }) => {
    for (const { contentHash } of records) if (contentHash !== ERASED_HASH) hashes.add(contentHash);
  });
  if (hashes.size > 0) await eraseUploadedHashes(run, hashes);
  await eachCall(run, async (tx, found) => {
    if (found.records.length + found.results.length === 0) return undefined;
    return writeReceipt(tx, run, (at) => eraseCalls(tx, run, found, at));
  });
  await eraseResultsAlone(run);
  await eraseCopies(run);
  await eraseUsage(run);
  await eraseNumbers(run);
  await eraseLogs(run);
  const took = microsFromMs(Math.ceil(performance.now() - began));
  await run.transact((tx) =>
    writeReceipt(tx, run, async (at) => {
      at.isDone = true;
      at.exceptions = run.exceptions.list();
      at.lookTime = lookAgainAt(run.exceptions, { ended: run.now + took, took });
    }),
  );
}

/** Counts the records that an erasure would rewrite; writes nothing. */
export async function forecastAtCarrier(run: CarrierRun, at: ErasureAtCarrier): Promise<void> {
  const names = new Set<string>();
  await eachCall(run, async (_, { records }) => {
    for (const { kind, recordId, recordDate, revision } of records) {
      const name = `${kind.part}/${recordDate}/${recordId}`;
      const isNew = !names.has(name);
      const isOther = !names.has(`${name}/${revision}`);
      names.add(name).add(`${name}/${revision}`);
      addCounts(at, kind.part, { records: isNew ? 1 : 0, hashes: isOther ? 1 : 0 });
    }
  });
  at.exceptions = run.exceptions.list();
}

type Span = Pick<CarrierRun["scope"], "start" | "end">;

// One side after the other; no call is found twice.
async function eachCall(
  run: CarrierRun,
  work: (tx: Tx, found: FoundCalls) => Promise<NewHeads | undefined>,
): Promise<void> {
  for (const kind of RECORD_KINDS) {
    const ofSpan = (span: Span, areTimeless: boolean) =>
      eachPage<FoundRecord>(
        run,
        (tx, page) => findRecordsOf(tx, kind, run.carrierId, { ...searchOf(run), ...span }, { ...page, areTimeless }),
        async (tx, found) => {
          const names = found.map(({ recordId, recordDate }) => ({ side: kind.side, recordId, recordDate }));
          return work(tx, await gatherCalls(tx, run, { names, ...span }));
        },
      );
    for await (const slice of slicesOf(run, kind)) await ofSpan(slice, false);
    await ofSpan(run.scope, true);
  }
}

// The days of the period that have records.
async function* slicesOf(run: CarrierRun, of: RecordKind | "result"): AsyncGenerator<Span> {
  const { end } = run.scope;
  let from = run.scope.start;
  while (from < end) {
    run.signal.throwIfAborted();
    const start = await run.transact((tx) => findNextStart(tx, of, run.carrierId, { start: from, end }));
    if (start === undefined) return;
    from = earlier(start + DAY, end);
    yield { start, end: from };
  }
}

async function eraseUploadedHashes(run: CarrierRun, hashes: ReadonlySet<bigint>): Promise<void> {
  await eachPage<UploadBatch>(
    run,
    (tx, page) => findBatches(tx, run.carrierId, page),
    async (tx, batches) => {
      let erased = 0;
      for (const batch of batches) {
        const found = zeroHashes(batch.hashes, hashes);
        if (found > 0) await rewriteBatch(tx, run.carrierId, batch);
        erased += found;
      }
      if (erased > 0) await writeReceipt(tx, run, async (at) => addCounts(at, RecordPart.CALL, { hashes: erased }));
    },
  );
}

function zeroHashes(bytes: Buffer, hashes: ReadonlySet<bigint>): number {
  let erased = 0;
  for (let at = 0; at + 8 <= bytes.length; at += 8) {
    if (!hashes.has(bytes.readBigInt64BE(at))) continue;
    bytes.writeBigInt64BE(ERASED_HASH, at);
    erased++;
  }
  return erased;
}

// Results are kept longer than their records.
async function eraseResultsAlone(run: CarrierRun): Promise<void> {
  for await (const slice of slicesOf(run, "result"))
    await eachPage<StoredResult>(
      run,
      (tx, page) => findResultsOf(tx, run.carrierId, { ...searchOf(run), ...slice }, page),
      async (tx, results) => {
        const found = await gatherCalls(tx, run, { names: results.flatMap(namesIn), ...slice });
        if (found.results.length === 0) return undefined;
        return writeReceipt(tx, run, (at) => eraseCalls(tx, run, found, at));
      },
    );
}

import { isInScope } from "../domain/privacy/erasure.ts";
import { RECORD_KINDS } from "../domain/record-kind.ts";
import type { Tx } from "../store/database/run.ts";
import {
  findHeldOf,
  findQuarantinedOf,
  findRejectsOf,
  type HeldCopy,
  type QuarantinedRecord,
  rewriteHeld,
  rewriteQuarantined,
  rewriteReject,
  type StoredReject,
} from "../store/privacy/erase-copies.ts";
import { raiseGeneration } from "../store/privacy/erasures.ts";
import { type CarrierRun, eachPage, searchOf, writeReceipt } from "./carrier-run.ts";
import { addCounts } from "./erased-counts.ts";
import { recordWithout } from "./erased-record.ts";
import { keeps } from "./kept-calls.ts";
import { eraseRecord } from "./messages-codec.ts";
import { withoutNumber } from "./rejects.ts";

interface CopyTable<Row, Erased> {
  readonly find: (tx: Tx, run: CarrierRun, page: { after: Row | undefined; limit: number }) => Promise<Row[]>;
  /** A row without the number; undefined: it has not the number, or something keeps it. */
  readonly without: (run: CarrierRun, row: Row) => Erased | undefined;
  readonly write: (tx: Tx, carrierId: string, erased: Erased) => Promise<void>;
  readonly partOf: (row: Row) => number;
  /** How many hashes go with a row. */
  readonly hashes: number;
}

/** Erases a number from copies: quarantine, rejects, copies under ended holds. */
export async function eraseCopies(run: CarrierRun): Promise<void> {
  await eraseTable(run, QUARANTINE);
  await eraseTable(run, REJECTS);
  await eraseTable(run, HELD_COPIES);
}

function eraseTable<Row, Erased>(run: CarrierRun, table: CopyTable<Row, Erased>): Promise<void> {
  return eachPage<Row>(
    run,
    (tx, page) => table.find(tx, run, page),
    (tx, rows) =>
      writeReceipt(tx, run, async (at) => {
        for (const row of rows) {
          const erased = table.without(run, row);
          if (!erased) continue;
          await table.write(tx, run.carrierId, erased);
          addCounts(at, table.partOf(row), { copies: 1, hashes: table.hashes });
        }
        return undefined;
      }),
  );
}

const QUARANTINE: CopyTable<QuarantinedRecord, QuarantinedRecord> = {
  async find(tx, run, page) {
    // The feeds' locks keep out a release, which would move what is rewritten here.
    for (const { feed } of RECORD_KINDS) await raiseGeneration(tx, run.carrierId, feed);
    return findQuarantinedOf(tx, run.carrierId, searchOf(run), page);
  },
  without({ scope }, record) {
    const { kind, payload } = record;
    const erased = eraseRecord(kind, payload, undefined, scope);
    if (!erased || !isInScope(scope, record)) return undefined;
    const numbers = record.numbers.filter((each) => !scope.number.isIn(each));
    return { ...record, payload: erased.payload, numbers };
  },
  write: rewriteQuarantined,
  partOf: ({ kind }) => kind.part,
  hashes: 1,
};

const REJECTS: CopyTable<StoredReject, StoredReject> = {
  find: (tx, { carrierId, scope }, page) => findRejectsOf(tx, carrierId, scope.number.maskedPattern, page),
  without({ scope }, reject) {
    const erased = withoutNumber(reject, [scope], reject.createTime);
    const isSame = erased.message === reject.message && erased.recordJson === reject.recordJson;
    return isSame ? undefined : erased;
  },
  write: rewriteReject,
  partOf: ({ kind }) => kind.part,
  hashes: 1,
};

const HELD_COPIES: CopyTable<HeldCopy, Parameters<typeof rewriteHeld>[2]> = {
  find: (tx, run, page) => findHeldOf(tx, run.carrierId, searchOf(run), { ...page, now: run.now }),
  without(run, copy) {
    const erased = recordWithout(run, copy);
    const held = erased && keeps(run, copy);
    const { part, side } = copy.kind;
    if (held) run.exceptions.add(part, held, `${side}/${copy.recordDate}/${copy.recordId}`);
    return held ? undefined : erased && { ...erased, network: erased.network ?? copy.network };
  },
  write: rewriteHeld,
  partOf: ({ kind }) => kind.part,
  hashes: 0,
};

import { type ErasureScope, isInScope } from "../domain/privacy/erasure.ts";
import { CDR, kindOfSide, PLATFORM_SIDE, RECORD_KINDS } from "../domain/record-kind.ts";
import type { Tx } from "../store/database/run.ts";
import {
  findHeldOf,
  findQuarantinedOf,
  findRejectsOf,
  type HeldCopy,
  type QuarantinePlace,
  type RejectPlace,
  rewriteHeld,
  rewriteQuarantined,
  rewriteReject,
} from "../store/privacy/erase-copies.ts";
import {
  type ErasureAtCarrier,
  raiseGeneration,
  readErasureCarrier,
  writeErasureCarrier,
} from "../store/privacy/erasures.ts";
import type { CarrierRun } from "./carrier-run.ts";
import { addCounts } from "./erased-counts.ts";
import { cdrWithout, durationWithout } from "./erased-record.ts";
import { keeps } from "./kept-calls.ts";
import { eraseCdr, eraseDuration } from "./messages-codec.ts";
import { withoutNumber } from "./rejects.ts";

const PAGE = 200;
/** Erases a number from copies: quarantine, rejects, copies under ended holds. */
export async function eraseCopies(run: CarrierRun): Promise<void> {
  await eachPage<QuarantinePlace>(run, eraseQuarantined);
  await eachPage<RejectPlace>(run, eraseRejects);
  await eachPage<Pick<HeldCopy, "side" | "sequence">>(run, eraseHeld);
}

/** Runs a transaction for each page. */
async function eachPage<Place>(
  run: CarrierRun,
  work: (tx: Tx, run: CarrierRun, at: ErasureAtCarrier, after: Place | undefined) => Promise<Place | undefined>,
): Promise<void> {
  let after: Place | undefined;
  do {
    run.signal.throwIfAborted();
    after = await run.transact(async (tx) => {
      const at = await readErasureCarrier(tx, run.scope.erasureId, run.carrierId);
      const next = await work(tx, run, at, after);
      await writeErasureCarrier(tx, run.scope.erasureId, at);
      return next;
    });
  } while (after !== undefined);
}

async function eraseQuarantined(
  tx: Tx,
  { carrierId, scope }: CarrierRun,
  at: ErasureAtCarrier,
  after: QuarantinePlace | undefined,
): Promise<QuarantinePlace | undefined> {
  // The feeds' locks keep out a release, which would move what is rewritten here, number included.
  for (const { feed } of RECORD_KINDS) await raiseGeneration(tx, carrierId, feed);
  const found = await findQuarantinedOf(tx, carrierId, searchOf(scope), { after, limit: PAGE });
  for (const record of found) {
    const erased =
      record.kind === CDR ? eraseCdr(record.payload, undefined, scope) : eraseDuration(record.payload, scope);
    if (!erased || !isInScope(scope, record)) continue;
    const numbers = record.numbers.filter((each) => !scope.number.isIn(each));
    await rewriteQuarantined(tx, carrierId, { ...record, payload: erased.payload, numbers });
    addCounts(at, record.kind.part, { copies: 1, hashes: 1 });
  }
  return found.length < PAGE ? undefined : found.at(-1);
}

async function eraseRejects(
  tx: Tx,
  { carrierId, scope }: CarrierRun,
  at: ErasureAtCarrier,
  after: RejectPlace | undefined,
): Promise<RejectPlace | undefined> {
  const { number } = scope;
  const found = await findRejectsOf(tx, carrierId, number.maskedPattern, { after, limit: PAGE });
  for (const reject of found) {
    const erased = withoutNumber(reject, [scope], reject.createTime);
    if (erased.message === reject.message && erased.recordJson === reject.recordJson) continue;
    await rewriteReject(tx, carrierId, erased);
    addCounts(at, reject.kind.part, { copies: 1, hashes: 1 });
  }
  return found.length < PAGE ? undefined : found.at(-1);
}

async function eraseHeld(
  tx: Tx,
  run: CarrierRun,
  at: ErasureAtCarrier,
  after: Pick<HeldCopy, "side" | "sequence"> | undefined,
): Promise<Pick<HeldCopy, "side" | "sequence"> | undefined> {
  const { carrierId, scope } = run;
  const found = await findHeldOf(tx, carrierId, searchOf(scope), { after, limit: PAGE, now: run.now });
  for (const copy of found) {
    const { part } = kindOfSide(copy.side);
    const erased = heldWithout(run, copy);
    if (!erased) continue;
    const held = keeps(run, part, copy);
    if (held) {
      run.exceptions.add(part, held, `${copy.side}/${copy.recordDate}/${copy.recordId}`);
      continue;
    }
    await rewriteHeld(tx, carrierId, { ...erased, network: erased.network ?? copy.network });
    addCounts(at, part, { copies: 1 });
  }
  return found.length < PAGE ? undefined : found.at(-1);
}

function heldWithout(run: CarrierRun, copy: HeldCopy) {
  if (copy.side === PLATFORM_SIDE) return cdrWithout(run, copy);
  const erased = durationWithout(run, copy);
  return erased && { ...erased, callingErased: false, calledErased: false };
}

function searchOf({ number, start, end }: ErasureScope) {
  return { forms: number.forms, pattern: number.pattern, start, end };
}

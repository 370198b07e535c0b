import { setTimeout as wait } from "node:timers/promises";
import type { FeedId } from "../domain/feed-id.ts";
import { numberHash } from "../domain/numbers/number-hash.ts";
import type { AuditAct } from "../domain/privacy/audit.ts";
import { auditedRequestId } from "../domain/privacy/audited-request-id.ts";
import { ErasureState } from "../gen/tandem/platform/v1/privacy_service_pb.js";
import { appendAuditEvent } from "../store/audit/audit-log.ts";
import { readCarrier } from "../store/carriers/carriers.ts";
import { type Database, ownerTransaction, systemTransaction } from "../store/database/database.ts";
import { confirmLease, type JobLease, withLease } from "../store/database/job-lease.ts";
import { readClock, type Tx } from "../store/database/run.ts";
import { areAllClear } from "../store/database/serving-processes.ts";
import {
  type ErasureRow,
  findCarriersWithout,
  putInForce,
  readErasure,
  readErasureCarriers,
  writeErasureState,
} from "../store/privacy/erasures.ts";
import { aloneHolder, areTurnsOver, RECONCILE_JOB } from "../store/reconciliation/turn-leases.ts";
import type { CarrierRun } from "./carrier-run.ts";
import { eraseAtCarrier } from "./erase-carrier.ts";
import { Exceptions } from "./erased-counts.ts";
import type { ErasureJournal } from "./journal.ts";

export interface ErasureRunOptions {
  readonly db: Database;
  readonly journal: ErasureJournal;
  readonly signal: AbortSignal;
  /** This process, in the leases. */
  readonly holder: string;
  /** The secret with which the logs hash numbers. */
  readonly hashSecret: Buffer;
  readonly onAppended: (carrierId: string, feed: FeedId, headSequence: bigint) => void;
}

/** Each transaction confirms the lease before any other lock. */
export const LEASE_S = 60;
/** Shorter than the lease. */
const STATEMENT_TIMEOUT_MS = 30_000;
const LEASE_WAIT_MS = 50;
const ERASE_METHOD = "tandem.platform.v1.PrivacyService/ErasePhoneNumber";

/** Takes an erasure as far as it can; it is done once no process can deliver older reads. */
export async function runErasure(options: ErasureRunOptions, lease: JobLease, erasure: ErasureRow): Promise<void> {
  const { db, journal } = options;
  const { erasureId } = erasure;
  const underLease = <T>(run: (tx: Tx) => Promise<T>) =>
    systemTransaction(db, async (tx) => {
      await confirmLease(tx, lease, LEASE_S);
      return run(tx);
    });
  for (const carrierId of await systemTransaction(db, (tx) => findCarriersWithout(tx, erasureId)))
    await underLease((tx) => putInForce(tx, carrierId, erasure));
  const toDo = await systemTransaction(db, (tx) => readErasureCarriers(tx, erasureId, { isToDo: true }));
  if (toDo.length > 0) {
    await underLease((tx) => writeErasureState(tx, erasureId, ErasureState.RUNNING));
    const scope = journal.scopeOf({ erasureId, sealed: erasure.journal });
    for (const { carrierId } of toDo)
      await withReconcileLease(options, carrierId, (reconciling) =>
        eraseOne(options, [lease, reconciling], { carrierId, erasure, scope }),
      );
    await underLease((tx) => writeErasureState(tx, erasureId, ErasureState.DRAINING, { drains: true }));
  }
  await underLease((tx) => complete(tx, erasureId, options.hashSecret));
}

async function complete(tx: Tx, erasureId: string, hashSecret: Buffer): Promise<void> {
  const erasure = await readErasure(tx, { erasureId });
  if (!erasure || erasure.state >= ErasureState.COMPLETED_WITH_EXCEPTIONS) return;
  const carriers = await readErasureCarriers(tx, erasureId);
  if (carriers.some(({ isDone }) => !isDone)) return;
  // The last writer was stopped before it said so: older reads may still be on their way.
  if (erasure.state === ErasureState.RUNNING)
    return writeErasureState(tx, erasureId, ErasureState.DRAINING, { drains: true });
  if (erasure.drainTime !== undefined && !(await areAllClear(tx, erasure.drainTime))) return;
  const exceptions = carriers.flatMap((at) => at.exceptions);
  const state = exceptions.length > 0 ? ErasureState.COMPLETED_WITH_EXCEPTIONS : ErasureState.COMPLETED;
  await writeErasureState(tx, erasureId, state, { completes: true });
  // Exceptions are rechecked every few minutes; only the first receipt and the end are logged.
  const isNews = erasure.completeTime === undefined || state === ErasureState.COMPLETED;
  if (isNews) await appendAuditEvent(tx, completed(erasure, exceptions.length, hashSecret));
}

// Logged for whoever asked: the job decides nothing.
function completed({ erasureId, requestedBy, requestId }: ErasureRow, exceptions: number, secret: Buffer): AuditAct {
  return {
    actor: requestedBy,
    method: ERASE_METHOD,
    resource: `erasure/${erasureId}`,
    requestId: auditedRequestId(secret, requestId),
    changedFields: ["state", "receipt"],
    details: { exceptions, state: exceptions > 0 ? "COMPLETED_WITH_EXCEPTIONS" : "COMPLETED" },
  };
}

async function eraseOne(
  options: ErasureRunOptions,
  leases: readonly JobLease[],
  { carrierId, erasure, scope }: { carrierId: string; erasure: ErasureRow; scope: CarrierRun["scope"] },
): Promise<void> {
  const { db, signal } = options;
  const limits = { statementTimeoutMs: STATEMENT_TIMEOUT_MS };
  const confirmed =
    <T>(run: (tx: Tx) => Promise<T>) =>
    async (tx: Tx) => {
      for (const lease of leases) await confirmLease(tx, lease, LEASE_S);
      return run(tx);
    };
  const { now, legalCountry } = await systemTransaction(db, (tx) => readCircumstances(tx, carrierId));
  await eraseAtCarrier({
    carrierId,
    scope,
    acceptTime: erasure.createTime,
    now,
    legalCountry,
    exceptions: new Exceptions(),
    transact: (run) => systemTransaction(db, confirmed(run), limits),
    transactAsOwner: (run) => ownerTransaction(db, confirmed(run), limits),
    numberHashes: scope.number.forms.map((form) => numberHash(options.hashSecret, form)),
    signal,
    onAppended: (feed, head) => options.onAppended(carrierId, feed, head),
  });
}

export async function readCircumstances(tx: Tx, carrierId: string) {
  const carrier = await readCarrier(tx, carrierId);
  return { now: await readClock(tx), legalCountry: carrier?.legalCountry ?? "" };
}

// Keeps half-erased calls from being judged. Those who judge return their leases after a turn, or
// lose them.
async function withReconcileLease(
  { db, holder, signal }: ErasureRunOptions,
  carrierId: string,
  run: (lease: JobLease) => Promise<void>,
): Promise<void> {
  const request = { carrierId, job: RECONCILE_JOB, holder: aloneHolder(holder), ttlS: LEASE_S };
  const work = async (lease: JobLease) => {
    await until(
      () => systemTransaction(db, (tx) => confirmLease(tx, lease, LEASE_S).then(() => areTurnsOver(tx, carrierId))),
      signal,
    );
    await run(lease);
    return true;
  };
  signal.throwIfAborted();
  await until(() => withLease(db, request, work), signal);
}

async function until(isDone: () => Promise<boolean | undefined>, signal: AbortSignal): Promise<void> {
  while (!(await isDone())) {
    await wait(LEASE_WAIT_MS, undefined, { signal }).catch(() => {});
    signal.throwIfAborted();
  }
}

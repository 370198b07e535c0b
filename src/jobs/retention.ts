import { randomUUID } from "node:crypto";
import { setTimeout as wait } from "node:timers/promises";
import type { Micros } from "../domain/time/instant.ts";
import { eachCarrier } from "../store/carriers/carriers.ts";
import { type Database, systemTransaction } from "../store/database/database.ts";
import { every } from "../store/database/every.ts";
import { confirmLease, type JobLease, LeaseLost, withLease } from "../store/database/job-lease.ts";
import { readClock } from "../store/database/run.ts";
import { type DroppedPartition, dropExpiredPartitions } from "../store/privacy/retention-partitions.ts";
import { expireCarrier } from "./retention/carrier.ts";
import { expirePlatform } from "./retention/platform.ts";
import type { RetentionWork } from "./retention/retention-work.ts";

export interface RetentionOptions {
  readonly db: Database;
  /** Between two runs, milliseconds. */
  readonly intervalMs: number;
  /** Most rows that one transaction deletes. Default 1,000. */
  readonly batchSize?: number;
  /** Rest after a transaction, in times of its length. Default 2: a third of a connection. */
  readonly rest?: number;
  /** Default: the database's clock. For tests. */
  readonly now?: Micros;
  readonly onError: (error: unknown) => void;
}

export interface RetentionOutcome {
  /** Carriers that this process went through; the others are another process's. */
  readonly carriers: number;
  readonly dropped: readonly DroppedPartition[];
}

const JOB = "retention";
/** carrier_id of the lease on what belongs to no carrier. */
const ACROSS_CARRIERS = "";
const LEASE_S = 300;
/** Longest that one statement may take, milliseconds; shorter than the lease. */
const STATEMENT_TIMEOUT_MS = 60_000;
const MIN_REST_MS = 5;

/** Deletes what is past its retention until the signal aborts; first after a minute. */
export function runRetention(options: RetentionOptions, signal: AbortSignal): Promise<void> {
  const { intervalMs, onError } = options;
  const holder = randomUUID();
  return every({ intervalMs, firstMs: Math.min(60_000, intervalMs), signal, onError }, async () => {
    await applyRetention(options, holder, signal);
  });
}

/**
 * One run by carriers: copies what is held, raises floors, deletes rows below them; then drops
 * partitions that all carriers are past, which alone frees disk. Safe to repeat and to stop.
 */
export async function applyRetention(
  options: RetentionOptions,
  holder: string,
  signal: AbortSignal,
): Promise<RetentionOutcome> {
  const now = options.now ?? (await systemTransaction(options.db, readClock));
  let carriers = 0;
  const go = async (stage: "floors" | "rows") => {
    for await (const carrier of eachCarrier(options.db)) {
      if (signal.aborted) return;
      const at = { carrierId: carrier.carrierId, holder, now, signal };
      const done = await underLease(options, at, (work) => expireCarrier(work, carrier, stage)).catch(options.onError);
      if (done && stage === "rows") carriers++;
    }
  };
  // All floors first: what is dropped with its partition need not be deleted row by row.
  await go("floors");
  const dropped: DroppedPartition[] = [];
  const platform = { carrierId: ACROSS_CARRIERS, holder, now, signal };
  await underLease(options, platform, async (work) => {
    dropped.push(...(await dropExpiredPartitions(work.db, signal, options.onError)));
    await expirePlatform(work);
  }).catch(options.onError);
  await go("rows");
  return { carriers, dropped };
}

// False: another process has it.
async function underLease(
  { db, batchSize = 1_000, rest = 2 }: RetentionOptions,
  { carrierId, holder, now, signal }: { carrierId: string; holder: string; now: Micros; signal: AbortSignal },
  run: (work: RetentionWork) => Promise<void>,
): Promise<boolean> {
  const pause = async (tookMs: number) => {
    if (rest > 0) await wait(Math.max(MIN_REST_MS, tookMs * rest), undefined, { signal }).catch(() => {});
  };
  try {
    const isDone = await withLease(db, { carrierId, job: JOB, holder, ttlS: LEASE_S }, async (lease) => {
      await run({ db, now, batchSize, signal, step: stepper(db, lease, pause), pause });
      return true;
    });
    return isDone ?? false;
  } catch (error) {
    if (error instanceof LeaseLost) return false;
    throw error;
  }
}

function stepper(db: Database, lease: JobLease, pause: (tookMs: number) => Promise<void>): RetentionWork["step"] {
  return async (run) => {
    const started = performance.now();
    const result = await systemTransaction(
      db,
      async (tx) => {
        await confirmLease(tx, lease, LEASE_S);
        return run(tx);
      },
      { statementTimeoutMs: STATEMENT_TIMEOUT_MS, byIndexOnly: true, inOrder: true },
    );
    await pause(performance.now() - started);
    return result;
  };
}

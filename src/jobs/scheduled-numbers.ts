import { randomUUID } from "node:crypto";
import { systemTransaction } from "../store/database/database.ts";
import { drain, every } from "../store/database/every.ts";
import { confirmLease, withLease } from "../store/database/job-lease.ts";
import { deleteOldResponses } from "../store/database/request-log.ts";
import { sweepClaims } from "../store/numbers/number-owners.ts";
import { readSchedule, takeEffect } from "../store/numbers/number-schedule.ts";
import type { NumberWriter } from "../store/numbers/number-writer.ts";

export interface ScheduledNumbersOptions {
  readonly writer: NumberWriter;
  /** Only carriers of this region, whose process it is; default: all. */
  readonly region?: string | undefined;
  /** Longest rest before a look at what was written, milliseconds. Default 1,000. */
  readonly intervalMs?: number;
  /** How often stray claims and old answers are looked for, milliseconds. Default 600,000. */
  readonly sweepIntervalMs?: number;
  /** How old a claim without a number must be before it is freed, seconds. Default 600. */
  readonly strayAgeS?: number;
  readonly onError: (error: unknown) => void;
}

const JOB = "scheduled-numbers";
const LEASE_S = 30;
/** Longest rest between two looks although nothing was written, milliseconds. */
const QUIET_MS = 15_000;
const MAX_ROUNDS = 1_000;
const SWEEP_ANSWERS = 1_000;

/**
 * Applies scheduled changes and ports that are due, finishes ports that a crash left, and frees
 * stray claims. Runs until the signal aborts; a lease for each carrier keeps processes apart.
 */
export function runScheduledNumbers(options: ScheduledNumbersOptions, signal: AbortSignal): Promise<void> {
  const { writer, intervalMs = 1_000, sweepIntervalMs = 600_000, onError } = options;
  const holder = randomUUID();
  let sweepAtMs = performance.now() + sweepIntervalMs;
  return every({ intervalMs, signal, onError, pulse: writer.db.pulse }, async () => {
    const untilNextMs = await workOff(options, holder, signal);
    if (performance.now() >= sweepAtMs) {
      sweepAtMs = performance.now() + sweepIntervalMs;
      await sweep(options, signal);
    }
    return untilNextMs;
  });
}

/** Works off everything that is due. Returns how long to rest if nothing is written, ms. */
async function workOff(options: ScheduledNumbersOptions, holder: string, signal: AbortSignal): Promise<number> {
  const { region, writer, intervalMs = 1_000 } = options;
  const { dueCarrierIds, now, nextTime } = await systemTransaction(writer.db, (tx) => readSchedule(tx, region));
  for (const carrierId of dueCarrierIds) {
    if (signal.aborted) return 0;
    // One carrier's trouble must not keep the others waiting.
    await workOffCarrier(options, carrierId, holder, signal).catch(options.onError);
  }
  const mostMs = dueCarrierIds.length > 0 ? intervalMs : QUIET_MS;
  return nextTime === undefined ? mostMs : Math.min(mostMs, Math.max(1, Math.ceil(Number(nextTime - now) / 1_000)));
}

async function workOffCarrier(
  { writer }: ScheduledNumbersOptions,
  carrierId: string,
  holder: string,
  signal: AbortSignal,
): Promise<void> {
  await withLease(writer.db, { carrierId, job: JOB, holder, ttlS: LEASE_S }, async (lease) => {
    for (let round = 0; round < MAX_ROUNDS && !signal.aborted; round++) {
      const worked = await takeEffect(writer, carrierId, (tx) => confirmLease(tx, lease, LEASE_S));
      if (worked === 0) return;
    }
  });
}

async function sweep({ writer, strayAgeS = 600 }: ScheduledNumbersOptions, signal: AbortSignal): Promise<void> {
  let after: string | undefined = "";
  while (after !== undefined && !signal.aborted) {
    const from: string = after;
    after = (await systemTransaction(writer.db, (tx) => sweepClaims(tx, from, strayAgeS))).next;
  }
  await drain(SWEEP_ANSWERS, signal, () => systemTransaction(writer.db, (tx) => deleteOldResponses(tx, SWEEP_ANSWERS)));
}

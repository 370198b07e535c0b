import { type RawBuilder, sql } from "kysely";
import { clockFrom } from "./clock-from.ts";
import { type Database, systemTransaction } from "./database.ts";
import { readColumn, readRow, readValue, run, type Tx, unnest } from "./run.ts";

// A job works on one carrier at a time under a lease, so that processes share the work. Each of its
// write transactions confirms the lease before any other lock: a holder that comes back too late
// writes nothing. In system transactions. A job's work must still be safe to repeat.

/** A lease that this process holds. */
export interface JobLease {
  readonly carrierId: string;
  readonly job: string;
  readonly holder: string;
  readonly leaseEpoch: bigint;
}

/** The lease is another's by now. */
export class LeaseLost extends Error {
  override readonly name = "LeaseLost";

  constructor(lease: JobLease) {
    super(`the lease of job ${lease.job} was taken over`);
  }
}

/**
 * Takes the lease of a job and carrier if it is free or over; undefined while another holds it. It
 * waits only for a transaction whose lease is over.
 */
export async function takeLease(
  tx: Tx,
  request: { carrierId: string; job: string; holder: string; ttlS: number },
): Promise<JobLease | undefined> {
  const { carrierId, job, holder, ttlS } = request;
  const isAnothers = await readValue(tx)<boolean>`
    SELECT EXISTS (SELECT 1 FROM job_lease
      WHERE carrier_id = ${carrierId} AND job = ${job} AND holder <> ${holder} AND until_time > clock_timestamp())`;
  if (isAnothers) return undefined;
  const row = await readRow(tx)<{ leaseEpoch: bigint }>`
    INSERT INTO job_lease AS l (carrier_id, job, holder, lease_epoch, until_time)
    VALUES (${carrierId}, ${job}, ${holder}, 1, clock_timestamp() + make_interval(secs => ${ttlS}))
    ON CONFLICT (carrier_id, job) DO UPDATE
    SET holder = EXCLUDED.holder, lease_epoch = l.lease_epoch + 1, until_time = ${clockFrom("l.until_time")} + make_interval(secs => ${ttlS})
    WHERE l.until_time <= ${clockFrom("l.until_time")} OR l.holder = EXCLUDED.holder
    RETURNING lease_epoch`;
  return row && { carrierId, job, holder, leaseEpoch: row.leaseEpoch };
}

/** Works under a lease and gives it back; undefined, without any work, while another holds it. */
export async function withLease<T>(
  db: Database,
  request: Parameters<typeof takeLease>[1],
  work: (lease: JobLease) => Promise<T>,
): Promise<T | undefined> {
  const lease = await systemTransaction(db, (tx) => takeLease(tx, request));
  if (!lease) return undefined;
  try {
    return await work(lease);
  } finally {
    await systemTransaction(db, (tx) => releaseLease(tx, lease));
  }
}

/** Confirms a lease in a write transaction, and prolongs it. Throws LeaseLost. */
export async function confirmLease(tx: Tx, lease: JobLease, ttlS: number): Promise<void> {
  const { count } = await run(tx)`
    UPDATE job_lease SET until_time = ${clockFrom("until_time")} + make_interval(secs => ${ttlS})
    WHERE ${isHeld(lease)}`;
  if (count !== 1) throw new LeaseLost(lease);
}

/** As `confirmLease`, for several leases of one holder at a carrier. */
export async function confirmLeases(tx: Tx, leases: readonly JobLease[], ttlS: number): Promise<void> {
  const [first] = leases;
  if (first === undefined) return;
  const { count } = await run(tx)`
    UPDATE job_lease l SET until_time = ${clockFrom("l.until_time")} + make_interval(secs => ${ttlS})
    FROM ${unnest("n", leases, { job: "text", leaseEpoch: "int8" })}
    WHERE l.carrier_id = ${first.carrierId} AND l.holder = ${first.holder} AND l.job = n.job AND l.lease_epoch = n.lease_epoch`;
  if (count !== leases.length) throw new LeaseLost(first);
}

interface HeldJobs {
  readonly carrierId: string;
  /** How the jobs' names begin. */
  readonly jobs: string;
}

/** Lists such jobs of a carrier that others hold than one holder. */
export function listHeld(
  tx: Tx,
  { carrierId, jobs, except }: HeldJobs & { readonly except: string },
): Promise<string[]> {
  return readColumn(tx)<string>`
    SELECT job FROM job_lease
    WHERE carrier_id = ${carrierId} AND job LIKE ${`${jobs}%`} AND holder <> ${except} AND until_time > clock_timestamp()`;
}

/** Deletes such leases that are over. */
export async function dropLeasesOver(tx: Tx, { carrierId, jobs }: HeldJobs): Promise<void> {
  await run(tx)`
    DELETE FROM job_lease WHERE carrier_id = ${carrierId} AND job LIKE ${`${jobs}%`} AND until_time <= ${clockFrom("until_time")}`;
}

export async function releaseLease(tx: Tx, lease: JobLease): Promise<void> {
  await run(tx)`DELETE FROM job_lease WHERE ${isHeld(lease)}`;
}

function isHeld({ carrierId, job, holder, leaseEpoch }: JobLease): RawBuilder<boolean> {
  return sql`carrier_id = ${carrierId} AND job = ${job} AND holder = ${holder} AND lease_epoch = ${leaseEpoch}`;
}

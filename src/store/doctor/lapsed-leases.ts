import type { Micros } from "../../domain/time/instant.ts";
import { readRows, type Tx } from "../database/run.ts";

/** A lease that its holder neither renewed nor gave back. */
export interface LapsedLease {
  /** Empty: of a job that works across carriers. */
  readonly carrierId: string;
  readonly job: string;
  readonly holder: string;
  /** When it ended. */
  readonly untilTime: Micros;
  readonly lapsedSeconds: number;
}

/** A living job renews its lease far sooner, seconds. */
const LAPSED_AFTER_S = 300;

/** Lists leases that ended over five minutes ago and are still there, the oldest first. */
export function listLapsedLeases(tx: Tx, limit: number): Promise<LapsedLease[]> {
  return readRows(tx)<LapsedLease>`
    SELECT carrier_id, job, holder, until_time, extract(epoch FROM clock_timestamp() - until_time)::int4 AS lapsed_seconds FROM job_lease
    WHERE holder <> '' AND until_time < clock_timestamp() - make_interval(secs => ${LAPSED_AFTER_S})
    ORDER BY until_time LIMIT ${limit}`;
}

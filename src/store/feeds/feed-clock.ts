import { sql } from "kysely";
import type { FeedId } from "../../domain/feed-id.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { appendAuditEvent } from "../audit/audit-log.ts";
import { type Database, ownerTransaction } from "../database/database.ts";
import { instant, readClock, readRows, run, type Tx } from "../database/run.ts";
import { MAX_CLOCK_STEP_BACK_S } from "./feed-head.ts";

/** A feed whose newest ingest time is further ahead of the database's clock than is allowed. */
export interface FeedAhead {
  readonly carrierId: string;
  readonly feed: FeedId;
  readonly lastIngestTime: Micros;
  /** How far ahead, whole seconds. */
  readonly aheadSeconds: number;
  /** Whether an operator has accepted it. */
  readonly isAccepted: boolean;
}

/** Entries are stored by week, and the partitions of four weeks ahead are made. */
const MAX_ACCEPTED_AHEAD_S = 21 * 86_400;

/**
 * The feeds that cannot be written to, or only because an operator accepted it, until the
 * database's clock has caught up.
 */
export async function listFeedsAhead(tx: Tx): Promise<FeedAhead[]> {
  const clock = await readClock(tx);
  const rows = await readRows(tx)<Omit<FeedAhead, "aheadSeconds">>`
    SELECT carrier_id, feed, last_ingest_time, COALESCE(last_ingest_time <= accepted_ingest_time, false) AS is_accepted
    FROM feed_head
    WHERE last_ingest_time > ${instant(clock)} + make_interval(secs => ${sql.lit(MAX_CLOCK_STEP_BACK_S)})
    ORDER BY carrier_id, feed`;
  return rows.map((row) => ({ ...row, aheadSeconds: Number((row.lastIngestTime - clock) / 1_000_000n) }));
}

/**
 * Lets the feeds go on that are ahead of the clock: what is written gets the ingest time that the
 * feed has reached, until the clock has caught up. No ingest time goes back. A feed that gets ahead
 * of that time later is stopped again.
 * @param actor who does so, for the audit log.
 * @param carrierId whose feeds; undefined: everybody's.
 * @throws Error when a feed is too far ahead for its entries to be stored.
 */
export async function acceptClock(db: Database, actor: string, carrierId?: string): Promise<FeedAhead[]> {
  return ownerTransaction(db, async (tx) => {
    const ahead = (await listFeedsAhead(tx)).filter((feed) => carrierId === undefined || feed.carrierId === carrierId);
    const far = ahead.find(({ aheadSeconds }) => aheadSeconds > MAX_ACCEPTED_AHEAD_S);
    if (far) {
      throw new Error(
        `feed ${far.feed} of ${far.carrierId} is ${far.aheadSeconds} s ahead: more than 21 days cannot be let through, for there is nowhere to store them`,
      );
    }
    for (const { carrierId, feed, lastIngestTime } of ahead)
      await run(tx)`
        UPDATE feed_head SET accepted_ingest_time = ${instant(lastIngestTime)} WHERE carrier_id = ${carrierId} AND feed = ${feed}`;
    if (ahead.length === 0) return [];
    const carriers = new Set(ahead.map((feed) => feed.carrierId));
    const resource = carrierId === undefined ? "feeds" : `carrier/${carrierId}`;
    const seconds = Math.max(...ahead.map(({ aheadSeconds }) => aheadSeconds));
    const details = { carriers: carriers.size, ahead_seconds: seconds };
    await appendAuditEvent(tx, { actor, method: "cli/clock accept", resource, details });
    return ahead;
  });
}

import { sql } from "kysely";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { appendAuditEvent } from "../audit/audit-log.ts";
import { type Database, ownerTransaction } from "../database/database.ts";
import { confirm } from "../database/installation.ts";
import { readValue, run } from "../database/run.ts";

/**
 * Starts a new epoch of every feed and confirms the server beneath: the last step of every restore,
 * and of a failover that no process saw.
 * @param actor who does so, for the audit log.
 * @param lostSince what was acknowledged since then may be lost. Default: of each feed that has
 *   entries, its newest ingest time.
 */
export async function rotateEpochs(db: Database, actor: string, lostSince?: Micros): Promise<{ carriers: number }> {
  return ownerTransaction(db, async (tx) => {
    const { timeline } = await confirm(tx);
    const given =
      lostSince === undefined ? sql<null>`NULL::timestamptz` : sql`${isoFromMicros(lostSince)}::timestamptz`;
    await run(tx)`
      UPDATE feed_head SET epoch = epoch + 1, payload_generation = payload_generation + 1, lost_timeline = ${timeline},
        lost_since = COALESCE(${given}, CASE WHEN next_sequence > 1 THEN last_ingest_time END)`;
    const carriers = await readValue(tx)<number>`SELECT count(DISTINCT carrier_id)::int4 FROM feed_head`;
    await appendAuditEvent(tx, { actor, method: "cli/epoch rotate", resource: "feeds", details: { carriers } });
    return { carriers };
  });
}

/**
 * Confirms the server beneath, and starts no epoch: after a failover that lost nothing, or whose
 * losses were told.
 * @param actor who does so, for the audit log.
 */
export async function confirmServer(db: Database, actor: string): Promise<{ timeline: bigint }> {
  return ownerTransaction(db, async (tx) => {
    const { timeline } = await confirm(tx);
    const details = { timeline: String(timeline) };
    await appendAuditEvent(tx, { actor, method: "cli/epoch confirm", resource: "feeds", details });
    return { timeline };
  });
}

import { sql } from "kysely";
import { TandemError } from "../../domain/errors.ts";
import { type AuditAct, type AuditEvent, chainAct, NO_HASH } from "../../domain/privacy/audit.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { run, type Tx, together } from "../database/run.ts";

export const PLATFORM_CHAIN = "";

/** Makes the chain of a new carrier, without an event. In a system transaction. */
export async function createAuditChain(tx: Tx, carrierId: string): Promise<void> {
  await run(tx)`
    INSERT INTO audit_chain (carrier_id, first_sequence) VALUES (${carrierId}, 1)`;
}

/**
 * Appends an act to its chain, in the transaction of the act. It locks the chain until the
 * transaction ends, so call it last. The event's time comes from the database's clock and never
 * goes back.
 */
export async function appendAuditEvent(tx: Tx, act: AuditAct): Promise<AuditEvent> {
  const chain = act.carrierId ?? PLATFORM_CHAIN;
  const event = chainAct(act, await takePlace(tx, chain));
  const head = tx.insertInto("audit_head").values({
    carrier_id: chain,
    sequence: event.sequence,
    entry_hash: Buffer.from(event.entryHash),
    event_time: isoFromMicros(event.eventTime),
  });
  await together([run(tx, insertEvent(tx, chain, event)), run(tx, head)]);
  return event;
}

interface ChainHead {
  sequence: bigint | undefined;
  entryHash: Buffer | undefined;
  eventTime: Micros;
}

/** Takes the chain, then reads its end in a statement that sees what was committed before. */
async function takePlace(tx: Tx, chain: string) {
  const take = tx.updateTable("audit_chain").set({ turns: sql<bigint>`turns + 1` }).where("carrier_id", "=", chain);
  const [taken, { rows }] = await together([
    run(tx, take),
    run(tx)<ChainHead>`
    SELECT h.sequence, h.entry_hash, GREATEST(clock_timestamp(), h.event_time) AS event_time
    FROM (SELECT 1) one LEFT JOIN LATERAL (
      SELECT sequence, entry_hash, event_time FROM audit_head WHERE carrier_id = ${chain} ORDER BY sequence DESC LIMIT 1) h ON true`,
  ]);
  const [head] = rows;
  if (taken.count !== 1 || !head)
    throw new TandemError("CARRIER_NOT_FOUND", `no carrier ${chain}`, { carrier_id: chain });
  return {
    sequence: (head.sequence ?? 0n) + 1n,
    eventTime: head.eventTime,
    previousHash: head.entryHash ?? NO_HASH,
  };
}

function insertEvent(tx: Tx, chain: string, event: AuditEvent) {
  return tx.insertInto("audit_event").values({
    carrier_id: chain,
    sequence: event.sequence,
    event_time: isoFromMicros(event.eventTime),
    actor: event.actor,
    method: event.method,
    resource: event.resource,
    outcome: event.outcome,
    error_reason: event.errorReason ?? null,
    request_id: event.requestId ?? null,
    changed_fields: [...event.changedFields],
    details_json: event.detailsJson,
    previous_hash: Buffer.from(event.previousHash),
    entry_hash: Buffer.from(event.entryHash),
  });
}

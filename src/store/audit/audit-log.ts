import { noCarrier } from "../../domain/errors.ts";
import { type AuditAct, type AuditEvent, chainAct, NO_HASH } from "../../domain/privacy/audit.ts";
import type { Micros } from "../../domain/time/instant.ts";
import { instant, readRow, run, type Tx, together } from "../database/run.ts";

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
  const { sequence, eventTime, entryHash, previousHash } = event;
  await together([
    run(tx)`
      INSERT INTO audit_event (carrier_id, sequence, event_time, actor, method, resource, outcome, error_reason, request_id, changed_fields,
        details_json, previous_hash, entry_hash)
      VALUES (${chain}, ${sequence}, ${instant(eventTime)}, ${event.actor}, ${event.method}, ${event.resource}, ${event.outcome},
        ${event.errorReason ?? null}, ${event.requestId ?? null}, ${event.changedFields}::text[], ${event.detailsJson},
        ${Buffer.from(previousHash)}, ${Buffer.from(entryHash)})`,
    run(tx)`
      INSERT INTO audit_head (carrier_id, sequence, entry_hash, event_time)
      VALUES (${chain}, ${sequence}, ${Buffer.from(entryHash)}, ${instant(eventTime)})`,
  ]);
  return event;
}

interface ChainHead {
  sequence: bigint | undefined;
  entryHash: Buffer | undefined;
  eventTime: Micros;
}

/**
 * Takes the chain, then reads its end in a statement that sees what was committed before. Nobody
 * reads `turns`: it is written so that one transaction appends at a time.
 */
async function takePlace(tx: Tx, chain: string) {
  const [taken, head] = await together([
    run(tx)`UPDATE audit_chain SET turns = turns + 1 WHERE carrier_id = ${chain}`,
    readRow(tx)<ChainHead>`
    SELECT h.sequence, h.entry_hash, GREATEST(clock_timestamp(), h.event_time) AS event_time
    FROM (SELECT 1) one LEFT JOIN LATERAL (
      SELECT sequence, entry_hash, event_time FROM audit_head WHERE carrier_id = ${chain} ORDER BY sequence DESC LIMIT 1) h ON true`,
  ]);
  if (taken.count !== 1 || !head) throw noCarrier(chain);
  return {
    sequence: (head.sequence ?? 0n) + 1n,
    eventTime: head.eventTime,
    previousHash: head.entryHash ?? NO_HASH,
  };
}

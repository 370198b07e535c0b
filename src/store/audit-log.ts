import { sql } from "kysely";
import { type AuditAct, type AuditEvent, chainAct } from "../domain/audit.ts";
import { TandemError } from "../domain/errors.ts";
import { isoFromMicros, type Micros } from "../domain/instant.ts";
import { send, type Tx, together } from "./database.ts";

/** carrier_id of the platform's chain. */
export const PLATFORM_CHAIN = "";

/** Makes the chain of a new carrier, without an event. In a system transaction. */
export async function createAuditChain(tx: Tx, carrierId: string): Promise<void> {
  await sql`
    INSERT INTO audit_chain (carrier_id, first_sequence, last_sequence, last_hash, last_event_time)
    VALUES (${carrierId}, 1, 0, decode(repeat('00', 32), 'hex'), '1970-01-01T00:00:00Z')`.execute(tx);
}

/**
 * Appends an act to its chain, in the transaction of the act: either both are there or neither. It takes the chain's head until the transaction ends,
 * and must be the last lock that the transaction takes; call it last. The event's time is by the database's clock and never goes back.
 */
export async function appendAuditEvent(tx: Tx, act: AuditAct): Promise<AuditEvent> {
  const chain = act.carrierId ?? PLATFORM_CHAIN;
  const head = await lockChain(tx, chain);
  const event = chainAct(act, {
    sequence: head.last_sequence + 1n,
    eventTime: head.last_event_time,
    previousHash: head.last_hash,
  });
  const advance = tx
    .updateTable("audit_chain")
    .set({ last_sequence: event.sequence, last_hash: Buffer.from(event.entryHash) })
    .where("carrier_id", "=", chain);
  await together([send(tx, insertEvent(tx, chain, event).compile()), send(tx, advance.compile())]);
  return event;
}

interface ChainHead {
  last_sequence: bigint;
  last_hash: Buffer;
  last_event_time: Micros;
}

async function lockChain(tx: Tx, chain: string): Promise<ChainHead> {
  const query = tx
    .updateTable("audit_chain")
    .set({ last_event_time: sql<string>`GREATEST(clock_timestamp(), last_event_time)` })
    .where("carrier_id", "=", chain)
    .returning(["last_sequence", "last_hash", "last_event_time"]);
  const { rows } = await send<ChainHead>(tx, query.compile());
  if (!rows[0]) throw new TandemError("CARRIER_NOT_FOUND", `no carrier ${chain}`, { carrier_id: chain });
  return rows[0];
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

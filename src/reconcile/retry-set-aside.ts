import { noCarrier } from "../domain/errors.ts";
import { appendAuditEvent } from "../store/audit/audit-log.ts";
import { readCarrier } from "../store/carriers/carriers.ts";
import { type Database, systemTransaction } from "../store/database/database.ts";
import { takeUpMinutes } from "../store/reconciliation/reconcile-progress.ts";

/**
 * Marks what was set aside for a carrier again.
 * @param actor who asked, for the audit log.
 * @returns the number of minutes.
 */
export function retrySetAside(db: Database, carrierId: string, actor: string): Promise<number> {
  return systemTransaction(db, async (tx) => {
    if (!(await readCarrier(tx, carrierId))) throw noCarrier(carrierId);
    const minutes = await takeUpMinutes(tx, carrierId);
    const method = "cli/reconcile retry";
    await appendAuditEvent(tx, { carrierId, actor, method, resource: "minutes", details: { minutes } });
    return minutes;
  });
}

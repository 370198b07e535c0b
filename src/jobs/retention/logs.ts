import type { Micros } from "../../domain/time/instant.ts";
import { deleteAuditEvents } from "../../store/audit/audit-events.ts";
import { ownerTransaction } from "../../store/database/database.ts";
import type { Tx } from "../../store/database/run.ts";
import { deleteDisclosures } from "../../store/privacy/disclosure-retention.ts";
import { drain, type RetentionWork } from "./retention-work.ts";

/** Deletes a chain's and a carrier's logs before an instant, with the owner's rights. */
export async function deleteLogs(work: RetentionWork, carrierId: string | undefined, before: Micros): Promise<void> {
  const asOwner = async (run: (tx: Tx) => Promise<number>) => {
    const started = performance.now();
    const count = await ownerTransaction(work.db, run, { byIndexOnly: true, inOrder: true });
    await work.pause(performance.now() - started);
    return count;
  };
  await drain(work, (limit) => asOwner((tx) => deleteAuditEvents(tx, carrierId, before, limit)));
  if (carrierId === undefined) return;
  await drain(work, (limit) => asOwner((tx) => deleteDisclosures(tx, carrierId, before, limit)));
}

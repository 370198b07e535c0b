import type { Micros } from "../../domain/time/instant.ts";
import { deleteAuditEvents } from "../../store/audit/audit-events.ts";
import { type Database, ownerTransaction } from "../../store/database/database.ts";
import { drain } from "../../store/database/every.ts";
import type { Tx } from "../../store/database/run.ts";
import { deleteDisclosures } from "../../store/privacy/disclosures.ts";

export interface RetentionWork {
  readonly db: Database;
  readonly now: Micros;
  readonly batchSize: number;
  readonly signal: AbortSignal;
  /** Runs a transaction that holds the lease, and rests after it. */
  readonly step: <T>(run: (tx: Tx) => Promise<T>) => Promise<T>;
  /** Rests as after a step that took so long. */
  readonly pause: (tookMs: number) => Promise<void>;
}

/** Deletes a chain's and a carrier's logs before an instant, with the owner's rights. */
export async function deleteLogs(work: RetentionWork, carrierId: string | undefined, before: Micros): Promise<void> {
  const { batchSize: limit, signal } = work;
  const asOwner = async (run: (tx: Tx) => Promise<number>) => {
    const started = performance.now();
    const count = await ownerTransaction(work.db, run, { byIndexOnly: true, inOrder: true });
    await work.pause(performance.now() - started);
    return count;
  };
  await drain(limit, signal, () => asOwner((tx) => deleteAuditEvents(tx, carrierId, before, limit)));
  if (carrierId === undefined) return;
  await drain(limit, signal, () => asOwner((tx) => deleteDisclosures(tx, carrierId, before, limit)));
}

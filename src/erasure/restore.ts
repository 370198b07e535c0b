import { ErasureState } from "../gen/tandem/platform/v1/privacy_service_pb.js";
import { type Database, systemTransaction } from "../store/database/database.ts";
import { insertErasure, listErasures, readErasure } from "../store/privacy/erasures.ts";
import type { ErasureJournal } from "./journal.ts";

/**
 * Compares database and journal at the start: repeats erasures that the database does not know, and
 * adds to the journal those that only the database knows.
 * @returns whether erasures must be carried out before serving.
 */
export async function restoreErasures(db: Database, journal: ErasureJournal): Promise<boolean> {
  const known = await systemTransaction(db, listErasures);
  const erasures = new Map(known.map((erasure) => [erasure.erasureId, erasure]));
  const requests = new Set(known.map(({ requestId }) => requestId));
  const entries = await journal.read();
  let mustFirst = known.some(({ state }) => state < ErasureState.DRAINING);
  for (const sealed of entries) {
    if (erasures.has(sealed.erasureId)) continue;
    const entry = journal.unseal(sealed);
    // A call whose commit failed was repeated: both entries say the same.
    if (requests.has(entry.requestId)) continue;
    const row = {
      ...entry,
      start: BigInt(entry.start),
      end: BigInt(entry.end),
      createTime: BigInt(entry.createTime),
      journal: sealed.sealed,
    };
    if (await systemTransaction(db, (tx) => insertErasure(tx, row))) mustFirst = true;
    requests.add(entry.requestId);
  }
  const written = new Set(entries.map(({ erasureId }) => erasureId));
  for (const { erasureId } of known) {
    if (written.has(erasureId)) continue;
    const row = await systemTransaction(db, (tx) => readErasure(tx, { erasureId }));
    if (row) await journal.append({ erasureId, sealed: row.journal });
  }
  return mustFirst;
}

import type { DisclosureTerms } from "../domain/privacy/disclosure.ts";
import { outlivingCall } from "../store/database/callers.ts";
import { carrierTransaction, type Database } from "../store/database/database.ts";
import { Gathered } from "../store/database/gathered.ts";
import { type ReservedBlock, type SentBlock, writeBlocks } from "../store/privacy/disclosures.ts";

/** Blocks that one stream reserves, and what was sent of others. */
export interface BlockChanges {
  readonly reserved: readonly ReservedBlock[];
  readonly sent: readonly SentBlock[];
}

/** Most streams that share a commit. */
const MAX_SHARED = 100;

/** What one stream has written down. */
interface BlockWrite {
  readonly carrierId: string;
  readonly terms: DisclosureTerms;
  readonly changes: BlockChanges;
}

/**
 * Commits what the streams of a carrier disclose, of many at once in one transaction. One for each
 * process.
 */
export class BlockWrites {
  readonly #writes: Gathered<BlockWrite, void>;

  constructor(db: Database) {
    // The commit is others' too: it does not end with the call that happened to come first.
    this.#writes = new Gathered<BlockWrite, void>(
      (writes) => outlivingCall(() => commit(db, writes)),
      () => MAX_SHARED,
    );
  }

  /** Resolves once it is committed. */
  write(carrierId: string, terms: DisclosureTerms, changes: BlockChanges): Promise<void> {
    return this.#writes.add(carrierId, { carrierId, terms, changes });
  }
}

async function commit(db: Database, writes: readonly BlockWrite[]): Promise<undefined[]> {
  const [{ carrierId }] = writes as [BlockWrite];
  return carrierTransaction(db, carrierId, async (tx) => {
    for (const { terms, changes } of writes) await writeBlocks(tx, carrierId, terms, changes);
    return [];
  });
}

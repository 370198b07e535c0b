import type { DisclosureTerms } from "../domain/privacy/disclosure.ts";
import { outlivingCall } from "../store/database/callers.ts";
import { carrierTransaction, type Database, isTransient } from "../store/database/database.ts";
import { type ReservedBlock, type SentBlock, writeBlocks } from "../store/privacy/disclosures.ts";

/** Blocks that one stream reserves, and what was sent of others. */
export interface BlockChanges {
  readonly reserved: readonly ReservedBlock[];
  readonly sent: readonly SentBlock[];
}

/** Most streams that share a commit. */
const MAX_SHARED = 100;

interface Waiting extends PromiseWithResolvers<void> {
  readonly terms: DisclosureTerms;
  readonly changes: BlockChanges;
}

/**
 * Commits what the streams of a carrier disclose. One transaction of a carrier runs at a time, and
 * what comes meanwhile shares the next: many streams that open or end at once take few turns in
 * the carrier's line for connections, and few commits. One for each process.
 */
export class BlockWrites {
  readonly #db: Database;
  readonly #waiting = new Map<string, Waiting[]>();

  constructor(db: Database) {
    this.#db = db;
  }

  /** Resolves once it is committed. */
  write(carrierId: string, terms: DisclosureTerms, changes: BlockChanges): Promise<void> {
    const one: Waiting = { ...Promise.withResolvers<void>(), terms, changes };
    const waiting = this.#waiting.get(carrierId);
    if (waiting) waiting.push(one);
    else {
      this.#waiting.set(carrierId, [one]);
      // The commit is others' too: it does not end with the call that happened to come first.
      void outlivingCall(() => this.#run(carrierId));
    }
    return one.promise;
  }

  async #run(carrierId: string): Promise<void> {
    for (;;) {
      const next = this.#waiting.get(carrierId)?.splice(0, MAX_SHARED) ?? [];
      if (next.length === 0) break;
      await this.#commit(carrierId, next);
    }
    this.#waiting.delete(carrierId);
  }

  async #commit(carrierId: string, waiting: readonly Waiting[]): Promise<void> {
    try {
      await carrierTransaction(this.#db, carrierId, async (tx) => {
        for (const { terms, changes } of waiting) await writeBlocks(tx, carrierId, terms, changes);
      });
      for (const { resolve } of waiting) resolve();
    } catch (error) {
      // What one of them cannot have written must not keep the others from it.
      if (waiting.length > 1 && !isTransient(error)) for (const one of waiting) await this.#commit(carrierId, [one]);
      else for (const { reject } of waiting) reject(error);
    }
  }
}

import { sql } from "kysely";
import { FeedId } from "../../src/domain/feed-id.ts";
import { CDR } from "../../src/domain/record-kind.ts";
import type { CallDetailRecord } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { carrierTransaction, type Database } from "../../src/store/database/database.ts";
import type { Tx } from "../../src/store/database/run.ts";
import { advanceFeed, lockFeed, readFeedHead } from "../../src/store/feeds/feed-head.ts";
import { HoldingsCache } from "../../src/store/numbers/holdings-cache.ts";
import { insertAccepted } from "../../src/store/records/record-rows.ts";
import { attributeBatches } from "../../src/upload/attribute.ts";
import { cdrCodec } from "../../src/upload/records/record-codecs.ts";
import { prepareBatch } from "../../src/upload/upload-store.ts";
import { nowMicros } from "./exchange.ts";

/** What a writer of its own transactions does between its statements, and at its end. */
export interface TransactionHabits {
  /**
   * Waits in the database, with the lock held and before the rows are there, and again before the
   * commit; milliseconds.
   */
  readonly delaysMs: readonly [number, number];
  /** Ends with ROLLBACK after all is written. */
  readonly rollsBack: boolean;
  /** Runs with the lock held and everything written. */
  readonly beforeEnd?: () => Promise<void>;
}

/**
 * Appends records in a transaction of its own, as another process's committer would, only slower.
 * @returns whether it was committed.
 */
export async function appendInTransaction(
  db: Database,
  carrierId: string,
  records: readonly CallDetailRecord[],
  habits: TransactionHabits,
): Promise<boolean> {
  const context = { now: nowMicros(), hashSecret: Buffer.alloc(32), horizons: { firstDays: 120, laterDays: 400 } };
  const batch = prepareBatch(cdrCodec, context, { uploadId: "none", firstOffset: 0n, records, writerEpoch: 1n });
  try {
    await carrierTransaction(db, carrierId, async (tx) => {
      const numbers = await readFeedHead(tx, carrierId, FeedId.NUMBERS);
      const batches = await attributeBatches(tx, carrierId, new HoldingsCache(), numbers, [batch]);
      const attributed = batches.flatMap((each) => each.records);
      const lock = await lockFeed(tx, carrierId, FeedId.CDRS);
      await delayInDatabase(tx, habits.delaysMs[0]);
      await insertAccepted(tx, carrierId, CDR, lock, attributed);
      await advanceFeed(tx, carrierId, FeedId.CDRS, lock.nextSequence + BigInt(attributed.length));
      await delayInDatabase(tx, habits.delaysMs[1]);
      await habits.beforeEnd?.();
      if (habits.rollsBack) throw new RolledBack();
    });
    return true;
  } catch (error) {
    if (error instanceof RolledBack) return false;
    throw error;
  }
}

class RolledBack extends Error {}

async function delayInDatabase(tx: Tx, ms: number): Promise<void> {
  if (ms > 0) await sql`SELECT pg_sleep(${ms / 1_000})`.execute(tx);
}

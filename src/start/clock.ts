import type { Logger } from "pino";
import { type Database, systemTransaction } from "../store/database/database.ts";
import { listFeedsAhead } from "../store/feeds/feed-clock.ts";

/** Says in the log which carriers' writes wait for the database's clock. */
export async function warnOfClock(db: Database, log: Logger): Promise<void> {
  const feeds = (await systemTransaction(db, listFeedsAhead)).filter(({ isAccepted }) => !isAccepted);
  if (feeds.length === 0) return;
  const carriers = [...new Set(feeds.map(({ carrierId }) => carrierId))];
  log.error(
    {
      carriers: carriers.slice(0, 20),
      carrierCount: carriers.length,
      aheadSeconds: Math.max(...feeds.map((feed) => feed.aheadSeconds)),
    },
    "the database's clock was ahead: writes of these carriers wait until it catches up, or for `tandem clock accept`",
  );
}

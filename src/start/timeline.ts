import type { Logger } from "pino";
import type { Config } from "../config/config.ts";
import { isoFromMicros } from "../domain/time/instant.ts";
import type { Database } from "../store/database/database.ts";
import { TimelineWatch } from "../store/feeds/timeline-watch.ts";

/** Watches for a failover of the database, and says in the log what it finds. */
export async function watchTimeline(
  { replicaLagMs, synchronousCommit }: Pick<Config, "replicaLagMs" | "synchronousCommit">,
  db: Database,
  log: Logger,
): Promise<TimelineWatch> {
  const watch = await TimelineWatch.open({
    db,
    replicaLagMs,
    onTimeline: ({ before, now }) =>
      log.error(
        { before: String(before), now: String(now) },
        "the database has failed over to another timeline: feeds that lack what was seen begin a new epoch",
      ),
    onOlderTimeline: ({ newest, now }) =>
      log.error(
        { newest: String(newest), now: String(now) },
        "a database of an older timeline answers: two servers may be at work; stop the old one",
      ),
    onLost: ({ lostSince, ...lost }) =>
      log.error(
        {
          carrierId: lost.carrierId,
          feed: lost.feed,
          epoch: String(lost.epoch),
          seenSequence: String(lost.seenSequence),
          headSequence: String(lost.headSequence),
          lostSince: isoFromMicros(lostSince),
        },
        "the failover has lost entries of a feed: it begins a new epoch, and what was acknowledged since lostSince is to be sent again",
      ),
    onCarrierLost: (carrierId) =>
      log.error(
        { carrierId },
        "the failover has lost a carrier that had been made just before: it is to be made again",
      ),
    onError: (error) =>
      log.warn({ err: error }, "the database did not say which timeline it writes; it is asked again"),
  });
  if (synchronousCommit === "remote_apply" && !db.server.isReplicated) {
    log.warn(
      "TANDEM_SYNCHRONOUS_COMMIT is remote_apply, and the database has no synchronous replica (synchronous_standby_names is empty): " +
        "records are acknowledged as DURABILITY_DISK",
    );
  }
  return watch;
}

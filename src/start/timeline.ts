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
        inText({ before, now }),
        "the database failed over to another timeline: feeds that lost entries begin a new epoch",
      ),
    onOlderTimeline: ({ newest, now }) =>
      log.error(
        inText({ newest, now }),
        "a database with an older timeline answers: two servers may be running; stop the old one",
      ),
    onLost: ({ lostSince, ...lost }) =>
      log.error(
        { ...inText(lost), lostSince: isoFromMicros(lostSince) },
        "the failover lost entries of a feed: it begins a new epoch, and clients must send again what was acknowledged since lostSince",
      ),
    onCarrierLost: (carrierId) =>
      log.error({ carrierId }, "the failover lost a carrier that was created just before: create it again"),
    onError: (error) => log.warn({ err: error }, "the database did not say which timeline it writes; trying again"),
  });
  if (synchronousCommit === "remote_apply" && !db.server.isReplicated) {
    log.warn(
      "TANDEM_SYNCHRONOUS_COMMIT is remote_apply, and the database has no synchronous replica (synchronous_standby_names is empty): " +
        "records are acknowledged as DURABILITY_DISK",
    );
  }
  return watch;
}

/** Large numbers as texts: JSON has none. */
function inText(values: object): object {
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, typeof value === "bigint" ? `${value}` : value]),
  );
}

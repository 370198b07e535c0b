import type { Config } from "../config/config.ts";
import type { FeedId } from "../domain/feed-id.ts";
import { runAgeUploads } from "../jobs/age-uploads.ts";
import { runCloseDisclosures } from "../jobs/close-disclosures.ts";
import { runKeepZoneDays } from "../jobs/keep-zone-days.ts";
import { runMakePartitions } from "../jobs/make-partitions.ts";
import { runReconcile } from "../jobs/reconcile.ts";
import { runRestateUsage } from "../jobs/restate-usage.ts";
import { runRetention } from "../jobs/retention.ts";
import { runScheduledNumbers } from "../jobs/scheduled-numbers.ts";
import { numberWriter } from "../rpc/numbers/number-call.ts";
import type { Services } from "../rpc/shared/context.ts";
import { encodeRestatement } from "../rpc/usage/message.ts";
import type { Tx } from "../store/database/run.ts";
import type { ZoneChange } from "../store/zone-days/newer-zone-data.ts";

/** The loops that work beside the calls; disposing ends them. */
export function startJobs(
  services: Services,
  { reconcileIntervalMs, retentionIntervalMs, region }: Config,
  { onError, onSetAside }: { onError: (error: unknown) => void; onSetAside: (carrierIds: readonly string[]) => void },
): AsyncDisposable {
  const { db, log, erasures } = services;
  const onShort = (weeks: number) => log.error({ weeks }, "partitions run short: ingest will stop");
  const onZoneChange = ({ moved, kept, ...zone }: ZoneChange) => {
    const first = { movedFrom: moved[0], keptFrom: kept[0] };
    log.warn(
      { ...zone, moved: moved.length, kept: kept.length, ...first },
      "newer time zone data: future days begin at other times; days that have begun stay as they are",
    );
  };
  const stop = new AbortController();
  const running = [
    runScheduledNumbers({ writer: numberWriter(services), region, onError }, stop.signal),
    runMakePartitions({ db, onError, onShort }, stop.signal),
    runAgeUploads({ db, onError }, stop.signal),
    runKeepZoneDays({ db, onError, onChange: onZoneChange }, stop.signal),
    runCloseDisclosures({ db, onError }, stop.signal),
    runRestateUsage({ db, region, encode: encodeRestatement, onError }, stop.signal),
  ];
  if (reconcileIntervalMs > 0) {
    const onAppended = (carrierId: string, feed: FeedId, head: bigint) => services.hub.notify(carrierId, feed, head);
    const readErased = (tx: Tx, carrierId: string) => erasures.inForce.read(tx, carrierId);
    const options = { db, region, intervalMs: reconcileIntervalMs, readErased, onAppended, onError, onSetAside };
    running.push(runReconcile(options, stop.signal));
  }
  if (retentionIntervalMs > 0)
    running.push(runRetention({ db, intervalMs: retentionIntervalMs, onError }, stop.signal));
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.all(running);
    },
  };
}

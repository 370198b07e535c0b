import { PINNED_ZONES, type ZoneData } from "../domain/time/time-zone.ts";
import { type Database, systemTransaction } from "../store/database/database.ts";
import { every } from "../store/database/every.ts";
import { readClock } from "../store/database/run.ts";
import { takeNewerZoneData, type ZoneChange } from "../store/zone-days/newer-zone-data.ts";

export interface KeepZoneDaysOptions {
  readonly db: Database;
  /** Default: what comes with this version of Tandem. */
  readonly data?: ZoneData;
  /** Milliseconds. Default one hour: a process of an older version may have filled a year since. */
  readonly intervalMs?: number;
  readonly onError: (error: unknown) => void;
  /** Told of what newer data says otherwise of a zone. */
  readonly onChange: (change: ZoneChange & { dataVersion: string }) => void;
}

/** Keeps coming days at the newest zone data of any process. Runs until the signal aborts. */
export function runKeepZoneDays(options: KeepZoneDaysOptions, signal: AbortSignal): Promise<void> {
  const { db, data = PINNED_ZONES, intervalMs = 3_600_000, onError, onChange } = options;
  return every({ intervalMs, signal, onError }, async () => {
    const changes = await systemTransaction(db, async (tx) => takeNewerZoneData(tx, data, await readClock(tx)));
    for (const change of changes) onChange({ ...change, dataVersion: data.version });
  });
}

import { DAY } from "../../domain/time/instant.ts";
import { RecordPart } from "../../gen/tandem/type/v1/agreement_pb.js";
import { eachCarrier } from "../../store/carriers/carriers.ts";
import { deleteSealKeys } from "../../store/database/seal-keys.ts";
import { readRetentionDays } from "../../store/privacy/retention-policies.ts";
import { deleteOldPeriod } from "../../store/privacy/usage-retention.ts";
import { deleteLogs, type RetentionWork } from "./retention-work.ts";

/** What feeds are made of. */
const FEED_PARTS = [RecordPart.CALL, RecordPart.DURATION, RecordPart.NUMBER_HISTORY] as const;

/** Retention of closed periods, the keys of seals, and the platform's audit events. */
export async function expirePlatform(work: RetentionWork): Promise<void> {
  while (!work.signal.aborted && (await work.step((tx) => deleteOldPeriod(tx, work.now))));
  // For a day at least, where no feed keeps anything.
  let feedDays = 1;
  let logDays = 0;
  for await (const carrier of eachCarrier(work.db)) {
    if (work.signal.aborted) return;
    const days = await work.step((tx) => readRetentionDays(tx, carrier));
    feedDays = Math.max(feedDays, ...FEED_PARTS.map((part) => days[part]));
    logDays = Math.max(logDays, days[RecordPart.LOGS]);
  }
  const before = (days: number) => work.now - BigInt(days) * DAY;
  // No feed has the entries behind the cursors that these keys sealed.
  await deleteSealKeys(work.db, before(feedDays));
  // The platform's acts concern every carrier: kept for as long as the logs of any.
  if (logDays > 0) await deleteLogs(work, undefined, before(logDays));
}

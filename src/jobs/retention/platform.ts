import type { Micros } from "../../domain/time/instant.ts";
import { RecordPart } from "../../gen/tandem/type/v1/agreement_pb.js";
import { listCarriers } from "../../store/carriers/carriers.ts";
import type { Tx } from "../../store/database/run.ts";
import { readRetentionDays } from "../../store/privacy/retention-policies.ts";
import { deleteOldPeriod } from "../../store/privacy/usage-retention.ts";
import { deleteLogs } from "./logs.ts";
import type { RetentionWork } from "./retention-work.ts";
import { forgetSealKeys } from "./seal-keys.ts";

const DAY_MICROS = 86_400_000_000n;
const CARRIER_PAGE = 100;

/**
 * Retention of what belongs to no single carrier: closed periods, which are a customer's, the keys
 * of seals, and the platform's own chain of audit events.
 */
export async function expirePlatform(work: RetentionWork): Promise<void> {
  while (!work.signal.aborted && (await work.step((tx) => deleteOldPeriod(tx, work.now))));
  await forgetSealKeys(work);
  const before = await work.step((tx) => findLogsCutoff(tx, work.now));
  if (before !== undefined) await deleteLogs(work, undefined, before);
}

// The platform's acts concern every carrier: kept for as long as the logs of any.
async function findLogsCutoff(tx: Tx, now: Micros): Promise<Micros | undefined> {
  let longest = 0;
  let afterCarrierId = "";
  while (true) {
    const page = await listCarriers(tx, {}, { afterCarrierId, limit: CARRIER_PAGE });
    for (const carrier of page) longest = Math.max(longest, (await readRetentionDays(tx, carrier))[RecordPart.LOGS]);
    if (page.length < CARRIER_PAGE) break;
    afterCarrierId = page.at(-1)?.carrierId ?? "";
  }
  return longest === 0 ? undefined : now - BigInt(longest) * DAY_MICROS;
}

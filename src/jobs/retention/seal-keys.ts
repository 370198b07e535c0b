import { RecordPart } from "../../gen/tandem/type/v1/agreement_pb.js";
import { listCarriers } from "../../store/carriers/carriers.ts";
import type { Tx } from "../../store/database/run.ts";
import { deleteSealKeys } from "../../store/database/seal-keys.ts";
import { readRetentionDays } from "../../store/privacy/retention-policies.ts";
import type { RetentionWork } from "./retention-work.ts";

const DAY_MICROS = 86_400_000_000n;
const CARRIER_PAGE = 100;
/** What feeds are made of. */
const FEED_PARTS = [RecordPart.CALL, RecordPart.DURATION, RecordPart.NUMBER_HISTORY] as const;
/** For as long at least, where no feed keeps anything. */
const MIN_DAYS = 1;

/**
 * Forgets the keys of seals that were replaced so long ago that no feed of any carrier still has
 * the entries behind a cursor of theirs. Whoever comes back with one all the same gets
 * CURSOR_EXPIRED, as for the entries.
 */
export async function forgetSealKeys(work: RetentionWork): Promise<void> {
  const days = await work.step(findLongestFeedDays);
  await deleteSealKeys(work.db, work.now - BigInt(days) * DAY_MICROS);
}

async function findLongestFeedDays(tx: Tx): Promise<number> {
  let longest = MIN_DAYS;
  let afterCarrierId = "";
  while (true) {
    const page = await listCarriers(tx, {}, { afterCarrierId, limit: CARRIER_PAGE });
    for (const carrier of page) {
      const days = await readRetentionDays(tx, carrier);
      longest = Math.max(longest, ...FEED_PARTS.map((part) => days[part]));
    }
    if (page.length < CARRIER_PAGE) return longest;
    afterCarrierId = page.at(-1)?.carrierId ?? "";
  }
}

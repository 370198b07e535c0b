import { sql } from "kysely";
import { FeedId } from "../../domain/feed-id.ts";
import { isoFromMicros, type Micros } from "../../domain/time/instant.ts";
import { readRow, run, type Tx } from "../database/run.ts";

/** How many readers of a feed may have received what was erased, and have or have not been told. */
export async function countRecipients(
  tx: Tx,
  carrierId: string,
  feed: FeedId,
  entries: { first: bigint; last: bigint },
): Promise<{ informed: number; uninformed: number }> {
  // Readers are credentials in the disclosure log, and consumers, who commit what they have stored.
  const consumers =
    feed === FeedId.CDRS
      ? sql`UNION ALL SELECT 'consumer ' || consumer, committed_sequence, 0 FROM cdr_consumer WHERE carrier_id = ${carrierId}`
      : sql``;
  const counts = await readRow(tx)<{ informed: number; uninformed: number }>`
    SELECT count(*) FILTER (WHERE reached >= ${entries.last})::int4 AS informed, count(*) FILTER (WHERE reached < ${entries.last})::int4 AS uninformed
    FROM (
      SELECT credential_id AS reader, max(COALESCE(through_sequence, after_sequence)) AS reached, min(after_sequence) AS began
      FROM disclosure WHERE carrier_id = ${carrierId} AND feed = ${feed} GROUP BY credential_id ${consumers}) r
    WHERE r.began < ${entries.first} - 1`;
  return counts ?? { informed: 0, uninformed: 0 };
}

/** Removes a number's hash from the requests in the disclosure log. Needs the owner's rights. */
export async function eraseDisclosedNumber(tx: Tx, carrierId: string, hash: string, since: Micros): Promise<number> {
  const { count } = await run(tx)`
    UPDATE disclosure SET filter_json = replace(filter_json, ${hash}, 'erased')
    WHERE carrier_id = ${carrierId} AND filter_has_number AND commit_time >= ${isoFromMicros(since)}::timestamptz
      AND position(${hash} IN filter_json) > 0`;
  return count;
}

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import type {
  DiscrepancyFeedEntry,
  ReconciliationService,
} from "../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import type { DiscrepancyFilterSchema } from "../gen/tandem/type/v1/discrepancy_pb.js";
import { type FeedRun, type FollowEntriesOptions, followEntries } from "./follow-entries.ts";
import type { FollowResult } from "./follow-feed.ts";

/** A run of the discrepancy feed: to be applied as an upsert by discrepancy_id and revision. */
export type DiscrepancyRun = FeedRun<DiscrepancyFeedEntry>;

/**
 * The options of `followDiscrepancies`. A start at a consumer is refused. A discrepancy that a
 * change takes out of the filter comes once more.
 */
export type FollowDiscrepanciesOptions = FollowEntriesOptions<
  DiscrepancyFeedEntry,
  MessageInitShape<typeof DiscrepancyFilterSchema>
>;

/**
 * Follows the carrier's discrepancy feed and comes back after every cut, with nothing lost; see
 * `followFeed` for what it throws.
 *
 * @example await followDiscrepancies(createClient(ReconciliationService, transport), { start: {
 *   case: "earliest", value: {} }, filter: { unresolved: true }, store:
 *   fileCursorStore("discrepancies.cursor.json"), apply: async (run) => await
 *   tickets.upsert(run.entries), signal: stop.signal, });
 */
export function followDiscrepancies(
  client: Client<typeof ReconciliationService>,
  options: FollowDiscrepanciesOptions,
): Promise<FollowResult> {
  return followEntries(client.watchDiscrepancies, options);
}

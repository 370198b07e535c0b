import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import type { CdrFeedEntry, CdrFilterSchema, CdrService } from "../gen/tandem/carrier/v1/cdr_service_pb.js";
import { type FeedRun, type FollowEntriesOptions, followEntries } from "./follow-entries.ts";
import type { FollowResult } from "./follow-feed.ts";

/** A run of the CDR feed. */
export type CdrRun = FeedRun<CdrFeedEntry>;

/** The options of `followCdrs`. */
export type FollowCdrsOptions = FollowEntriesOptions<CdrFeedEntry, MessageInitShape<typeof CdrFilterSchema>>;

/**
 * Follows the carrier's CDR feed and comes back after every cut, with nothing lost; see
 * `followFeed` for what it throws.
 *
 * @example await followCdrs(createClient(CdrService, transport), { start: { case: "earliest",
 *   value: {} }, store: fileCursorStore("cdrs.cursor.json"), apply: async (run) => await
 *   warehouse.upsert(run.entries), signal: stop.signal, });
 */
export function followCdrs(client: Client<typeof CdrService>, options: FollowCdrsOptions): Promise<FollowResult> {
  return followEntries(client.streamCdrs, options);
}

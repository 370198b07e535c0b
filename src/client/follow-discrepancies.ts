import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import type {
  DiscrepancyFeedEntry,
  ReconciliationService,
  WatchDiscrepanciesResponse,
} from "../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import type { DiscrepancyFilterSchema } from "../gen/tandem/type/v1/discrepancy_pb.js";
import type { FeedEndSchema, FeedStartSchema } from "../gen/tandem/type/v1/feed_pb.js";
import type { FeedPosition } from "./cursor-store.ts";
import { type FollowOptions, type FollowResult, followFeed } from "./follow-feed.ts";

/** A run of the discrepancy feed: all its entries in (`afterSequence`, `position.sequence`] that match the filter. */
export interface DiscrepancyRun {
  readonly entries: readonly DiscrepancyFeedEntry[];
  readonly afterSequence: bigint;
  /** Where the client stands once the run is applied. */
  readonly position: FeedPosition;
}

/** What `followDiscrepancies` can be told. */
export interface FollowDiscrepanciesOptions extends FollowOptions {
  /** Where to begin when the store holds no position. Required: a silent default would lose data. A consumer is refused. */
  readonly start: NonNullable<MessageInitShape<typeof FeedStartSchema>["position"]>;
  /** Where to end. Absent: follow live. With `head`, a resume reads the head again: it may bring more, never less. */
  readonly end?: NonNullable<MessageInitShape<typeof FeedEndSchema>["position"]>;
  /** Which discrepancies; one that a change takes out of it comes once more. A stored position is good only with the filter that it was made with. */
  readonly filter?: MessageInitShape<typeof DiscrepancyFilterSchema>;
  /** Applies a run: an upsert by discrepancy_id and revision. */
  readonly apply: (run: DiscrepancyRun, signal: AbortSignal) => Promise<void>;
}

/**
 * Follows the carrier's discrepancy feed and comes back after every cut, with nothing lost; see `followFeed` for what it throws.
 *
 * @example
 * await followDiscrepancies(createClient(ReconciliationService, transport), {
 *   start: { case: "earliest", value: {} },
 *   filter: { unresolved: true },
 *   store: fileCursorStore("discrepancies.cursor.json"),
 *   apply: async (run) => await tickets.upsert(run.entries),
 *   signal: stop.signal,
 * });
 */
export function followDiscrepancies(
  client: Client<typeof ReconciliationService>,
  options: FollowDiscrepanciesOptions,
): Promise<FollowResult> {
  const { filter, end } = options;
  return followFeed<WatchDiscrepanciesResponse>(
    {
      open: (resumeFrom, signal) =>
        client.watchDiscrepancies(
          {
            start: { position: resumeFrom ?? options.start },
            ...(end === undefined ? {} : { end: { position: end } }),
            ...(filter === undefined ? {} : { filter }),
          },
          { signal },
        ),
      sequencesOf: ({ frame }) => (frame.case === "batch" ? frame.value.entries.map(sequenceOf) : undefined),
      filtered: filter !== undefined,
      apply: async ({ frame, afterSequence }, position, signal) => {
        if (frame.case !== "batch" || frame.value.entries.length === 0) return;
        await options.apply({ entries: frame.value.entries, afterSequence, position }, signal);
      },
    },
    options,
  );
}

function sequenceOf({ entry }: DiscrepancyFeedEntry): bigint {
  return entry.value?.sequence ?? 0n;
}

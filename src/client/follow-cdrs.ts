import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import type {
  CdrFeedEntry,
  CdrFilterSchema,
  CdrService,
  StreamCdrsResponse,
} from "../gen/tandem/carrier/v1/cdr_service_pb.js";
import type { FeedEndSchema, FeedStartSchema } from "../gen/tandem/type/v1/feed_pb.js";
import type { FeedPosition } from "./cursor-store.ts";
import { type FollowOptions, type FollowResult, followFeed } from "./follow-feed.ts";

/** A run of the CDR feed: all its entries in (`afterSequence`, `position.sequence`] that match the filter. */
export interface CdrRun {
  readonly entries: readonly CdrFeedEntry[];
  readonly afterSequence: bigint;
  /** Where the client stands once the run is applied. */
  readonly position: FeedPosition;
}

/** What `followCdrs` can be told. */
export interface FollowCdrsOptions extends FollowOptions {
  /** Where to begin when the store holds no position. Required: a silent default would lose data. */
  readonly start: NonNullable<MessageInitShape<typeof FeedStartSchema>["position"]>;
  /** Where to end. Absent: follow live. With `head`, a resume reads the head again: it may bring more, never less. */
  readonly end?: NonNullable<MessageInitShape<typeof FeedEndSchema>["position"]>;
  /** Which records. A stored position is good only with the filter that it was made with. */
  readonly filter?: MessageInitShape<typeof CdrFilterSchema>;
  /** Applies a run. It must be idempotent by identity and revision, or store the position together with the entries. */
  readonly apply: (run: CdrRun, signal: AbortSignal) => Promise<void>;
}

/**
 * Follows the carrier's CDR feed and comes back after every cut, with nothing lost; see `followFeed` for what it throws.
 *
 * @example
 * await followCdrs(createClient(CdrService, transport), {
 *   start: { case: "earliest", value: {} },
 *   store: fileCursorStore("cdrs.cursor.json"),
 *   apply: async (run) => await warehouse.upsert(run.entries),
 *   signal: stop.signal,
 * });
 */
export function followCdrs(client: Client<typeof CdrService>, options: FollowCdrsOptions): Promise<FollowResult> {
  const { filter, end } = options;
  return followFeed<StreamCdrsResponse>(
    {
      open: (resumeFrom, signal) =>
        client.streamCdrs(
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

function sequenceOf({ entry }: CdrFeedEntry): bigint {
  return entry.value?.sequence ?? 0n;
}

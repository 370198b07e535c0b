import type { MessageInitShape } from "@bufbuild/protobuf";
import { given } from "../domain/given.ts";
import type { FeedEndSchema, FeedStartSchema } from "../gen/tandem/type/v1/feed_pb.js";
import type { FeedPosition } from "./cursor-store.ts";
import { type FeedMessage, type FollowOptions, type FollowResult, followFeed } from "./follow-feed.ts";

/** What feeds of entries carry: a record of whatever kind, or an erasure. */
interface FeedEntry {
  readonly entry: {
    readonly case: string | undefined;
    readonly value?: { readonly sequence: bigint } | undefined;
  };
}

/**
 * A run of a feed: all its entries in (`afterSequence`, `position.sequence`] that match the filter.
 */
export interface FeedRun<Entry extends FeedEntry> {
  readonly entries: readonly Entry[];
  readonly afterSequence: bigint;
  /** Where the client stands once the run is applied. */
  readonly position: FeedPosition;
}

/** The options of followers of entries. */
export interface FollowEntriesOptions<Entry extends FeedEntry, Filter> extends FollowOptions {
  /**
   * Where to begin when the store holds no position. Required: a silent default would lose data.
   */
  readonly start: NonNullable<MessageInitShape<typeof FeedStartSchema>["position"]>;
  /**
   * Where to end. Absent: follow live. With `head`, a resume reads the head again: it may bring
   * more, never less.
   */
  readonly end?: NonNullable<MessageInitShape<typeof FeedEndSchema>["position"]>;
  /** Which entries. A stored position is good only with the filter that it was made with. */
  readonly filter?: Filter;
  /**
   * Applies a run. It must be idempotent by identity and revision, or store the position together
   * with the entries.
   */
  readonly apply: (run: FeedRun<Entry>, signal: AbortSignal) => Promise<void>;
}

/** What the messages of feeds of entries have in common. */
interface EntryMessage<Entry> extends FeedMessage {
  readonly frame:
    | { readonly case: "batch"; readonly value: { readonly entries: readonly Entry[] } }
    | { readonly case: "opened" | "caughtUp" | "heartbeat" | "closing" | undefined; readonly value?: unknown };
}

/** Calls the server. */
type OpenFeed<Entry extends FeedEntry, Filter> = (
  request: Pick<FollowEntriesOptions<Entry, Filter>, "filter"> & {
    start: { position: FollowEntriesOptions<Entry, Filter>["start"] };
    end?: { position: NonNullable<FollowEntriesOptions<Entry, Filter>["end"]> };
  },
  options: { signal: AbortSignal },
) => AsyncIterable<EntryMessage<Entry>>;

/** Follows a feed of entries, as `followFeed` does. */
export function followEntries<Entry extends FeedEntry, Filter>(
  open: OpenFeed<Entry, Filter>,
  options: FollowEntriesOptions<Entry, Filter>,
): Promise<FollowResult> {
  const { start, end, filter } = options;
  const entriesOf = ({ frame }: EntryMessage<Entry>) => (frame.case === "batch" ? frame.value.entries : undefined);
  return followFeed<EntryMessage<Entry>>(
    {
      open: (resumeFrom, signal) =>
        open(
          { start: { position: resumeFrom ?? start }, ...given({ end: end && { position: end }, filter }) },
          { signal },
        ),
      sequencesOf: (message) => entriesOf(message)?.map(({ entry }) => entry.value?.sequence ?? 0n),
      filtered: filter !== undefined,
      apply: async (message, position, signal) => {
        const entries = entriesOf(message) ?? [];
        if (entries.length > 0)
          await options.apply({ entries, afterSequence: message.afterSequence, position }, signal);
      },
    },
    options,
  );
}

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { given } from "../domain/given.ts";
import type { NumberChange, NumberService, WatchNumbersResponse } from "../gen/tandem/carrier/v1/number_service_pb.js";
import type { NumberFilterSchema, PhoneNumber } from "../gen/tandem/type/v1/phone_number_pb.js";
import type { FeedPosition } from "./cursor-store.ts";
import type { FollowEntriesOptions } from "./follow-entries.ts";
import { type FollowResult, followFeed } from "./follow-feed.ts";

/**
 * What a watch of the numbers brings, in this order: snapshots, one SYNCED, changes; without an
 * initial state only changes.
 */
export type NumberRun =
  | { readonly kind: "SNAPSHOT"; readonly numbers: readonly PhoneNumber[]; readonly position: FeedPosition }
  /** Numbers that the mirror held before and did not get in the snapshot are to be dropped. */
  | { readonly kind: "SYNCED"; readonly numberCount: bigint; readonly position: FeedPosition }
  /** Apply a row only if its revision is greater than the mirror's. */
  | {
      readonly kind: "CHANGES";
      readonly changes: readonly NumberChange[];
      readonly afterSequence: bigint;
      readonly position: FeedPosition;
    };

type EntriesOptions = FollowEntriesOptions<never, MessageInitShape<typeof NumberFilterSchema>>;

/** The options of `followNumbers`. */
export interface FollowNumbersOptions extends Omit<EntriesOptions, "start" | "apply"> {
  /**
   * Where to begin when the store holds no position: `initialState` sends all current rows first.
   */
  readonly start: EntriesOptions["start"] | "initialState";
  /** Applies a run. It must be idempotent by number and revision. */
  readonly apply: (run: NumberRun, signal: AbortSignal) => Promise<void>;
}

/**
 * Mirrors the carrier's numbers and comes back after every cut, also in the middle of the snapshot;
 * see `followFeed` for what it throws.
 *
 * @example await followNumbers(createClient(NumberService, transport), { start: "initialState",
 *   store: fileCursorStore("numbers.cursor.json"), apply: async (run) => await mirror.apply(run),
 *   });
 */
export function followNumbers(
  client: Client<typeof NumberService>,
  options: FollowNumbersOptions,
): Promise<FollowResult> {
  const { filter, end, start } = options;
  return followFeed<WatchNumbersResponse>(
    {
      open: (resumeFrom, signal) => {
        const position = resumeFrom ?? (start === "initialState" ? undefined : start);
        return client.watchNumbers(
          {
            initialState: position === undefined,
            ...given({ start: position && { position }, end: end && { position: end }, filter }),
          },
          { signal },
        );
      },
      sequencesOf: ({ frame }) => (frame.case === "batch" ? frame.value.changes.map(sequenceOf) : undefined),
      filtered: filter !== undefined,
      apply: async (message, position, signal) => {
        const run = runOf(message, position);
        if (run !== undefined) await options.apply(run, signal);
      },
    },
    options,
  );
}

function runOf({ frame, afterSequence }: WatchNumbersResponse, position: FeedPosition): NumberRun | undefined {
  switch (frame.case) {
    case "snapshot":
      return { kind: "SNAPSHOT", numbers: frame.value.numbers, position };
    case "synced":
      return { kind: "SYNCED", numberCount: frame.value.numberCount, position };
    case "batch":
      if (frame.value.changes.length === 0) return undefined;
      return { kind: "CHANGES", changes: frame.value.changes, afterSequence, position };
    default:
      return undefined;
  }
}

function sequenceOf({ change }: NumberChange): bigint {
  if (change.case === "phoneNumber") return change.value.revision;
  return change.value?.sequence ?? 0n;
}

import { create, type DescMessage, type MessageShape, toJson } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { InvalidArgumentError } from "commander";
import { fileCursorStore, memoryCursorStore } from "../../client/cursor-store.ts";
import type { FollowEntriesOptions } from "../../client/follow-entries.ts";
import type { FeedEvent, FollowOptions, FollowResult } from "../../client/follow-feed.ts";
import { type ErasureEntry, ErasureEntrySchema } from "../../gen/tandem/type/v1/erasure_pb.js";
import {
  FeedClosingReason,
  type FeedEnd,
  FeedEndHeadSchema,
  type FeedStart,
  FeedStartEarliestSchema,
  FeedStartLatestSchema,
} from "../../gen/tandem/type/v1/feed_pb.js";
import { carrierOption } from "./connection.ts";
import { describeResume } from "./describe-error.ts";
import { describeLoss } from "./describe-loss.ts";
import type { FieldsCommand } from "./fields.ts";
import { formatJson } from "./output.ts";
import { readTime } from "./values.ts";
import { TIME_HELP } from "./window.ts";

/** What commands that follow a feed of entries have in common. */
export interface FollowingOptions {
  readonly from: FeedStartPosition;
  readonly until?: NonNullable<FeedEnd["position"]>;
  readonly cursorFile?: string;
}

type FeedStartPosition = FollowEntriesOptions<never, never>["start"];

/**
 * `--carrier`, `--from`, `--until` and `--cursor-file`.
 * @param consumers whether a consumer's committed position can be the start.
 */
export function withFollowing(command: FieldsCommand, { consumers }: { consumers: boolean }): FieldsCommand {
  const words = consumers ? "earliest, latest, consumer:<name>" : "earliest, latest";
  const parseStart = (text: string): FeedStartPosition =>
    consumers && text.startsWith(CONSUMER)
      ? { case: "consumer", value: text.slice(CONSUMER.length) }
      : parseFeedStart(text, words);
  return command
    .addOption(carrierOption())
    .requiredOption("--from <start>", `${words}, or an ingest time; see below`, parseStart)
    .option(
      "--until <end>",
      "stop there: head (what there is now) or an ingest time (default: stay live)",
      parseFeedEnd,
    )
    .option("--cursor-file <file>", "keep the position here and resume from it at the next start");
}

const CONSUMER = "consumer:";

/** Follows until Ctrl-C or the end, and says where it ended. */
export async function followToEnd(
  { from, until, cursorFile }: FollowingOptions,
  follow: (options: Pick<FollowEntriesOptions<never, never>, "start" | "end"> & FollowOptions) => Promise<FollowResult>,
): Promise<void> {
  const result = await follow({
    start: from,
    ...(until === undefined ? {} : { end: until }),
    store: cursorStore(cursorFile),
    signal: untilInterrupted(),
    onEvent: createTeller(),
  });
  printFollowEnd(result);
}

/** Keeps a follower's position in a file, or in memory. */
export function cursorStore(file: string | undefined): FollowOptions["store"] {
  return file === undefined ? memoryCursorStore() : fileCursorStore(file);
}

/** An entry as a line of the contract's JSON: a record, or an erasure. */
export function formatJsonEntry<Desc extends DescMessage, Case extends string>(
  schema: Desc,
  recordCase: Case,
  entry: EntryOf<Case, MessageShape<Desc>>,
): string {
  if (entry.case === recordCase) return formatJson(toJson(schema, entry.value as MessageShape<Desc>));
  return formatJson({ erasure: entry.case && toJson(ErasureEntrySchema, entry.value as ErasureEntry) });
}

type EntryOf<Case extends string, Value> =
  | { case: Case; value: Value }
  | { case: "erasure"; value: ErasureEntry }
  | { case: undefined; value?: undefined };

/** Where a follower starts, as it is written: earliest, latest, or an ingest time. */
function parseFeedStart(text: string, words: string): NonNullable<FeedStart["position"]> {
  if (text === "earliest") return { case: "earliest", value: create(FeedStartEarliestSchema) };
  if (text === "latest") return { case: "latest", value: create(FeedStartLatestSchema) };
  return { case: "ingestTime", value: timeOr(text, words) };
}

/** Where a follower ends, as it is written: head, or an ingest time. */
export function parseFeedEnd(text: string): FeedEnd["position"] {
  if (text === "head") return { case: "head", value: create(FeedEndHeadSchema) };
  return { case: "ingestTime", value: timeOr(text, "head") };
}

/** Writes to standard output, and not faster than whoever reads. */
export function writeOut(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

function timeOr(text: string, words: string): Timestamp {
  const time = readTime(text);
  if (time !== undefined) return time;
  throw new InvalidArgumentError(`Expected ${words}, or a time. ${TIME_HELP}`);
}

/** Aborted by Ctrl-C, SIGTERM, or when the terminal goes; a second one ends the process at once. */
export function untilInterrupted(): AbortSignal {
  const controller = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      controller.abort();
      process.once(signal, () => process.exit(130));
    });
  }
  return controller.signal;
}

/** Tells on standard error of cuts and resumes. */
export function createTeller(): (event: FeedEvent) => void {
  let cut: unknown;
  let lostSinceMs: number | undefined;
  return (event) => {
    switch (event.kind) {
      case "CAUGHT_UP":
        console.error(`caught up at sequence ${event.position.sequence}; live`);
        break;
      case "CUT":
        // Told when it goes on; when it does not, the command's own error tells it.
        cut = event.error;
        break;
      case "CLOSING":
        if (event.reason !== FeedClosingReason.END_REACHED)
          console.error(`the server closes the stream: ${FeedClosingReason[event.reason]}`);
        break;
      case "RESUMING":
        console.error(describeResume(cut, event));
        cut = undefined;
        break;
      case "OPENED":
        if (event.lostSinceMs !== undefined && event.lostSinceMs !== lostSinceMs)
          console.error(describeLoss(event.lostSinceMs));
        lostSinceMs = event.lostSinceMs;
        break;
      case "HEARTBEAT":
        break;
      default:
        throw new Error(`unknown event ${event satisfies never}`);
    }
  };
}

export function printFollowEnd({ endReached, entryCount, position, resumes }: FollowResult): void {
  const why = endReached ? "the end was reached" : "stopped";
  const where = position === undefined ? "" : ` at sequence ${position.sequence}`;
  console.error(`${why}${where}: ${entryCount} entries, ${resumes} resumes`);
}

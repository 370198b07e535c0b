import { create, type DescMessage, type MessageShape, toJson } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { InvalidArgumentError } from "commander";
import { fileCursorStore, memoryCursorStore } from "../../client/cursor-store.ts";
import type { FollowEntriesOptions } from "../../client/follow-entries.ts";
import type { FeedEvent, FollowOptions, FollowResult } from "../../client/follow-feed.ts";
import type { UploadEvent } from "../../client/upload.ts";
import { given } from "../../domain/given.ts";
import { type ErasureEntry, ErasureEntrySchema } from "../../gen/tandem/type/v1/erasure_pb.js";
import {
  FeedClosingReason,
  type FeedEnd,
  FeedEndHeadSchema,
  FeedStartEarliestSchema,
  FeedStartLatestSchema,
} from "../../gen/tandem/type/v1/feed_pb.js";
import { type ConnectionOptions, carrierOption } from "./connection.ts";
import { type CsvColumn, formatCsv, messageColumns } from "./csv-output.ts";
import { describeResume } from "./describe-error.ts";
import type { FieldsCommand } from "./fields.ts";
import { formatJson } from "./output.ts";
import { readTime } from "./values.ts";
import { TIME_HELP } from "./window.ts";

/** What commands that follow a feed of entries have in common. */
export interface FollowingOptions {
  readonly from: FollowEntriesOptions<never, never>["start"];
  readonly until?: NonNullable<FeedEnd["position"]>;
  readonly cursorFile?: string;
}

/**
 * `--carrier`, `--from`, `--until` and `--cursor-file`.
 * @param consumers whether a consumer's committed position can be the start.
 */
export function withFollowing(command: FieldsCommand, { consumers }: { consumers: boolean }): FieldsCommand {
  const words = consumers ? "earliest, latest, consumer:<name>" : "earliest, latest";
  const parseStart = (text: string): FollowingOptions["from"] => {
    if (text === "earliest") return { case: "earliest", value: create(FeedStartEarliestSchema) };
    if (text === "latest") return { case: "latest", value: create(FeedStartLatestSchema) };
    const [, consumer] = (consumers && /^consumer:(.*)$/s.exec(text)) || [];
    return consumer === undefined
      ? { case: "ingestTime", value: timeOr(text, words) }
      : { case: "consumer", value: consumer };
  };
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

/** Follows until Ctrl-C or the end, and says where it ended. */
export async function followToEnd(
  { from, until, cursorFile }: FollowingOptions,
  follow: (options: Pick<FollowEntriesOptions<never, never>, "start" | "end"> & FollowOptions) => Promise<FollowResult>,
): Promise<void> {
  const result = await follow({
    start: from,
    ...given({ end: until }),
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

/** How the entries of a feed are written. */
interface EntryFormat<Desc extends DescMessage> {
  /** Of its records. */
  readonly schema: Desc;
  readonly formatLine: (record: MessageShape<Desc>) => string;
  /** What to do about an erasure. */
  readonly onErasure: string;
  /** Default: all that a record has. */
  readonly csv?: readonly CsvColumn<MessageShape<Desc>>[];
}

type Entry = { readonly entry: { readonly case: string | undefined; readonly value?: unknown } };

/** Writes runs of entries to standard output: as lines of text or of JSON, or as CSV. */
export function createWriter<Desc extends DescMessage>(
  { json, csv: asCsv }: ConnectionOptions,
  { schema, formatLine, onErasure, csv = messageColumns(schema) }: EntryFormat<Desc>,
): (run: { readonly entries: readonly Entry[] }) => Promise<void> {
  let isFirst = true;
  const isErasure = ({ entry }: Entry) => entry.case === "erasure" || entry.case === undefined;
  const recordOf = ({ entry }: Entry) => entry.value as MessageShape<Desc>;
  const erasureOf = ({ entry }: Entry) => entry.value as ErasureEntry | undefined;
  const formatText = (each: Entry) =>
    isErasure(each) ? `erasure, at sequence ${erasureOf(each)?.sequence}: ${onErasure}` : formatLine(recordOf(each));
  const formatJsonEntry = (each: Entry) => {
    if (!isErasure(each)) return formatJson(toJson(schema, recordOf(each)));
    const erasure = erasureOf(each);
    return formatJson({ erasure: erasure && toJson(ErasureEntrySchema, erasure) });
  };
  return async ({ entries }) => {
    // One write a run.
    if (!asCsv) return await writeOut(`${entries.map(json ? formatJsonEntry : formatText).join("\n")}\n`);
    const records = entries.filter((each) => !isErasure(each)).map(recordOf);
    await writeOut(formatCsv(csv, records, isFirst));
    isFirst = false;
    // No row could say it.
    for (const each of entries) if (erasureOf(each) && isErasure(each)) console.error(formatText(each));
  };
}

/** Where a follower ends, as it is written: head, or an ingest time. */
function parseFeedEnd(text: string): NonNullable<FeedEnd["position"]> {
  if (text === "head") return { case: "head", value: create(FeedEndHeadSchema) };
  return { case: "ingestTime", value: timeOr(text, "head") };
}

/** Writes to standard output, and not faster than whoever reads. */
function writeOut(text: string): Promise<void> {
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

/** Tells on standard error what happens to a follower. */
export function createTeller(): (event: FeedEvent) => void {
  const tellCut = createCutTeller(console.error);
  return (event) => {
    if (event.kind === "CAUGHT_UP") console.error(`caught up at sequence ${event.position.sequence}; live`);
    else if (event.kind === "CLOSING" && event.reason !== FeedClosingReason.END_REACHED)
      console.error(`the server closes the stream: ${FeedClosingReason[event.reason]}`);
    else tellCut(event);
  };
}

/** Tells of cuts and resumes, and what an operator is to do after something was lost. */
export function createCutTeller(tell: (text: string) => void): (event: FeedEvent | UploadEvent) => void {
  let cut: unknown;
  let lostSinceMs: number | undefined;
  return (event) => {
    // Told when it goes on; when it does not, the command's own error tells it.
    if (event.kind === "CUT") cut = event.error;
    if (event.kind === "RESUMING") {
      tell(describeResume(cut, event));
      cut = undefined;
    }
    if (event.kind !== "OPENED" || event.lostSinceMs === lostSinceMs) return;
    ({ lostSinceMs } = event);
    if (lostSinceMs === undefined) return;
    const since = new Date(lostSinceMs).toISOString();
    tell(
      "a failover or a restore lost the newest records: send everything again that was acknowledged since " +
        `${since} (what is still there comes out as a duplicate)`,
    );
  };
}

export function printFollowEnd({ endReached, entryCount, position, resumes }: FollowResult): void {
  const why = endReached ? "the end was reached" : "stopped";
  const where = position === undefined ? "" : ` at sequence ${position.sequence}`;
  console.error(`${why}${where}: ${entryCount} entries, ${resumes} resumes`);
}

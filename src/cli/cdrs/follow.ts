import { create, toJson } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { type Command, InvalidArgumentError } from "commander";
import { fileCursorStore, memoryCursorStore } from "../../client/cursor-store.ts";
import { type FollowCdrsOptions, followCdrs } from "../../client/follow-cdrs.ts";
import { type CdrFeedEntry, CdrService } from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import { CallDetailRecordSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { ErasureEntrySchema } from "../../gen/tandem/type/v1/erasure_pb.js";
import { FeedEndHeadSchema, FeedStartEarliestSchema, FeedStartLatestSchema } from "../../gen/tandem/type/v1/feed_pb.js";
import { asCarrier, type ConnectionOptions, connect, remoteCommand } from "../connection.ts";
import { createTeller, printFollowEnd, untilInterrupted } from "../following.ts";
import { readTime } from "../values.ts";
import { TIME_HELP } from "../window.ts";
import { type CdrFilterOptions, cdrFilterOf, withCdrFilter } from "./cdr-filter.ts";
import { formatCdrLine } from "./print-cdrs.ts";

interface CdrFollowOptions extends ConnectionOptions, CdrFilterOptions {
  readonly from: FollowCdrsOptions["start"];
  readonly until?: NonNullable<FollowCdrsOptions["end"]>;
  readonly cursorFile?: string;
}

/** `tandem cdrs follow` */
export function followCommand(): Command {
  const command = remoteCommand("follow")
    .description("Follow the feed: each record as it comes, resumed after every cut, until Ctrl-C or the end.")
    .addOption(asCarrier())
    .requiredOption("--from <start>", "earliest, latest, consumer:<name>, or an ingest time; see below", parseStart)
    .option("--until <end>", "stop there: head (what there is now), or an ingest time; else it stays live", parseEnd)
    .option("--cursor-file <file>", "keep the position here, and go on from it at the next start");
  return withCdrFilter(command)
    .addHelpText(
      "after",
      `
A start is required, because a silent default loses data. ${TIME_HELP}
With --json: one record a line, as the contract's JSON. Messages go to standard error.

Examples:
  tandem cdrs follow --carrier nordlys-tele --from latest
  tandem cdrs follow --carrier nordlys-tele --from earliest --until head --json > records.jsonl
  tandem cdrs follow --carrier nordlys-tele --from earliest --cursor-file cdrs.cursor --quality poor`,
    )
    .action(follow);
}

async function follow(options: CdrFollowOptions): Promise<void> {
  using connection = await connect(options, "carrier");
  const filter = cdrFilterOf(options);
  const result = await followCdrs(connection.client(CdrService), {
    start: options.from,
    ...(options.until === undefined ? {} : { end: options.until }),
    ...(filter === undefined ? {} : { filter }),
    store: options.cursorFile === undefined ? memoryCursorStore() : fileCursorStore(options.cursorFile),
    signal: untilInterrupted(),
    onEvent: createTeller(),
    apply: async ({ entries }) => {
      const lines = entries.map(options.json ? formatJsonLine : formatLine);
      // One write a batch, and not faster than whoever reads.
      await writeOut(`${lines.join("\n")}\n`);
    },
  });
  printFollowEnd(result);
}

function formatJsonLine({ entry }: CdrFeedEntry): string {
  if (entry.case === "record") return JSON.stringify(toJson(CallDetailRecordSchema, entry.value));
  return JSON.stringify({ erasure: entry.case && toJson(ErasureEntrySchema, entry.value) });
}

function formatLine({ entry }: CdrFeedEntry): string {
  if (entry.case === "record") return formatCdrLine(entry.value);
  return `erasure, at sequence ${entry.value?.sequence}: delete what it names`;
}

function writeOut(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

function parseStart(text: string): FollowCdrsOptions["start"] {
  if (text === "earliest") return { case: "earliest", value: create(FeedStartEarliestSchema) };
  if (text === "latest") return { case: "latest", value: create(FeedStartLatestSchema) };
  if (text.startsWith("consumer:")) return { case: "consumer", value: text.slice("consumer:".length) };
  return { case: "ingestTime", value: timeOr(text, "earliest, latest, consumer:<name>") };
}

function parseEnd(text: string): NonNullable<FollowCdrsOptions["end"]> {
  if (text === "head") return { case: "head", value: create(FeedEndHeadSchema) };
  return { case: "ingestTime", value: timeOr(text, "head") };
}

function timeOr(text: string, words: string): Timestamp {
  const time = readTime(text);
  if (time !== undefined) return time;
  throw new InvalidArgumentError(`Expected ${words}, or a time. ${TIME_HELP}`);
}

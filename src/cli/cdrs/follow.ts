import { toJson } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { fileCursorStore, memoryCursorStore } from "../../client/cursor-store.ts";
import { type FollowCdrsOptions, followCdrs } from "../../client/follow-cdrs.ts";
import { type CdrFeedEntry, CdrService } from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import { CallDetailRecordSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { ErasureEntrySchema } from "../../gen/tandem/type/v1/erasure_pb.js";
import { asCarrier, type ConnectionOptions, connect, remoteCommand } from "../connection.ts";
import {
  createTeller,
  parseFeedEnd,
  parseFeedStart,
  printFollowEnd,
  untilInterrupted,
  writeOut,
} from "../following.ts";
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
    .option(
      "--until <end>",
      "stop there: head (what there is now), or an ingest time; else it stays live",
      parseFeedEnd,
    )
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
      // One write a batch.
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

function parseStart(text: string): FollowCdrsOptions["start"] {
  if (text.startsWith("consumer:")) return { case: "consumer", value: text.slice("consumer:".length) };
  return parseFeedStart(text, "earliest, latest, consumer:<name>");
}

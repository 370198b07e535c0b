import { toJson } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { fileCursorStore, memoryCursorStore } from "../../client/cursor-store.ts";
import { type FollowDiscrepanciesOptions, followDiscrepancies } from "../../client/follow-discrepancies.ts";
import {
  type DiscrepancyFeedEntry,
  ReconciliationService,
} from "../../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { DiscrepancySchema } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { ErasureEntrySchema } from "../../gen/tandem/type/v1/erasure_pb.js";
import { asCarrier, type ConnectionOptions, connect, remoteCommand } from "../connection.ts";
import { csvOption, formatCsv } from "../csv-output.ts";
import {
  createTeller,
  parseFeedEnd,
  parseFeedStart,
  printFollowEnd,
  untilInterrupted,
  writeOut,
} from "../following.ts";
import { TIME_HELP } from "../window.ts";
import { type DiscrepancyFilterOptions, discrepancyFilterOf, withDiscrepancyFilter } from "./discrepancy-filter.ts";
import { DISCREPANCY_CSV, formatDiscrepancyLine } from "./print-discrepancies.ts";

interface DiscrepancyFollowOptions extends ConnectionOptions, DiscrepancyFilterOptions {
  readonly from: FollowDiscrepanciesOptions["start"];
  readonly until?: NonNullable<FollowDiscrepanciesOptions["end"]>;
  readonly cursorFile?: string;
  readonly csv?: true;
}

/** `tandem reconcile follow` */
export function followCommand(): Command {
  const command = remoteCommand("follow")
    .description("Follow a carrier's discrepancies: each new one, change and resolution, resumed after every cut.")
    .addOption(asCarrier())
    .requiredOption("--from <start>", "earliest, latest, or an ingest time; see below", (text) => parseFeedStart(text))
    .option(
      "--until <end>",
      "stop there: head (what there is now), or an ingest time; else it stays live",
      parseFeedEnd,
    )
    .option("--cursor-file <file>", "keep the position here, and go on from it at the next start")
    .addOption(csvOption());
  return withDiscrepancyFilter(command)
    .addHelpText(
      "after",
      `
A start is required, because a silent default loses data. ${TIME_HELP}
With --json: one entry a line, as the contract's JSON; with --csv: a row each. Messages go to standard error. Behind # is the revision: of one
discrepancy the highest counts. One that a change takes out of the filter comes once more.

Examples:
  tandem reconcile follow --carrier nordlys-tele --from latest
  tandem reconcile follow --carrier nordlys-tele --from earliest --until head --json > discrepancies.jsonl
  tandem reconcile follow --carrier nordlys-tele --from earliest --unresolved --cursor-file open.cursor`,
    )
    .action(follow);
}

async function follow(options: DiscrepancyFollowOptions): Promise<void> {
  using connection = await connect(options, "carrier");
  const filter = discrepancyFilterOf(options);
  const result = await followDiscrepancies(connection.client(ReconciliationService), {
    start: options.from,
    ...(options.until === undefined ? {} : { end: options.until }),
    ...(filter === undefined ? {} : { filter }),
    store: options.cursorFile === undefined ? memoryCursorStore() : fileCursorStore(options.cursorFile),
    signal: untilInterrupted(),
    onEvent: createTeller(),
    apply: createWriter(options),
  });
  printFollowEnd(result);
}

function createWriter({ json, csv }: DiscrepancyFollowOptions): FollowDiscrepanciesOptions["apply"] {
  let isFirst = true;
  return async ({ entries }) => {
    if (!csv) {
      await writeOut(`${entries.map(json ? formatJsonLine : formatLine).join("\n")}\n`);
      return;
    }
    const discrepancies = entries.flatMap(({ entry }) => (entry.case === "discrepancy" ? [entry.value] : []));
    await writeOut(formatCsv(DISCREPANCY_CSV, discrepancies, isFirst));
    isFirst = false;
    // No row could say it.
    for (const each of entries) if (each.entry.case === "erasure") console.error(formatLine(each));
  };
}

function formatJsonLine({ entry }: DiscrepancyFeedEntry): string {
  if (entry.case === "discrepancy") return JSON.stringify(toJson(DiscrepancySchema, entry.value));
  return JSON.stringify({ erasure: entry.case && toJson(ErasureEntrySchema, entry.value) });
}

function formatLine({ entry }: DiscrepancyFeedEntry): string {
  if (entry.case === "discrepancy") return formatDiscrepancyLine(entry.value);
  return `erasure, at sequence ${entry.value?.sequence}: erase the party of what it names`;
}

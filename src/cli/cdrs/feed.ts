import type { Command } from "commander";
import { type CdrConsumer, CdrService } from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import { callAndPrint, listAndPrint } from "../shared/calls.ts";
import { type ConnectionOptions, carrierOption, csvCommand } from "../shared/connection.ts";
import { formatCount, printFields, printRows, type RowColumn } from "../shared/output.ts";
import { formatDuration, formatTime } from "../shared/values.ts";

/** `tandem cdrs feed` */
export function feedCommand(): Command {
  return csvCommand("feed")
    .description("Show the feed's epoch, oldest and newest entry.")
    .addOption(carrierOption())
    .addHelpText("after", "\nExample:\n  tandem cdrs feed --carrier nordlys-tele")
    .action((options: ConnectionOptions) =>
      callAndPrint(options, CdrService.method.getCdrFeed, {}, (feed) => {
        const isEmpty = feed.headSequence < feed.earliestSequence;
        printFields([
          ["entries", formatCount(feed.headSequence - feed.earliestSequence + 1n)],
          ["earliest", isEmpty ? undefined : `${feed.earliestSequence}`],
          ["head", isEmpty ? undefined : `${feed.headSequence}, ingested ${formatTime(feed.headIngestTime)}`],
          ["epoch", `${feed.feedEpoch}`],
          ["kept for", feed.retentionDays === undefined ? undefined : `${feed.retentionDays} days`],
        ]);
      }),
    );
}

/** `tandem cdrs consumers` */
export function consumersCommand(): Command {
  return csvCommand("consumers")
    .description("Show the named consumers and how far behind each is.")
    .addOption(carrierOption())
    .addHelpText("after", "\nExample:\n  tandem cdrs consumers --carrier nordlys-tele")
    .action((options: ConnectionOptions) =>
      listAndPrint(options, CdrService.method.listCdrConsumers, {}, "consumers", {
        print: (consumers) => printRows(CONSUMERS, consumers, "No consumer has committed a cursor yet."),
      }),
    );
}

const CONSUMERS: readonly RowColumn<CdrConsumer>[] = [
  { title: "consumer", read: ({ consumer }) => consumer },
  { title: "sequence", align: "right", read: ({ committedSequence }) => `${committedSequence}` },
  { title: "behind", align: "right", read: ({ lagEntries }) => formatCount(lagEntries) },
  { title: "for", align: "right", read: ({ lagMs }) => formatDuration(lagMs) },
  { title: "committed", read: ({ commitTime }) => formatTime(commitTime) },
];

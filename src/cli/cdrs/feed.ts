import type { Command } from "commander";
import {
  type CdrConsumer,
  CdrService,
  GetCdrFeedResponseSchema,
  ListCdrConsumersResponseSchema,
} from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import { asCarrier, type ConnectionOptions, connect, remoteCommand } from "../shared/connection.ts";
import { formatCount, printFields, printMessage, printTable } from "../shared/output.ts";
import { formatDuration, formatTime } from "../shared/values.ts";

/** `tandem cdrs feed` */
export function feedCommand(): Command {
  return remoteCommand("feed")
    .description("Show the feed's epoch, oldest and newest entry.")
    .addOption(asCarrier())
    .action(async (options: ConnectionOptions) => {
      using connection = await connect(options, "carrier");
      const feed = await connection.client(CdrService).getCdrFeed({});
      if (options.json) {
        printMessage(GetCdrFeedResponseSchema, feed);
        return;
      }
      const isEmpty = feed.headSequence < feed.earliestSequence;
      printFields([
        ["entries", formatCount(feed.headSequence - feed.earliestSequence + 1n)],
        ["earliest", isEmpty ? undefined : `${feed.earliestSequence}`],
        ["head", isEmpty ? undefined : `${feed.headSequence}, ingested ${formatTime(feed.headIngestTime)}`],
        ["epoch", `${feed.feedEpoch}`],
        ["kept for", feed.retentionDays === undefined ? undefined : `${feed.retentionDays} days`],
      ]);
    });
}

/** `tandem cdrs consumers` */
export function consumersCommand(): Command {
  return remoteCommand("consumers")
    .description("Show the named consumers and how far behind each is.")
    .addOption(asCarrier())
    .action(async (options: ConnectionOptions) => {
      using connection = await connect(options, "carrier");
      // At most 100 a carrier: one page.
      const { consumers } = await connection.client(CdrService).listCdrConsumers({ pageSize: 1_000 });
      if (options.json) printMessage(ListCdrConsumersResponseSchema, { consumers });
      else printConsumers(consumers);
    });
}

function printConsumers(consumers: readonly CdrConsumer[]): void {
  printTable(
    [
      { title: "consumer" },
      { title: "sequence", align: "right" },
      { title: "behind", align: "right" },
      { title: "for", align: "right" },
      { title: "committed" },
    ],
    consumers.map((consumer) => [
      consumer.consumer,
      `${consumer.committedSequence}`,
      formatCount(consumer.lagEntries),
      formatDuration(consumer.lagMs),
      formatTime(consumer.commitTime),
    ]),
    "No consumer has committed a cursor yet.",
  );
}

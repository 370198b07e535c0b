import { create } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { DurationService, ListDurationsResponseSchema } from "../../gen/tandem/carrier/v1/duration_service_pb.js";
import { type CallDuration, DurationStateSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { DirectionSchema, RecordKind } from "../../gen/tandem/type/v1/call_pb.js";
import { asCarrier, type Connection, type ConnectionOptions, connect, remoteCommand } from "../shared/connection.ts";
import { printMessage, printTable } from "../shared/output.ts";
import { readPages } from "../shared/pages.ts";
import { formatParty } from "../shared/print-party.ts";
import { enumName, enumOption, formatDuration, formatTime, parseTime, parseWhole } from "../shared/values.ts";
import { TIME_HELP, type WindowOptions, windowOf, withWindow } from "../shared/window.ts";

interface DurationListOptions extends ConnectionOptions, WindowOptions {
  readonly state?: number;
  readonly limit: number;
}

/** `tandem durations list` */
export function listCommand(): Command {
  return withWindow(remoteCommand("list"))
    .description("List durations by the start of the call.")
    .addOption(asCarrier())
    .addOption(enumOption("--state <state>", "applied (default), or those in quarantine", DurationStateSchema))
    .option("--limit <count>", "how many at most", parseWhole(1, 1_000_000), 100)
    .addHelpText(
      "after",
      `\n${TIME_HELP} At most 92 days.\n\nExample:\n  tandem durations list --carrier nordlys-tele --from 7d --state quarantined`,
    )
    .action(async (options: DurationListOptions) => {
      using connection = await connect(options, "carrier");
      const { durations, isCut } = await listDurations(connection, options);
      if (options.json) printMessage(ListDurationsResponseSchema, create(ListDurationsResponseSchema, { durations }));
      else printDurations(durations);
      if (isCut) console.error(`There are more than ${options.limit}: see --limit`);
    });
}

/** `tandem durations get` */
export function getCommand(): Command {
  return withWindow(remoteCommand("get"))
    .description("Show the latest revision of a record id, for each of its days (default: of the last 91).")
    .argument("<record-id>")
    .addOption(asCarrier())
    .action(async (recordId: string, options: ConnectionOptions & WindowOptions) => {
      using connection = await connect(options, "carrier");
      const query = {
        ...options,
        from: options.from ?? parseTime("91d"),
        to: options.to ?? parseTime("now"),
        limit: 1_000,
      };
      const { durations } = await listDurations(connection, query, recordId);
      if (options.json) printMessage(ListDurationsResponseSchema, create(ListDurationsResponseSchema, { durations }));
      else printDurations(durations);
      if (durations.length === 0) process.exitCode = 1;
    });
}

async function listDurations(
  connection: Connection,
  options: DurationListOptions,
  recordId?: string,
): Promise<{ durations: CallDuration[]; isCut: boolean }> {
  const asked = {
    ...windowOf(options),
    state: options.state ?? 0,
    ...(recordId === undefined ? {} : { recordId }),
  };
  const { items: durations, isCut } = await readPages(options.limit, async (page) => {
    const listed = await connection.client(DurationService).listDurations({ ...asked, ...page });
    return { items: listed.durations, nextPageToken: listed.nextPageToken };
  });
  return { durations, isCut };
}

function printDurations(durations: readonly CallDuration[]): void {
  printTable(
    [
      { title: "start" },
      { title: "way" },
      { title: "calling" },
      { title: "called" },
      { title: "connected", align: "right" },
      { title: "customer" },
      { title: "record" },
    ],
    durations.map((duration) => [
      formatTime(duration.inviteTime ?? duration.answerTime) || duration.recordDate,
      enumName(DirectionSchema, duration.direction)?.replace("bound", "") ?? "",
      formatParty(duration.calling),
      formatParty(duration.called),
      duration.kind === RecordKind.VOID ? "void" : formatDuration(duration.connectedDurationMs),
      duration.customerId ?? "",
      `${duration.recordId}${(duration.revision ?? 1) > 1 ? `#${duration.revision}` : ""}`,
    ]),
    "No durations.",
  );
}

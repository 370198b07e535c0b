import type { Command } from "commander";
import { DurationService } from "../../gen/tandem/carrier/v1/duration_service_pb.js";
import { type CallDuration, DurationStateSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { RecordKind } from "../../gen/tandem/type/v1/call_pb.js";
import { formatRevision } from "../cdrs/print-cdrs.ts";
import { listAndPrint } from "../shared/calls.ts";
import { type ConnectionOptions, carrierOption, csvCommand } from "../shared/connection.ts";
import { printRows, type RowColumn } from "../shared/output.ts";
import {
  enumOption,
  formatDuration,
  formatParty,
  formatTime,
  formatWay,
  parseTime,
  parseWhole,
} from "../shared/values.ts";
import { lastDay, TIME_HELP, withWindow } from "../shared/window.ts";

const { listDurations } = DurationService.method;

/** `tandem durations list` */
export function listCommand(): Command {
  return withWindow(csvCommand("list"))
    .description("List durations by the start of the call.")
    .addOption(carrierOption())
    .addOption(enumOption("--state <state>", "applied (default), or those in quarantine", DurationStateSchema))
    .option("--limit <count>", "how many at most", parseWhole(1, 1_000_000), 100)
    .addHelpText(
      "after",
      `\n${TIME_HELP} At most 92 days.\n\nExample:\n  tandem durations list --carrier nordlys-tele --from 7d --state quarantined`,
    )
    .action((options: ConnectionOptions & { readonly limit: number }) =>
      listAndPrint(options, listDurations, { ...lastDay(), ...options }, "durations", { print: printDurations }),
    );
}

/** `tandem durations get` */
export function getCommand(): Command {
  return withWindow(csvCommand("get"))
    .description("Show the latest revision of a record id, for each of its days (default: of the last 91).")
    .argument("<record-id>")
    .addOption(carrierOption())
    .addHelpText("after", "\nExample:\n  tandem durations get sw1-000001 --carrier nordlys-tele")
    .action((recordId: string, options: ConnectionOptions) => {
      const request = { ...lastDay(), startTime: parseTime("91d"), ...options, recordId };
      return listAndPrint(options, listDurations, request, "durations", {
        print: printDurations,
        after: ({ durations }) => {
          if (durations.length === 0) process.exitCode = 1;
        },
      });
    });
}

function printDurations(durations: readonly CallDuration[]): void {
  printRows(COLUMNS, durations, "No durations.");
}

const COLUMNS: readonly RowColumn<CallDuration>[] = [
  {
    title: "start",
    read: ({ inviteTime, answerTime, recordDate }) => formatTime(inviteTime ?? answerTime) || recordDate,
  },
  { title: "way", read: ({ direction }) => formatWay(direction) },
  { title: "calling", read: ({ calling }) => formatParty(calling) },
  { title: "called", read: ({ called }) => formatParty(called) },
  {
    title: "connected",
    align: "right",
    read: ({ kind, connectedDurationMs }) => (kind === RecordKind.VOID ? "void" : formatDuration(connectedDurationMs)),
  },
  { title: "customer", read: ({ customerId }) => customerId },
  { title: "record", read: formatRevision },
];

import type { Command } from "commander";
import { type FollowDiscrepanciesOptions, followDiscrepancies } from "../../client/follow-discrepancies.ts";
import { given } from "../../domain/given.ts";
import {
  type DiscrepancyFeedEntry,
  ReconciliationService,
} from "../../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { DiscrepancySchema } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { type ConnectionOptions, connect, remoteCommand } from "../shared/connection.ts";
import { csvOption, formatCsv } from "../shared/csv-output.ts";
import { type FollowingOptions, followToEnd, formatJsonEntry, withFollowing, writeOut } from "../shared/following.ts";
import { TIME_HELP } from "../shared/window.ts";
import { discrepancyFilterOf, withDiscrepancyFilter } from "./discrepancy-filter.ts";
import { DISCREPANCY_CSV, formatDiscrepancyLine } from "./print-discrepancies.ts";

type DiscrepancyFollowOptions = ConnectionOptions & FollowingOptions;

/** `tandem reconcile follow` */
export function followCommand(): Command {
  const command = remoteCommand("follow").description(
    "Follow a carrier's discrepancies: new ones, changes and resolutions. Resumes after every cut.",
  );
  return withDiscrepancyFilter(withFollowing(command, { consumers: false }).addOption(csvOption()))
    .addHelpText(
      "after",
      `
A start is required, because a silent default loses data. ${TIME_HELP}
With --json: one entry per line, in the contract's JSON; with --csv: a row each. Messages go to standard error. The revision
stands after #; the highest counts. A discrepancy that no longer passes the filter is shown one last time.

Examples:
  tandem reconcile follow --carrier nordlys-tele --from latest
  tandem reconcile follow --carrier nordlys-tele --from earliest --until head --json > discrepancies.jsonl
  tandem reconcile follow --carrier nordlys-tele --from earliest --unresolved --cursor-file open.cursor`,
    )
    .action(follow);
}

async function follow(options: DiscrepancyFollowOptions): Promise<void> {
  using connection = await connect(options, "carrier");
  await followToEnd(options, (following) =>
    followDiscrepancies(connection.client(ReconciliationService), {
      ...following,
      ...given({ filter: discrepancyFilterOf(options) }),
      apply: createWriter(options),
    }),
  );
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
  return formatJsonEntry(DiscrepancySchema, "discrepancy", entry);
}

function formatLine({ entry }: DiscrepancyFeedEntry): string {
  if (entry.case === "discrepancy") return formatDiscrepancyLine(entry.value);
  return `erasure, at sequence ${entry.value?.sequence}: erase the party of what it names`;
}

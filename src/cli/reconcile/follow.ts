import type { Command } from "commander";
import { followDiscrepancies } from "../../client/follow-discrepancies.ts";
import { given } from "../../domain/given.ts";
import { ReconciliationService } from "../../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { DiscrepancySchema } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { type ConnectionOptions, connect, csvCommand } from "../shared/connection.ts";
import { createWriter, type FollowingOptions, followToEnd, withFollowing } from "../shared/following.ts";
import { TIME_HELP } from "../shared/window.ts";
import { discrepancyFilterOf, withDiscrepancyFilter } from "./discrepancy-filter.ts";
import { DISCREPANCY_CSV, formatDiscrepancyLine } from "./print-discrepancies.ts";

type DiscrepancyFollowOptions = ConnectionOptions & FollowingOptions;

/** `tandem reconcile follow` */
export function followCommand(): Command {
  const command = csvCommand("follow").description(
    "Follow a carrier's discrepancies: new ones, changes and resolutions. Resumes after every cut.",
  );
  return withDiscrepancyFilter(withFollowing(command, { consumers: false }))
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
      apply: createWriter(options, {
        schema: DiscrepancySchema,
        formatLine: formatDiscrepancyLine,
        onErasure: "erase the party of what it names",
        csv: DISCREPANCY_CSV,
      }),
    }),
  );
}

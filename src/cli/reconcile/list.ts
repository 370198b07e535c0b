import type { Command } from "commander";
import { ReconciliationService as OfCarrier } from "../../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import {
  type ListDiscrepanciesResponse,
  ListDiscrepanciesResponseSchema,
  ReconciliationService as OfAll,
} from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import type { Discrepancy } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { type Connection, type ConnectionOptions, connect, remoteCommand } from "../shared/connection.ts";
import { csvOption, printCsv } from "../shared/csv-output.ts";
import { printMessage } from "../shared/output.ts";
import { readPages } from "../shared/pages.ts";
import { parseWhole } from "../shared/values.ts";
import { DAY_HELP, type DayOptions, daysOf, withDays } from "./days.ts";
import { type DiscrepancyFilterOptions, discrepancyFilterOf, withDiscrepancyFilter } from "./discrepancy-filter.ts";
import { DISCREPANCY_CSV, printDiscrepancies } from "./print-discrepancies.ts";

interface ListOptions extends ConnectionOptions, DayOptions, DiscrepancyFilterOptions {
  readonly limit: number;
  readonly csv?: true;
}

type Page = Pick<ListDiscrepanciesResponse, "discrepancies" | "nextPageToken">;

/** Days listed by default: the most that a list may have. */
const DEFAULT_DAYS = 92;

/** `tandem reconcile list` */
export function listCommand(): Command {
  const command = withDays(remoteCommand("list"), "92 days before the last")
    .description("List the calls that disagree or once did. The platform sees every carrier's, a carrier its own.")
    .option("--carrier <id>", "only this carrier's")
    .addOption(csvOption())
    .option("--limit <count>", "how many at most", parseWhole(1, 1_000_000), 100);
  return withDiscrepancyFilter(command)
    .addHelpText(
      "after",
      `
${DAY_HELP} At most 92 days.
Deltas are carrier minus platform. To get every discrepancy and every change, follow the feed.

Examples:
  tandem reconcile list --carrier nordlys-tele --unresolved --from 7d
  tandem reconcile list --status missing-at-carrier,missing-at-platform --csv --limit 100000 > missing.csv`,
    )
    .action(async (options: ListOptions) => {
      using connection = await connect(options, "either");
      const { items: discrepancies, isCut } = await readDiscrepancies(connection, options);
      if (options.json) printMessage(ListDiscrepanciesResponseSchema, { discrepancies });
      else if (options.csv) printCsv(DISCREPANCY_CSV, discrepancies);
      else printDiscrepancies(discrepancies, connection.role === "platform" && options.carrier === undefined);
      if (isCut) console.error(`There are more than ${options.limit}: see --limit`);
    });
}

function readDiscrepancies(connection: Connection, options: ListOptions) {
  const filter = discrepancyFilterOf(options);
  const common = { ...daysOf(options, DEFAULT_DAYS), ...(filter === undefined ? {} : { filter }) };
  const { carrier: carrierId = "" } = options;
  return readPages<Page, Discrepancy>(
    (page) =>
      connection.role === "platform"
        ? connection.client(OfAll).listDiscrepancies({ ...common, ...page, carrierId })
        : connection.client(OfCarrier).listDiscrepancies({ ...common, ...page }),
    ({ discrepancies }) => discrepancies,
    options.limit,
  );
}

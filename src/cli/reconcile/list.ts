import type { Command } from "commander";
import { ReconciliationService as OfCarrier } from "../../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { ReconciliationService as OfAll } from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { listAndPrint } from "../shared/calls.ts";
import { type ConnectionOptions, carrierOption, csvCommand } from "../shared/connection.ts";
import { parseWhole } from "../shared/values.ts";
import { DAY_HELP, type Days, daysOf, withDays } from "./days.ts";
import { discrepancyFilterOf, withDiscrepancyFilter } from "./discrepancy-filter.ts";
import { DISCREPANCY_CSV, printDiscrepancies } from "./print-discrepancies.ts";

/** Days listed by default: the most that a list may have. */
const DEFAULT_DAYS = 92;

/** `tandem reconcile list` */
export function listCommand(): Command {
  const command = withDays(csvCommand("list"), "92 days before the last")
    .description("List the calls that disagree or once did. The platform sees every carrier's, a carrier its own.")
    .addOption(carrierOption("only this carrier's"))
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
    .action((options: ConnectionOptions & Days & { readonly limit: number }) => {
      const methods = [OfCarrier.method.listDiscrepancies, OfAll.method.listDiscrepancies];
      const filter = discrepancyFilterOf(options);
      const request = { ...options, ...daysOf(options, DEFAULT_DAYS), filter };
      return listAndPrint(options, methods, request, "discrepancies", {
        print: (discrepancies, role) =>
          printDiscrepancies(discrepancies, role === "platform" && options.carrierId === undefined),
        csv: DISCREPANCY_CSV,
      });
    });
}

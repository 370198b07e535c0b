import type { Command } from "commander";
import { ReconciliationService as OfCarrier } from "../../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { ReconciliationService as OfAll } from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { DirectionSchema } from "../../gen/tandem/type/v1/call_pb.js";
import { SummaryDimension, SummaryDimensionSchema } from "../../gen/tandem/type/v1/reconciliation_summary_pb.js";
import { listAndPrint } from "../shared/calls.ts";
import { type ConnectionOptions, carrierOption, csvCommand } from "../shared/connection.ts";
import { collect, enumListOption, enumOption, formatTime, parseWhole } from "../shared/values.ts";
import { DAY_HELP, type Days, daysOf, withDays } from "./days.ts";
import { printSummary, SUMMARY_CSV } from "./print-summary.ts";

interface SummaryOptions extends ConnectionOptions, Days {
  readonly groupBy?: SummaryDimension[];
  readonly limit: number;
}

/** Days summed by default. */
const DEFAULT_DAYS = 8;

/** `tandem reconcile summary` */
export function summaryCommand(): Command {
  return withDays(csvCommand("summary"), "a week before the last")
    .description("Sum up how far both sides agree. The platform sees every carrier's calls, a carrier its own.")
    .addOption(carrierOption("only this carrier's"))
    .addOption(enumListOption("--by <dimensions>", "a row for each (default: day)", SummaryDimensionSchema, "groupBy"))
    .field("customerIds", "--customer <ids>", "only of these customers", collect)
    .field("trunkIds", "--trunk <ids>", "only over these trunks", collect)
    .addOption(enumOption("--direction <direction>", "only this direction", DirectionSchema))
    .option("--limit <count>", "how many rows at most (1000)", parseWhole(1, 1_000_000), 1_000)
    .addHelpText(
      "after",
      `
net: carrier minus platform, over the platform's connected time; errors in both directions cancel out. gross: the sum of
all differences, missing calls in full, over the same. unmatched: calls without a counterpart, over all calls. A figure with
! is above its agreed threshold. All three leave out calls that are pending, voided or need not be reported. no length:
answered calls whose length one side does not know; min, net and gross leave them out.

${DAY_HELP} At most 92 days.

Examples:
  tandem reconcile summary --carrier nordlys-tele --from 2026-03-01 --to 2026-03-31
  tandem reconcile summary --by day,trunk,direction --csv > march.csv`,
    )
    .action((options: SummaryOptions) => {
      const { groupBy = [SummaryDimension.DAY] } = options;
      const methods = [OfCarrier.method.getReconciliationSummary, OfAll.method.getReconciliationSummary];
      const request = { ...options, ...daysOf(options, DEFAULT_DAYS), groupBy };
      return listAndPrint(options, methods, request, "rows", {
        print: (rows, role) => printSummary(rows, groupBy, role === "platform" && options.carrierId === undefined),
        csv: SUMMARY_CSV,
        after: ({ reconciledThroughTime: through }) => {
          if (through && !options.json)
            console.error(`Every record committed before ${formatTime(through)} is counted.`);
        },
      });
    });
}

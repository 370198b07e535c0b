import type { Command } from "commander";
import { ReconciliationService as OfCarrier } from "../../gen/tandem/carrier/v1/reconciliation_service_pb.js";
import {
  type GetReconciliationSummaryResponse,
  GetReconciliationSummaryResponseSchema,
  ReconciliationService as OfAll,
} from "../../gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { DirectionSchema } from "../../gen/tandem/type/v1/call_pb.js";
import {
  type ReconciliationSummaryRow,
  SummaryDimension,
  SummaryDimensionSchema,
} from "../../gen/tandem/type/v1/reconciliation_summary_pb.js";
import { type Connection, type ConnectionOptions, connect, remoteCommand } from "../shared/connection.ts";
import { csvOption, printCsv } from "../shared/csv-output.ts";
import { printMessage } from "../shared/output.ts";
import { readPages } from "../shared/pages.ts";
import { collect, enumListOption, enumOption, formatTime, parseWhole } from "../shared/values.ts";
import { DAY_HELP, type DayOptions, daysOf, withDays } from "./days.ts";
import { printSummary, SUMMARY_CSV } from "./print-summary.ts";

interface SummaryOptions extends ConnectionOptions, DayOptions {
  readonly by?: SummaryDimension[];
  readonly customer?: string[];
  readonly trunk?: string[];
  readonly direction?: number;
  readonly limit: number;
  readonly csv?: true;
}

/** Days summed by default. */
const DEFAULT_DAYS = 8;

/** `tandem reconcile summary` */
export function summaryCommand(): Command {
  return withDays(remoteCommand("summary"), "a week before the last")
    .description("Sum up how far both sides agree. The platform sees every carrier's calls, a carrier its own.")
    .option("--carrier <id>", "only this carrier's")
    .addOption(enumListOption("--by <dimensions>", "a row for each (default: day)", SummaryDimensionSchema))
    .option("--customer <ids>", "only of these customers", collect)
    .option("--trunk <ids>", "only over these trunks", collect)
    .addOption(enumOption("--direction <direction>", "only this direction", DirectionSchema))
    .addOption(csvOption())
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
    .action(async (options: SummaryOptions) => {
      using connection = await connect(options, "either");
      const { isCut, ...found } = await readSummary(connection, options);
      if (options.json) printMessage(GetReconciliationSummaryResponseSchema, found);
      else if (options.csv) printCsv(SUMMARY_CSV, found.rows);
      else printSummary(found.rows, groupOf(options), connection.role === "platform" && options.carrier === undefined);
      if (isCut) console.error(`There are more than ${options.limit} rows: see --limit`);
      if (found.reconciledThroughTime && !options.json)
        console.error(`Every record committed before ${formatTime(found.reconciledThroughTime)} is counted.`);
    });
}

function groupOf({ by }: SummaryOptions): SummaryDimension[] {
  return by ?? [SummaryDimension.DAY];
}

type Page = Pick<GetReconciliationSummaryResponse, "rows" | "nextPageToken" | "reconciledThroughTime">;

async function readSummary(connection: Connection, options: SummaryOptions) {
  const common = {
    ...daysOf(options, DEFAULT_DAYS),
    customerIds: options.customer ?? [],
    trunkIds: options.trunk ?? [],
    direction: options.direction ?? 0,
    groupBy: groupOf(options),
  };
  const { carrier: carrierId = "" } = options;
  let last: Page | undefined;
  const { items: rows, isCut } = await readPages<Page, ReconciliationSummaryRow>(
    async (page) => {
      last = await (connection.role === "platform"
        ? connection.client(OfAll).getReconciliationSummary({ ...common, ...page, carrierId })
        : connection.client(OfCarrier).getReconciliationSummary({ ...common, ...page }));
      return last;
    },
    (page) => page.rows,
    options.limit,
  );
  return { rows, isCut, ...(last?.reconciledThroughTime && { reconciledThroughTime: last.reconciledThroughTime }) };
}

import { Option } from "commander";
import { DirectionSchema } from "../../gen/tandem/type/v1/call_pb.js";
import {
  DiscrepancyCauseSchema,
  type DiscrepancyFilter,
  DiscrepancyFilterSchema,
  DiscrepancyStatusSchema,
} from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { type FieldsCommand, filterOf } from "../shared/fields.ts";
import { collect, enumListOption, enumOption, parseBigWhole } from "../shared/values.ts";

const MAX_DELTA_S = 1_000_000_000;

/** The options that say which discrepancies: fields of `DiscrepancyFilter`. */
export function withDiscrepancyFilter(command: FieldsCommand): FieldsCommand {
  const unresolved = new Option("--unresolved", "only those that still disagree or are pending");
  return command
    .addOption(enumListOption("--status <statuses>", "only with these statuses", DiscrepancyStatusSchema, "statuses"))
    .addOption(enumListOption("--cause <causes>", "only with one of these causes", DiscrepancyCauseSchema, "causes"))
    .field("customerIds", "--customer <ids>", "only of these customers", collect)
    .field("trunkIds", "--trunk <ids>", "only over these trunks", collect)
    .addOption(enumOption("--direction <direction>", "only this direction", DirectionSchema))
    .addOption(unresolved.conflicts("resolved"))
    .option("--resolved", "only those that agree by now or were left out")
    .field(
      "minAbsoluteDeltaMs",
      "--min-delta <seconds>",
      "only where the durations differ by at least this",
      (text) => 1_000n * parseBigWhole(0, MAX_DELTA_S)(text),
    );
}

/** As `filterOf`. */
export function discrepancyFilterOf(options: object): DiscrepancyFilter | undefined {
  return filterOf(DiscrepancyFilterSchema, "resolved" in options ? { ...options, unresolved: false } : options);
}

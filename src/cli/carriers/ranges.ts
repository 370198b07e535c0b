import { Command } from "commander";
import type { NumberRanges } from "../../gen/tandem/platform/v1/carrier_pb.js";
import { CarrierService } from "../../gen/tandem/platform/v1/carrier_service_pb.js";
import { callAndPrint } from "../shared/calls.ts";
import { type ConnectionOptions, csvCommand } from "../shared/connection.ts";
import { printFields } from "../shared/output.ts";
import { collect } from "../shared/values.ts";

export function rangesCommand(): Command {
  return new Command("ranges")
    .description("Show or set the ranges in which a carrier may claim numbers. Numbers that it holds already stay.")
    .addCommand(setCommand())
    .addCommand(showCommand());
}

function setCommand(): Command {
  return csvCommand("set")
    .description("Replace a carrier's ranges and approved single numbers. Without options it has none.")
    .argument("<carrier-id>")
    .field("prefixes", "--prefixes <prefixes>", "prefixes of its E.164 numbers: +4532,+4533123", collect)
    .field(
      "approvedNumbers",
      "--approved <numbers>",
      "single numbers that it may also claim, separated by commas",
      collect,
    )
    .field("nestingAllowed", "--nesting", "allow ranges inside those of others; the longest prefix decides")
    .addHelpText(
      "after",
      "\nExample:\n  tandem carriers ranges set nordlys-tele --prefixes +4510,+4533123 --approved +4570000001",
    )
    .action((carrierId: string, options: ConnectionOptions) =>
      callAndPrint(options, CarrierService.method.setNumberRanges, { ...options, carrierId }, printRanges),
    );
}

function showCommand(): Command {
  return csvCommand("show")
    .description("Show a carrier's ranges. Approved numbers are shown with the scope numbers.read only.")
    .argument("<carrier-id>")
    .addHelpText("after", "\nExample:\n  tandem carriers ranges show nordlys-tele")
    .action((carrierId: string, options: ConnectionOptions) =>
      callAndPrint(options, CarrierService.method.getNumberRanges, { carrierId }, printRanges),
    );
}

function printRanges({ ranges }: { ranges?: NumberRanges | undefined }): void {
  if (ranges === undefined) return;
  const { prefixes, approvedNumbers, approvedNumberCount } = ranges;
  printFields([
    ["carrier", ranges.carrierId],
    [
      "prefixes",
      prefixes.length > 0 ? prefixes.join(", ") : "none: it may claim any number outside the ranges of others",
    ],
    ["approved", approvedNumbers.length > 0 ? approvedNumbers.join(", ") : String(approvedNumberCount)],
  ]);
}

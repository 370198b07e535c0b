import { randomUUID } from "node:crypto";
import { Command } from "commander";
import type { NumberRanges } from "../../gen/tandem/platform/v1/carrier_pb.js";
import {
  CarrierService,
  GetNumberRangesResponseSchema,
  SetNumberRangesResponseSchema,
} from "../../gen/tandem/platform/v1/carrier_service_pb.js";
import { type ConnectionOptions, connect, remoteCommand } from "../shared/connection.ts";
import { printFields, printMessage } from "../shared/output.ts";
import { collect } from "../shared/values.ts";

/** `tandem carriers ranges`: which numbers a carrier may claim. */
export function rangesCommand(): Command {
  return new Command("ranges")
    .description("Say in which ranges a carrier may claim numbers. What it holds already stays.")
    .addCommand(setCommand())
    .addCommand(showCommand());
}

interface SetOptions extends ConnectionOptions {
  readonly prefixes: string[];
  readonly approved: string[];
  readonly nesting?: true;
}

function setCommand(): Command {
  return remoteCommand("set")
    .description("Replace a carrier's ranges and the single numbers that are approved for it; without any: none.")
    .argument("<carrier-id>")
    .option("--prefixes <prefixes>", "beginnings of its E.164 numbers, with commas: +4532,+4533123", collect, [])
    .option("--approved <numbers>", "single numbers that it may claim besides, with commas", collect, [])
    .option("--nesting", "ranges may lie within those of others; the longest prefix decides")
    .addHelpText(
      "after",
      "\nExample:\n  tandem carriers ranges set nordlys-tele --prefixes +4532,+4533123 --approved +4570000001",
    )
    .action(async (carrierId: string, options: SetOptions) => {
      using connection = await connect(options, "platform");
      const response = await connection.client(CarrierService).setNumberRanges({
        requestId: randomUUID(),
        carrierId,
        prefixes: options.prefixes,
        approvedNumbers: options.approved,
        nestingAllowed: options.nesting ?? false,
      });
      if (options.json) printMessage(SetNumberRangesResponseSchema, response);
      else printRanges(response.ranges);
    });
}

function showCommand(): Command {
  return remoteCommand("show")
    .description("Show a carrier's ranges; the numbers approved for it with the scope numbers.read only.")
    .argument("<carrier-id>")
    .action(async (carrierId: string, options: ConnectionOptions) => {
      using connection = await connect(options, "platform");
      const response = await connection.client(CarrierService).getNumberRanges({ carrierId });
      if (options.json) printMessage(GetNumberRangesResponseSchema, response);
      else printRanges(response.ranges);
    });
}

function printRanges(ranges: NumberRanges | undefined): void {
  if (ranges === undefined) return;
  const { prefixes, approvedNumbers, approvedNumberCount } = ranges;
  printFields([
    ["carrier", ranges.carrierId],
    ["prefixes", prefixes.length > 0 ? prefixes.join(", ") : "none: it may claim what lies in no other's"],
    ["approved", approvedNumbers.length > 0 ? approvedNumbers.join(", ") : String(approvedNumberCount)],
  ]);
}

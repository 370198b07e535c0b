import type { Command } from "commander";
import { NumberService as CarrierNumberService } from "../../gen/tandem/carrier/v1/number_service_pb.js";
import { NumberService as PlatformNumberService } from "../../gen/tandem/platform/v1/platform_number_service_pb.js";
import { NumberFilterSchema, NumberStateSchema } from "../../gen/tandem/type/v1/phone_number_pb.js";
import { callAndPrint, listAndPrint } from "../shared/calls.ts";
import { type ConnectionOptions, carrierOption, csvCommand } from "../shared/connection.ts";
import { type FieldsCommand, filterOf } from "../shared/fields.ts";
import { enumListOption, parseWhole, upperCase } from "../shared/values.ts";
import { printNumber, printNumbers } from "./print-numbers.ts";

/** The options that say which numbers: fields of `NumberFilter`. */
export function withNumberFilter(command: FieldsCommand): FieldsCommand {
  return command
    .addOption(enumListOption("--state <states>", "only in these states", NumberStateSchema, "states"))
    .field("customerId", "--customer <id>", "only of this customer")
    .field("countryCode", "--country <code>", "only of this country", upperCase)
    .field("numberPrefix", "--prefix <digits>", "only those that begin with this, such as +4532");
}

export function listCommand(): Command {
  return withNumberFilter(csvCommand("list"))
    .description("List numbers: the platform sees every carrier's, a carrier its own.")
    .addOption(carrierOption("only this carrier's"))
    .option("--limit <count>", "how many at most", parseWhole(1, 1_000_000), 1_000)
    .addHelpText("after", "\nExample:\n  tandem numbers list --carrier nordlys-tele --state assigned --prefix +45")
    .action((options: ConnectionOptions & { readonly limit: number }) => {
      const methods = [CarrierNumberService.method.listNumbers, PlatformNumberService.method.listNumbers];
      const request = { ...options, filter: filterOf(NumberFilterSchema, options) };
      return listAndPrint(options, methods, request, "numbers", { print: (numbers) => printNumbers(numbers) });
    });
}

export function getCommand(): Command {
  return csvCommand("get")
    .description("Show a number.")
    .argument("<number>", "in E.164 form: +4510000001")
    .addHelpText("after", "\nExample:\n  tandem numbers get +4510000001")
    .action((phoneNumber: string, options: ConnectionOptions) => {
      const methods = [CarrierNumberService.method.getNumber, PlatformNumberService.method.getNumber];
      return callAndPrint(options, methods, { phoneNumber }, ({ number }) => number && printNumber(number));
    });
}

export function historyCommand(): Command {
  return csvCommand("history")
    .description("Show who held a number when, and who had it assigned, with scheduled changes.")
    .argument("<number>", "in E.164 form: +4510000001")
    .addHelpText("after", "\nExample:\n  tandem numbers history +4510000001")
    .action((phoneNumber: string, options: ConnectionOptions) =>
      callAndPrint(
        options,
        PlatformNumberService.method.listNumberHistory,
        { phoneNumber, pageSize: 1_000 },
        ({ periods }) => printNumbers(periods.flatMap(({ number }) => number ?? [])),
      ),
    );
}

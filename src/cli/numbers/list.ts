import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Command } from "commander";
import {
  NumberService as CarrierNumberService,
  GetNumberResponseSchema,
  ListNumbersResponseSchema,
} from "../../gen/tandem/carrier/v1/number_service_pb.js";
import { NumberService as PlatformNumberService } from "../../gen/tandem/platform/v1/platform_number_service_pb.js";
import {
  type NumberFilterSchema,
  NumberStateSchema,
  type PhoneNumber,
} from "../../gen/tandem/type/v1/phone_number_pb.js";
import { callAndPrint, readList } from "../shared/calls.ts";
import { type Connection, type ConnectionOptions, connect, remoteCommand } from "../shared/connection.ts";
import { printMessage } from "../shared/output.ts";
import { enumListOption, parseWhole } from "../shared/values.ts";
import { printNumber, printNumbers } from "./print-numbers.ts";

export interface NumberListOptions extends ConnectionOptions {
  readonly state?: number[];
  readonly customer?: string;
  readonly country?: string;
  readonly prefix?: string;
  readonly limit: number;
}

/** The options that say which numbers. */
export function withNumberFilter(command: Command): Command {
  return command
    .addOption(enumListOption("--state <states>", "only in these states", NumberStateSchema))
    .option("--customer <id>", "only of this customer")
    .option("--country <code>", "only of this country")
    .option("--prefix <digits>", "only those that begin with this, such as +4532");
}

export function filterOf(options: Omit<NumberListOptions, "limit">): MessageInitShape<typeof NumberFilterSchema> {
  const { state, customer, country, prefix } = options;
  return {
    states: state ?? [],
    ...(customer === undefined ? {} : { customerId: customer }),
    ...(country === undefined ? {} : { countryCode: country.toUpperCase() }),
    ...(prefix === undefined ? {} : { numberPrefix: prefix }),
  };
}

/** Whether any of them is narrowed: a cursor is bound to its filter, an empty one too. */
export function hasNumberFilter({ state, customer, country, prefix }: Omit<NumberListOptions, "limit">): boolean {
  return [state, customer, country, prefix].some((option) => option !== undefined);
}

export function listCommand(): Command {
  return withNumberFilter(remoteCommand("list"))
    .description("List numbers: the platform sees every carrier's, a carrier its own.")
    .option("--carrier <id>", "only this carrier's")
    .option("--limit <count>", "how many at most", parseWhole(1, 1_000_000), 1_000)
    .addHelpText("after", "\nExample:\n  tandem numbers list --carrier nordlys-tele --state assigned --prefix +45")
    .action(async (options: NumberListOptions) => {
      using connection = await connect(options, "either");
      const { items: numbers, isCut } = await listNumbers(connection, options);
      if (options.json) printMessage(ListNumbersResponseSchema, create(ListNumbersResponseSchema, { numbers }));
      else printNumbers(numbers);
      if (isCut) console.error(`There are more than ${options.limit}: see --limit`);
    });
}

export function getCommand(): Command {
  return remoteCommand("get")
    .description("Show a number.")
    .argument("<number>", "in E.164 form: +4510000001")
    .action(async (phoneNumber: string, options: ConnectionOptions) => {
      using connection = await connect(options, "either");
      const { number } =
        connection.role === "platform"
          ? await connection.client(PlatformNumberService).getNumber({ phoneNumber })
          : await connection.client(CarrierNumberService).getNumber({ phoneNumber });
      if (number === undefined) return;
      if (options.json) printMessage(GetNumberResponseSchema, create(GetNumberResponseSchema, { number }));
      else printNumber(number);
    });
}

export function historyCommand(): Command {
  return remoteCommand("history")
    .description("Show who held a number when, and who had it assigned, with scheduled changes.")
    .argument("<number>", "in E.164 form: +4510000001")
    .action((phoneNumber: string, options: ConnectionOptions) =>
      callAndPrint(
        options,
        PlatformNumberService.method.listNumberHistory,
        { phoneNumber, pageSize: 1_000 },
        ({ periods }) => printNumbers(periods.flatMap(({ number }) => number ?? [])),
      ),
    );
}

function listNumbers(connection: Connection, options: NumberListOptions) {
  const filter = filterOf(options);
  const ofCarrier = options.carrier === undefined ? {} : { carrierId: options.carrier };
  return readList(
    (page): Promise<{ numbers: PhoneNumber[]; nextPageToken: string }> =>
      connection.role === "platform"
        ? connection.client(PlatformNumberService).listNumbers({ ...page, filter, ...ofCarrier })
        : connection.client(CarrierNumberService).listNumbers({ ...page, filter }),
    ({ numbers }) => numbers,
    options.limit,
  );
}

import type { Command } from "commander";
import { CdrFilterSchema, CdrService, GetCdrResponseSchema } from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import { CdrService as PlatformCdrService } from "../../gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { ask, connectFor, listAndPrint, printAnswer } from "../shared/calls.ts";
import { type ConnectionOptions, carrierOption, csvCommand } from "../shared/connection.ts";
import { type Filled, filterOf } from "../shared/fields.ts";
import { parseWhole } from "../shared/values.ts";
import { lastDay, TIME_HELP, withWindow } from "../shared/window.ts";
import { withCdrFilter } from "./cdr-filter.ts";
import { printCdr, printCdrs } from "./print-cdrs.ts";

type CdrListOptions = ConnectionOptions & Filled<typeof CdrFilterSchema> & { readonly limit: number };

/** `tandem cdrs list` */
export function listCommand(): Command {
  const command = csvCommand("list")
    .description("List records by the time of their invite, to look something up. To get all records, follow the feed.")
    .addOption(carrierOption())
    .field("dialogCallId", "--dialog <call-id>", "only with this SIP Call-ID on the trunk")
    .option("--limit <count>", "how many at most", parseWhole(1, 1_000_000), 100);
  return withCdrFilter(withWindow(command))
    .addHelpText(
      "after",
      `\n${TIME_HELP} At most 92 days.\n\nExample:\n  tandem cdrs list --carrier nordlys-tele --from 2026-03-01 --to 2026-03-02 --quality poor`,
    )
    .action(async (options: CdrListOptions) => {
      const { carrierId, customerIds: [customerId] = [], phoneNumbers: [phoneNumber] = [] } = options;
      const request = { ...lastDay(), ...options, customerId, phoneNumber, filter: filterOf(CdrFilterSchema, options) };
      const requestOf = (role: string) => {
        if (role === "carrier" || carrierId !== undefined) return request;
        throw new Error("say whose records: --carrier <id>, or use a carrier's token");
      };
      const own = CdrService.method.listCdrs;
      const methods = isForPlatform(options) ? [own, PlatformCdrService.method.listCdrs] : own;
      await listAndPrint(options, methods, requestOf, "records", { print: printCdrs });
    });
}

/** Whether the platform's method has a field for all that is asked. */
function isForPlatform({ customerIds = [], phoneNumbers = [], trunkId, qualityVerdicts }: CdrListOptions): boolean {
  return customerIds.length <= 1 && phoneNumbers.length <= 1 && trunkId === undefined && qualityVerdicts === undefined;
}

interface GetOptions extends ConnectionOptions {
  readonly call?: true;
  readonly recordDate?: string;
}

/** `tandem cdrs get` */
export function getCommand(): Command {
  return csvCommand("get")
    .description("Show a record, or every leg of a call.")
    .argument("<id>", "a record's id; with --call, a call's")
    .addOption(carrierOption())
    .option("--call", "the id is a call's")
    .field("recordDate", "--date <day>", "the record's day, as ids are reused")
    .addHelpText(
      "after",
      "\nExamples:\n  tandem cdrs get cdr-4711 --carrier nordlys-tele\n  tandem cdrs get call-4711 --call --carrier nordlys-tele",
    )
    .action(async (id: string, options: GetOptions) => {
      const methods = [CdrService.method.getCdr, PlatformCdrService.method.getCdr];
      using connection = await connectFor(options, methods);
      const name = { case: options.call ? ("callId" as const) : ("recordId" as const), value: id };
      const answer = await ask(connection, methods, { ...options, name });
      // The platform's method has no field for it.
      const { recordDate } = options;
      const records = answer.records.filter((record) => recordDate === undefined || record.recordDate === recordDate);
      if (records.length === 0) throw new Error(`no record ${id} of ${recordDate}`);
      printAnswer(options, GetCdrResponseSchema, { records }, () => {
        for (const [index, record] of records.entries()) {
          if (index > 0) console.log();
          printCdr(record);
        }
      });
    });
}

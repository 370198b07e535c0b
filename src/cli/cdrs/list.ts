import { create } from "@bufbuild/protobuf";
import type { Command } from "commander";
import {
  CdrService,
  GetCdrResponseSchema,
  ListCdrsResponseSchema,
} from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import type { CallDetailRecord } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { asCarrier, type ConnectionOptions, connect, remoteCommand } from "../connection.ts";
import { printMessage } from "../output.ts";
import { parseWhole } from "../values.ts";
import { TIME_HELP, type WindowOptions, windowOf, withWindow } from "../window.ts";
import { type CdrFilterOptions, cdrFilterOf, withCdrFilter } from "./cdr-filter.ts";
import { printCdr, printCdrs } from "./print-cdrs.ts";

interface CdrListOptions extends ConnectionOptions, CdrFilterOptions, WindowOptions {
  readonly limit: number;
  readonly dialog?: string;
}

/** `tandem cdrs list` */
export function listCommand(): Command {
  const command = remoteCommand("list")
    .description("List records by the time of their invite: for looking things up; to get them all, follow the feed.")
    .addOption(asCarrier())
    .option("--dialog <call-id>", "only with this SIP Call-ID on the trunk")
    .option("--limit <count>", "how many at most", parseWhole(1, 1_000_000), 100);
  return withCdrFilter(withWindow(command))
    .addHelpText(
      "after",
      `\n${TIME_HELP} At most 92 days.\n\nExample:\n  tandem cdrs list --carrier nordlys-tele --from 2026-03-01 --to 2026-03-02 --quality poor`,
    )
    .action(async (options: CdrListOptions) => {
      using connection = await connect(options, "carrier");
      const filter = cdrFilterOf(options);
      const window = windowOf(options);
      const records: CallDetailRecord[] = [];
      let pageToken = "";
      do {
        const page = await connection.client(CdrService).listCdrs({
          ...window,
          ...(options.dialog === undefined ? {} : { dialogCallId: options.dialog }),
          ...(filter === undefined ? {} : { filter }),
          pageSize: Math.min(1_000, options.limit - records.length),
          pageToken,
        });
        records.push(...page.records);
        pageToken = page.nextPageToken;
      } while (pageToken !== "" && records.length < options.limit);
      if (options.json) printMessage(ListCdrsResponseSchema, create(ListCdrsResponseSchema, { records }));
      else printCdrs(records);
      if (pageToken !== "") console.error(`There are more than ${options.limit}: see --limit`);
    });
}

/** `tandem cdrs get` */
export function getCommand(): Command {
  return remoteCommand("get")
    .description("Show a record, or every leg of a call.")
    .argument("<id>", "a record's id; with --call, a call's")
    .addOption(asCarrier())
    .option("--call", "the id is a call's")
    .option("--date <day>", "the record's day, for ids are used again")
    .action(async (id: string, options: ConnectionOptions & { call?: true; date?: string }) => {
      using connection = await connect(options, "carrier");
      const response = await connection.client(CdrService).getCdr({
        name: { case: options.call ? "callId" : "recordId", value: id },
        ...(options.date === undefined ? {} : { recordDate: options.date }),
      });
      if (options.json) {
        printMessage(GetCdrResponseSchema, response);
        return;
      }
      for (const [index, record] of response.records.entries()) {
        if (index > 0) console.log();
        printCdr(record);
      }
    });
}

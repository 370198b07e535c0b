import { create } from "@bufbuild/protobuf";
import type { Command } from "commander";
import {
  CdrService,
  GetCdrResponseSchema,
  ListCdrsResponseSchema,
} from "../../gen/tandem/carrier/v1/cdr_service_pb.js";
import { CdrService as PlatformCdrService } from "../../gen/tandem/platform/v1/platform_cdr_service_pb.js";
import type { CallDetailRecord } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { asCarrier, type Connection, type ConnectionOptions, connect, remoteCommand } from "../shared/connection.ts";
import { printMessage } from "../shared/output.ts";
import { readPages } from "../shared/pages.ts";
import { parseWhole } from "../shared/values.ts";
import { TIME_HELP, type WindowOptions, windowOf, withWindow } from "../shared/window.ts";
import { type CdrFilterOptions, cdrFilterOf, withCdrFilter } from "./cdr-filter.ts";
import { printCdr, printCdrs } from "./print-cdrs.ts";

interface CdrListOptions extends ConnectionOptions, CdrFilterOptions, WindowOptions {
  readonly limit: number;
  readonly dialog?: string;
}

/** `tandem cdrs list` */
export function listCommand(): Command {
  const command = remoteCommand("list")
    .description("List records by the time of their invite, to look something up. To get all records, follow the feed.")
    .addOption(asCarrier())
    .option("--dialog <call-id>", "only with this SIP Call-ID on the trunk")
    .option("--limit <count>", "how many at most", parseWhole(1, 1_000_000), 100);
  return withCdrFilter(withWindow(command))
    .addHelpText(
      "after",
      `\n${TIME_HELP} At most 92 days.\n\nExample:\n  tandem cdrs list --carrier nordlys-tele --from 2026-03-01 --to 2026-03-02 --quality poor`,
    )
    .action(async (options: CdrListOptions) => {
      using connection = await connect(options, isForPlatform(options) ? "either" : "carrier");
      const { items: records, isCut } = await readPages(options.limit, pageReader(connection, options));
      if (options.json) printMessage(ListCdrsResponseSchema, create(ListCdrsResponseSchema, { records }));
      else printCdrs(records);
      if (isCut) console.error(`There are more than ${options.limit}: see --limit`);
    });
}

/** Whether the platform's method has a field for all that is asked. */
function isForPlatform({ customer = [], number = [], trunk, quality }: CdrFilterOptions): boolean {
  return customer.length <= 1 && number.length <= 1 && trunk === undefined && quality === undefined;
}

function pageReader(
  connection: Connection,
  options: CdrListOptions,
): Parameters<typeof readPages<CallDetailRecord>>[1] {
  const asked = { ...windowOf(options), ...(options.dialog === undefined ? {} : { dialogCallId: options.dialog }) };
  if (connection.role === "carrier") {
    const filter = cdrFilterOf(options);
    const request = { ...asked, ...(filter === undefined ? {} : { filter }) };
    return async (page) => listedOf(await connection.client(CdrService).listCdrs({ ...request, ...page }));
  }
  const { carrier: carrierId, customer: [customerId] = [], number: [phoneNumber] = [], direction = 0 } = options;
  if (carrierId === undefined) throw new Error("say whose records: --carrier <id>, or use a carrier's token");
  const request = {
    ...asked,
    carrierId,
    direction,
    ...(customerId === undefined ? {} : { customerId }),
    ...(phoneNumber === undefined ? {} : { phoneNumber }),
  };
  return async (page) => listedOf(await connection.client(PlatformCdrService).listCdrs({ ...request, ...page }));
}

function listedOf({ records: items, nextPageToken }: { records: CallDetailRecord[]; nextPageToken: string }) {
  return { items, nextPageToken };
}

/** `tandem cdrs get` */
export function getCommand(): Command {
  return remoteCommand("get")
    .description("Show a record, or every leg of a call.")
    .argument("<id>", "a record's id; with --call, a call's")
    .addOption(asCarrier())
    .option("--call", "the id is a call's")
    .option("--date <day>", "the record's day, as ids are reused")
    .action(async (id: string, options: ConnectionOptions & { call?: true; date?: string }) => {
      using connection = await connect(options, "either");
      const name = { case: options.call ? ("callId" as const) : ("recordId" as const), value: id };
      const records = await getRecords(connection, name, options);
      const response = create(GetCdrResponseSchema, { records });
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

async function getRecords(
  connection: Connection,
  name: { case: "callId" | "recordId"; value: string },
  { carrier: carrierId, date: recordDate }: { readonly carrier?: string; readonly date?: string },
): Promise<CallDetailRecord[]> {
  if (connection.role === "carrier") {
    const request = { name, ...(recordDate === undefined ? {} : { recordDate }) };
    return (await connection.client(CdrService).getCdr(request)).records;
  }
  const request = { name, ...(carrierId === undefined ? {} : { carrierId }) };
  const { records } = await connection.client(PlatformCdrService).getCdr(request);
  // The platform's method has no field for it.
  const found = records.filter((record) => recordDate === undefined || record.recordDate === recordDate);
  if (found.length === 0) throw new Error(`no record ${name.value} of ${recordDate}`);
  return found;
}

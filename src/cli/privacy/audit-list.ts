import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import { given } from "../../domain/given.ts";
import { type AuditEvent, AuditOutcomeSchema } from "../../gen/tandem/platform/v1/audit_event_pb.js";
import { ListAuditEventsResponseSchema, PrivacyService } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { type Connection, type ConnectionOptions, connect, remoteCommand } from "../shared/connection.ts";
import { type CsvColumn, csvOption, printCsv } from "../shared/csv-output.ts";
import { type Column, printMessage, printTable } from "../shared/output.ts";
import { readPages } from "../shared/pages.ts";
import { enumName, formatTime, parseTime, parseWhole } from "../shared/values.ts";
import { TIME_HELP } from "../shared/window.ts";
import { formatJsonFields } from "./json-fields.ts";

interface ListOptions extends ConnectionOptions {
  readonly from?: Timestamp;
  readonly to?: Timestamp;
  readonly actor?: string;
  readonly method?: string;
  readonly limit: number;
  readonly csv?: true;
}

/** `tandem privacy audit list` */
export function auditListCommand(): Command {
  return remoteCommand("list")
    .description("List changes to carriers, numbers, policies, holds, erasures and periods, and who made them.")
    .option("--carrier <id>", "this carrier's chain (default: the platform's)")
    .option("--from <time>", "at this time or later (default: the oldest kept event)", parseTime)
    .option("--to <time>", "before this time (default: now)", parseTime)
    .option("--actor <identity>", "only by this credential, or cli:<user>")
    .option("--method <method>", "only of this method, such as tandem.platform.v1.CarrierService/UpdateCarrier")
    .addOption(csvOption())
    .option("--limit <count>", "how many at most", parseWhole(1, 1_000_000), 100)
    .addHelpText("after", `\n${TIME_HELP}\n\nExample:\n  tandem privacy audit list --carrier nordlys-tele --from 30d`)
    .action(async (options: ListOptions) => {
      using connection = await connect(options, "platform");
      const { items: events, isCut } = await readEvents(connection, options);
      if (options.json) printMessage(ListAuditEventsResponseSchema, { events });
      else if (options.csv) printCsv(EVENT_CSV, events);
      else printTable(COLUMNS, events.map(cellsOf), describeNone(options));
      if (isCut) console.error(`There are more than ${options.limit}: see --limit`);
    });
}

function readEvents(connection: Connection, options: ListOptions) {
  const { carrier: carrierId = "", actor = "", method = "", from, to, limit } = options;
  const request = { carrierId, actor, method, ...given({ startTime: from, endTime: to }) };
  const client = connection.client(PrivacyService);
  return readPages(
    (page) => client.listAuditEvents({ ...request, ...page }),
    ({ events }) => events,
    limit,
  );
}

function describeNone({ carrier }: ListOptions): string {
  if (carrier !== undefined) return "No events.";
  return "No events in the platform's chain. Each carrier has its own: --carrier <id>";
}

const COLUMNS: readonly Column[] = [
  { title: "no", align: "right" },
  { title: "time" },
  { title: "actor" },
  { title: "method" },
  { title: "to" },
  { title: "outcome" },
  { title: "fields" },
  { title: "details" },
];

function cellsOf(event: AuditEvent): string[] {
  const outcome = enumName(AuditOutcomeSchema, event.outcome) ?? "";
  return [
    `${event.sequence}`,
    formatTime(event.eventTime),
    event.actor,
    // The packages say nothing that the rest does not.
    event.method.replace(/^tandem\.(carrier|platform)\.v1\./, ""),
    event.resource,
    event.errorReason === undefined ? outcome : `${outcome} ${event.errorReason}`,
    event.changedFields.join(" "),
    formatJsonFields(event.detailsJson),
  ];
}

const EVENT_CSV: readonly CsvColumn<AuditEvent>[] = [
  { title: "carrier_id", read: (event) => event.carrierId },
  { title: "sequence", read: (event) => event.sequence },
  { title: "event_time", read: (event) => formatTime(event.eventTime, "milliseconds") },
  { title: "actor", read: (event) => event.actor },
  { title: "method", read: (event) => event.method },
  { title: "resource", read: (event) => event.resource },
  { title: "outcome", read: (event) => enumName(AuditOutcomeSchema, event.outcome) },
  { title: "error_reason", read: (event) => event.errorReason },
  { title: "request_id", read: (event) => event.requestId },
  { title: "changed_fields", read: (event) => event.changedFields.join(" ") },
  { title: "details_json", read: (event) => event.detailsJson },
  { title: "previous_hash", read: (event) => Buffer.from(event.previousHash).toString("hex") },
  { title: "entry_hash", read: (event) => Buffer.from(event.entryHash).toString("hex") },
];

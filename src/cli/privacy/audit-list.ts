import type { Command } from "commander";
import { type AuditEvent, AuditEventSchema, AuditOutcomeSchema } from "../../gen/tandem/platform/v1/audit_event_pb.js";
import { PrivacyService } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { listAndPrint } from "../shared/calls.ts";
import { type ConnectionOptions, carrierOption, csvCommand } from "../shared/connection.ts";
import { fieldColumns } from "../shared/csv-output.ts";
import { printRows, type RowColumn } from "../shared/output.ts";
import { enumName, formatTime, parseTime, parseWhole } from "../shared/values.ts";
import { TIME_HELP } from "../shared/window.ts";
import { formatJsonFields } from "./json-fields.ts";

export function auditListCommand(): Command {
  return csvCommand("list")
    .description("List changes to carriers, numbers, policies, holds, erasures and periods, and who made them.")
    .addOption(carrierOption("this carrier's chain (default: the platform's)"))
    .field("startTime", "--from <time>", "at this time or later (default: the oldest kept event)", parseTime)
    .field("endTime", "--to <time>", "before this time (default: now)", parseTime)
    .option("--actor <identity>", "only by this credential, or cli:<user>")
    .option("--method <method>", "only of this method, such as tandem.platform.v1.CarrierService/UpdateCarrier")
    .option("--limit <count>", "how many at most", parseWhole(1, 1_000_000), 100)
    .addHelpText("after", `\n${TIME_HELP}\n\nExample:\n  tandem privacy audit list --carrier nordlys-tele --from 30d`)
    .action((options: ConnectionOptions & { readonly limit: number }) =>
      listAndPrint(options, PrivacyService.method.listAuditEvents, { ...options }, "events", {
        print: (events) => printRows(COLUMNS, events, describeNone(options)),
        csv: EVENT_CSV,
      }),
    );
}

function describeNone({ carrierId }: ConnectionOptions): string {
  if (carrierId !== undefined) return "No events.";
  return "No events in the platform's chain. Each carrier has its own: --carrier <id>";
}

const COLUMNS: readonly RowColumn<AuditEvent>[] = [
  { title: "no", align: "right", read: ({ sequence }) => `${sequence}` },
  { title: "time", read: ({ eventTime }) => formatTime(eventTime) },
  { title: "actor", read: ({ actor }) => actor },
  // The packages say nothing that the rest does not.
  { title: "method", read: ({ method }) => method.replace(/^tandem\.(carrier|platform)\.v1\./, "") },
  { title: "to", read: ({ resource }) => resource },
  { title: "outcome", read: formatOutcome },
  { title: "fields", read: ({ changedFields }) => changedFields.join(" ") },
  { title: "details", read: ({ detailsJson }) => formatJsonFields(detailsJson) },
];

function formatOutcome({ outcome, errorReason }: AuditEvent): string {
  const name = enumName(AuditOutcomeSchema, outcome) ?? "";
  return errorReason === undefined ? name : `${name} ${errorReason}`;
}

const EVENT_CSV = fieldColumns(
  AuditEventSchema,
  ...["carrier_id", "sequence", "event_time", "actor", "method", "resource", "outcome", "error_reason", "request_id"],
  ...["changed_fields", "details_json", "previous_hash", "entry_hash"],
);

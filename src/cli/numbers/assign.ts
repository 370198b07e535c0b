import type { Command } from "commander";
import { NumberService } from "../../gen/tandem/platform/v1/platform_number_service_pb.js";
import { AssigneeKind, AssigneeKindSchema } from "../../gen/tandem/type/v1/phone_number_pb.js";
import { type ConnectionOptions, carrierOption, csvCommand } from "../shared/connection.ts";
import { enumOption, parseTime } from "../shared/values.ts";
import { changeNumbers } from "./batches.ts";

export function assignCommand(): Command {
  return csvCommand("assign")
    .description("Assign numbers of a carrier to a customer. Calls that waited for this are attributed.")
    .argument("<numbers...>", "in E.164 form: +4510000001")
    .addOption(carrierOption("the carrier that holds them").makeOptionMandatory())
    .requiredField("customerId", "--customer <id>", "the customer")
    .addOption(
      enumOption("--as <kind>", "what it is assigned to", AssigneeKindSchema, "assigneeKind").default(
        AssigneeKind.USER,
        "user",
      ),
    )
    .field("sipUri", "--sip-uri <uri>", "SIP URI of the assignee, for one number only (default: made by Tandem)")
    .field("locationId", "--location <id>", "id of the emergency location")
    .field("effectiveTime", "--since <time>", "when the assignment begins, past or future (default: now)", parseTime)
    .addHelpText(
      "after",
      "\nExample:\n  tandem numbers assign +4510000001 --carrier nordlys-tele --customer cedar-bank --since 60d",
    )
    .action((numbers: string[], options: ConnectionOptions) =>
      changeNumbers(options, NumberService.method.assignNumbers, numbers),
    );
}

export function unassignCommand(): Command {
  return csvCommand("unassign")
    .description("End the assignment of numbers.")
    .argument("<numbers...>", "in E.164 form: +4510000001")
    .addOption(carrierOption("the carrier that holds them").makeOptionMandatory())
    .field("effectiveTime", "--at <time>", "when it ends, past or future (default: now)", parseTime)
    .addHelpText("after", "\nExample:\n  tandem numbers unassign +4510000002 --carrier nordlys-tele")
    .action((numbers: string[], options: ConnectionOptions) =>
      changeNumbers(options, NumberService.method.unassignNumbers, numbers),
    );
}

export function portCommand(): Command {
  return csvCommand("port")
    .description("Move numbers to another carrier at a given time. Calls belong to the holder at their invite.")
    .argument("<numbers...>", "in E.164 form: +4510000001")
    .addOption(carrierOption("the carrier that loses them").makeOptionMandatory())
    .requiredField("toCarrierId", "--to <id>", "the carrier that gains them")
    .requiredField("effectiveTime", "--at <time>", "when, past or future", parseTime)
    .addHelpText(
      "after",
      "\nExample:\n  tandem numbers port +4510000001 --carrier nordlys-tele --to sund-telefon --at 2026-04-01T04:00:00+02:00",
    )
    .action((numbers: string[], options: ConnectionOptions) =>
      changeNumbers(options, NumberService.method.portNumbers, numbers),
    );
}

import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import { NumberService } from "../../gen/tandem/platform/v1/platform_number_service_pb.js";
import { AssigneeKind, AssigneeKindSchema } from "../../gen/tandem/type/v1/phone_number_pb.js";
import { type ConnectionOptions, remoteCommand } from "../shared/connection.ts";
import { enumOption, parseTime } from "../shared/values.ts";
import { changeNumbers } from "./batches.ts";

interface AssignOptions extends ConnectionOptions {
  readonly carrier: string;
  readonly customer: string;
  readonly as: number;
  readonly sipUri?: string;
  readonly location?: string;
  readonly since?: Timestamp;
}

export function assignCommand(): Command {
  return remoteCommand("assign")
    .description("Assign numbers of a carrier to a customer. Calls that waited for this are attributed.")
    .argument("<numbers...>", "in E.164 form: +4510000001")
    .requiredOption("--carrier <id>", "the carrier that holds them")
    .requiredOption("--customer <id>", "the customer")
    .addOption(
      enumOption("--as <kind>", "what it is assigned to", AssigneeKindSchema).default(AssigneeKind.USER, "user"),
    )
    .option("--sip-uri <uri>", "SIP URI of the assignee, for one number only (default: made by Tandem)")
    .option("--location <id>", "id of the emergency location")
    .option("--since <time>", "when the assignment begins, past or future (default: now)", parseTime)
    .addHelpText(
      "after",
      "\nExample:\n  tandem numbers assign +4510000001 --carrier nordlys-tele --customer cedar-bank --since 2026-03-01",
    )
    .action(async (phoneNumbers: string[], options: AssignOptions) => {
      const { assignNumbers } = NumberService.method;
      await changeNumbers(options, "platform", assignNumbers, phoneNumbers, (batch) => ({
        carrierId: options.carrier,
        items: batch.map((phoneNumber) => itemOf(phoneNumber, options)),
      }));
    });
}

interface EndOptions extends ConnectionOptions {
  readonly carrier: string;
  readonly at?: Timestamp;
}

export function unassignCommand(): Command {
  return remoteCommand("unassign")
    .description("End the assignment of numbers.")
    .argument("<numbers...>", "in E.164 form: +4510000001")
    .requiredOption("--carrier <id>", "the carrier that holds them")
    .option("--at <time>", "when it ends, past or future (default: now)", parseTime)
    .action(async (numbers: string[], options: EndOptions) => {
      const { unassignNumbers } = NumberService.method;
      const at = options.at === undefined ? {} : { effectiveTime: options.at };
      await changeNumbers(options, "platform", unassignNumbers, numbers, (phoneNumbers) => ({
        carrierId: options.carrier,
        phoneNumbers,
        ...at,
      }));
    });
}

interface PortOptions extends ConnectionOptions {
  readonly carrier: string;
  readonly to: string;
  readonly at: Timestamp;
}

export function portCommand(): Command {
  return remoteCommand("port")
    .description("Move numbers to another carrier at a given time. Calls belong to the holder at their invite.")
    .argument("<numbers...>", "in E.164 form: +4510000001")
    .requiredOption("--carrier <id>", "the carrier that loses them")
    .requiredOption("--to <id>", "the carrier that gains them")
    .requiredOption("--at <time>", "when, past or future", parseTime)
    .addHelpText(
      "after",
      "\nExample:\n  tandem numbers port +4510000001 --carrier nordlys-tele --to sund-telefon --at 2026-04-01T04:00:00+02:00",
    )
    .action(async (numbers: string[], options: PortOptions) => {
      const { carrier: carrierId, to: toCarrierId, at: effectiveTime } = options;
      const { portNumbers } = NumberService.method;
      await changeNumbers(options, "platform", portNumbers, numbers, (phoneNumbers) => ({
        carrierId,
        toCarrierId,
        phoneNumbers,
        effectiveTime,
      }));
    });
}

function itemOf(phoneNumber: string, { customer, as, sipUri, location, since }: AssignOptions) {
  return {
    phoneNumber,
    customerId: customer,
    assigneeKind: as,
    ...(sipUri === undefined ? {} : { sipUri }),
    ...(location === undefined ? {} : { locationId: location }),
    ...(since === undefined ? {} : { effectiveTime: since }),
  };
}

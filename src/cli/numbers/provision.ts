import type { Command } from "commander";
import { NumberService } from "../../gen/tandem/carrier/v1/number_service_pb.js";
import {
  AssigneeKind,
  AssigneeKindSchema,
  NumberCapability,
  NumberCapabilitySchema,
  NumberType,
  NumberTypeSchema,
} from "../../gen/tandem/type/v1/phone_number_pb.js";
import { type ConnectionOptions, carrierOption, csvCommand } from "../shared/connection.ts";
import { enumListOption, enumOption, parseTime, upperCase } from "../shared/values.ts";
import { changeNumbers } from "./batches.ts";

export function provisionCommand(): Command {
  return csvCommand("provision")
    .description("Offer numbers to the platform, or change their details.")
    .argument("<numbers...>", "in E.164 form: +4510000001")
    .addOption(carrierOption())
    .field(
      "countryCode",
      "--country <code>",
      "country of the numbering plan, ISO 3166-1; none for +800 and the like",
      upperCase,
    )
    .addOption(
      enumOption("--type <type>", "kind of number", NumberTypeSchema, "numberType").default(
        NumberType.GEOGRAPHIC,
        "geographic",
      ),
    )
    .addOption(
      enumListOption("--usage <kinds>", "what it may be assigned to", AssigneeKindSchema, "usages").default(
        [AssigneeKind.USER, AssigneeKind.VOICE_APPLICATION, AssigneeKind.CONFERENCE],
        "all",
      ),
    )
    .addOption(
      enumListOption(
        "--capability <names>",
        "what the carrier provides on it",
        NumberCapabilitySchema,
        "capabilities",
      ).default([NumberCapability.INBOUND_CALLS, NumberCapability.OUTBOUND_CALLS], "calls both ways"),
    )
    .field("customerId", "--customer <id>", "the customer who ordered it (default: it may go to any)")
    .field("customerReference", "--reference <text>", "the carrier's own reference, without personal data")
    .field("locationId", "--location <id>", "id of the emergency location")
    .field("effectiveTime", "--since <time>", "when the carrier began to provide it (default: now)", parseTime)
    .addHelpText(
      "after",
      "\nExample:\n  tandem numbers provision +4510000001 +4510000002 --carrier nordlys-tele --country DK --since 90d",
    )
    .action((numbers: string[], options: ConnectionOptions) =>
      changeNumbers(options, NumberService.method.provisionNumbers, numbers),
    );
}

export function releaseCommand(): Command {
  return csvCommand("release")
    .description("Take numbers back from the platform. They are free afterwards.")
    .argument("<numbers...>", "in E.164 form: +4510000001")
    .addOption(carrierOption())
    .addHelpText("after", "\nExample:\n  tandem numbers release +4510000002 --carrier nordlys-tele")
    .action((numbers: string[], options: ConnectionOptions) =>
      changeNumbers(options, NumberService.method.releaseNumbers, numbers),
    );
}

import type { Timestamp } from "@bufbuild/protobuf/wkt";
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
import { asCarrier, type ConnectionOptions, remoteCommand } from "../shared/connection.ts";
import { enumListOption, enumOption, parseTime } from "../shared/values.ts";
import { changeNumbers } from "./batches.ts";

interface ProvisionOptions extends ConnectionOptions {
  readonly country?: string;
  readonly type: number;
  readonly usage: number[];
  readonly capability: number[];
  readonly customer?: string;
  readonly reference?: string;
  readonly location?: string;
  readonly since?: Timestamp;
}

export function provisionCommand(): Command {
  return remoteCommand("provision")
    .description("Offer numbers to the platform, or change their details.")
    .argument("<numbers...>", "in E.164 form: +4510000001")
    .addOption(asCarrier())
    .option("--country <code>", "country of the numbering plan, ISO 3166-1; none for +800 and the like")
    .addOption(
      enumOption("--type <type>", "kind of number", NumberTypeSchema).default(NumberType.GEOGRAPHIC, "geographic"),
    )
    .addOption(
      enumListOption("--usage <kinds>", "what it may be assigned to", AssigneeKindSchema).default(
        [AssigneeKind.USER, AssigneeKind.VOICE_APPLICATION, AssigneeKind.CONFERENCE],
        "all",
      ),
    )
    .addOption(
      enumListOption("--capability <names>", "what the carrier provides on it", NumberCapabilitySchema).default(
        [NumberCapability.INBOUND_CALLS, NumberCapability.OUTBOUND_CALLS],
        "calls both ways",
      ),
    )
    .option("--customer <id>", "the customer who ordered it (default: it may go to any)")
    .option("--reference <text>", "the carrier's own reference, without personal data")
    .option("--location <id>", "id of the emergency location")
    .option("--since <time>", "when the carrier began to provide it (default: now)", parseTime)
    .addHelpText(
      "after",
      "\nExample:\n  tandem numbers provision +4510000001 +4510000002 --carrier nordlys-tele --country DK --since 30d",
    )
    .action(async (phoneNumbers: string[], options: ProvisionOptions) => {
      const { provisionNumbers } = NumberService.method;
      await changeNumbers(options, "carrier", provisionNumbers, phoneNumbers, (batch) => ({
        items: batch.map((phoneNumber) => itemOf(phoneNumber, options)),
      }));
    });
}

export function releaseCommand(): Command {
  return remoteCommand("release")
    .description("Take numbers back from the platform. They are free afterwards.")
    .argument("<numbers...>", "in E.164 form: +4510000001")
    .addOption(asCarrier())
    .action((numbers: string[], options: ConnectionOptions) =>
      changeNumbers(options, "carrier", NumberService.method.releaseNumbers, numbers, (phoneNumbers) => ({
        phoneNumbers,
      })),
    );
}

function itemOf(phoneNumber: string, options: ProvisionOptions) {
  const { type, usage, capability, country, customer, reference, location, since } = options;
  return {
    phoneNumber,
    numberType: type,
    usages: usage,
    capabilities: capability,
    ...(country === undefined ? {} : { countryCode: country.toUpperCase() }),
    ...(customer === undefined ? {} : { customerId: customer }),
    ...(reference === undefined ? {} : { customerReference: reference }),
    ...(location === undefined ? {} : { locationId: location }),
    ...(since === undefined ? {} : { effectiveTime: since }),
  };
}

import type { MessageInitShape } from "@bufbuild/protobuf";
import { Command, type Option } from "commander";
import type { Carrier, CarrierSchema } from "../gen/tandem/platform/v1/carrier_pb.js";
import { CarrierService } from "../gen/tandem/platform/v1/carrier_service_pb.js";
import { CarrierState, CarrierStateSchema } from "../gen/tandem/type/v1/agreement_pb.js";
import { DirectionSchema } from "../gen/tandem/type/v1/call_pb.js";
import { agreementCommand } from "./carriers/agreement.ts";
import { rangesCommand } from "./carriers/ranges.ts";
import { type Asking, callAndPrint, listAndPrint } from "./shared/calls.ts";
import { type ConnectionOptions, csvCommand } from "./shared/connection.ts";
import { type FieldsCommand, fieldOption } from "./shared/fields.ts";
import { printFields, printRows, type RowColumn } from "./shared/output.ts";
import { parseTimeZone } from "./shared/time-zone-option.ts";
import { enumListOption, enumName, enumOption, formatTime, parseBigWhole, upperCase } from "./shared/values.ts";

export function carriersCommand(): Command {
  return new Command("carriers")
    .addCommand(createCommand())
    .addCommand(listCommand())
    .addCommand(getCommand())
    .addCommand(updateCommand())
    .addCommand(agreementCommand())
    .addCommand(rangesCommand())
    .addCommand(
      stateCommand(
        "suspend",
        CarrierState.SUSPENDED,
        "Refuse a carrier's calls and end its live streams within 5 s. Its data stays.",
      ),
    )
    .addCommand(
      stateCommand(
        "activate",
        CarrierState.ACTIVE,
        "Serve a suspended carrier again. Its feeds go on from their cursors.",
      ),
    );
}

type CarrierOptions = ConnectionOptions & { readonly reports?: number[]; readonly unanswered?: true };

/** Options of a carrier, by what an update's mask calls them. */
const SETTINGS: Readonly<Record<string, Option>> = {
  display_name: fieldOption("displayName", "--name <name>", "name for people"),
  time_zone: fieldOption(
    "timeZone",
    "--time-zone <zone>",
    "IANA time zone in which reconciliation counts days, such as Europe/Copenhagen",
    parseTimeZone,
  ),
  region: fieldOption("region", "--region <region>", "region in which the carrier's data is kept"),
  sip_domain: fieldOption("sipDomain", "--sip-domain <domain>", "host part of the SIP URIs made for its numbers"),
  "tolerances.duration_ms": fieldOption(
    "tolerances",
    "--tolerance-ms <ms>",
    "ignore differences in connected duration up to this many ms (default 2000)",
    (text) => ({ durationMs: parseBigWhole(0, 60_000)(text) }),
  ),
  grace_ms: fieldOption(
    "graceMs",
    "--grace-ms <ms>",
    "how long a call may lack a counterpart before it is missing (default 86400000)",
    parseBigWhole(0, 2_592_000_000),
  ),
};

function withSettings(command: FieldsCommand): FieldsCommand {
  for (const option of Object.values(SETTINGS)) command.addOption(option);
  return command
    .addOption(enumListOption("--reports <directions>", "which directions of calls it reports", DirectionSchema))
    .option("--unanswered", "it also reports unanswered calls");
}

function createCommand(): Command {
  return withSettings(csvCommand("create"))
    .description("Onboard a carrier. Its country is fixed: an operator in several countries is several carriers.")
    .argument("<carrier-id>", "3 to 32 characters of a-z, 0-9 and -")
    .requiredField("legalCountry", "--country <code>", "country whose law governs its data, ISO 3166-1: DK", upperCase)
    .addHelpText(
      "after",
      "\nExample:\n  tandem carriers create nordlys-tele --country DK --time-zone Europe/Copenhagen --name 'Nordlys Tele'",
    )
    .action((carrierId: string, options: CarrierOptions) => {
      const carrier = { displayName: carrierId, timeZone: "UTC", region: "main", ...fieldsOf(options) };
      return callAndPrint(options, CarrierService.method.createCarrier, { carrierId, carrier }, printCarrier);
    });
}

function listCommand(): Command {
  return csvCommand("list")
    .description("List carriers.")
    .addOption(enumOption("--state <state>", "only those in this state", CarrierStateSchema))
    .field("legalCountry", "--country <code>", "only those of this country", upperCase)
    .addHelpText("after", "\nExamples:\n  tandem carriers list\n  tandem carriers list --country DK --state active")
    .action((options: Asking<typeof CarrierService.method.listCarriers>) =>
      listAndPrint(options, CarrierService.method.listCarriers, options, "carriers", {
        print: (carriers) => printRows(CARRIER_COLUMNS, carriers, "No carriers yet: tandem carriers create --help"),
      }),
    );
}

function getCommand(): Command {
  return csvCommand("get")
    .description("Show a carrier.")
    .argument("<carrier-id>")
    .addHelpText("after", "\nExample:\n  tandem carriers get nordlys-tele")
    .action((carrierId: string, options: ConnectionOptions) =>
      callAndPrint(options, CarrierService.method.getCarrier, { carrierId }, printCarrier),
    );
}

function updateCommand(): Command {
  return withSettings(csvCommand("update"))
    .description("Change a carrier: only what is named changes.")
    .argument("<carrier-id>")
    .addHelpText(
      "after",
      "\nExample:\n  tandem carriers update nordlys-tele --tolerance-ms 1000 --reports outbound,inbound",
    )
    .action(async (carrierId: string, options: CarrierOptions, command: Command) => {
      const carrier = { ...fieldsOf(options), carrierId };
      const scopes = "reportingScopes" in carrier ? ["reporting_scopes"] : [];
      const paths = Object.keys(SETTINGS).filter((path) => SETTINGS[path] && SETTINGS[path].attributeName() in options);
      if (paths.length + scopes.length === 0) command.error("error: say what to change, such as --name");
      await update(options, carrier, [...paths, ...scopes]);
    });
}

function stateCommand(name: string, state: CarrierState, description: string): Command {
  return csvCommand(name)
    .description(description)
    .argument("<carrier-id>")
    .addHelpText("after", `\nExample:\n  tandem carriers ${name} nordlys-tele`)
    .action((carrierId: string, options: ConnectionOptions) => update(options, { carrierId, state }, ["state"]));
}

function update(
  options: ConnectionOptions,
  carrier: MessageInitShape<typeof CarrierSchema>,
  paths: string[],
): Promise<void> {
  return callAndPrint(options, CarrierService.method.updateCarrier, { carrier, updateMask: { paths } }, printCarrier);
}

function fieldsOf({ reports, unanswered, ...fields }: CarrierOptions): MessageInitShape<typeof CarrierSchema> {
  if (reports === undefined && unanswered === undefined) return fields;
  return { ...fields, reportingScopes: [{ directions: reports ?? [], unanswered: unanswered ?? false }] };
}

const CARRIER_COLUMNS: readonly RowColumn<Carrier>[] = [
  { title: "carrier", read: ({ carrierId }) => carrierId },
  { title: "name", read: ({ displayName }) => displayName },
  { title: "country", read: ({ legalCountry }) => legalCountry },
  { title: "time zone", read: ({ timeZone }) => timeZone },
  { title: "region", read: ({ region }) => region },
  { title: "state", read: ({ state }) => enumName(CarrierStateSchema, state) },
];

function printCarrier({ carrier }: { carrier?: Carrier | undefined }): void {
  if (carrier === undefined) return;
  const scopes = carrier.reportingScopes.map(({ directions, unanswered, emergency }) => {
    const names = directions.map((direction) => enumName(DirectionSchema, direction) ?? "");
    return [...names, ...(unanswered ? ["unanswered"] : []), ...(emergency ? ["emergency"] : [])].join(" ");
  });
  printFields([
    ["carrier", carrier.carrierId],
    ["name", carrier.displayName],
    ["country", carrier.legalCountry],
    ["time zone", carrier.timeZone],
    ["region", carrier.region],
    ["SIP domain", carrier.sipDomain],
    ["state", enumName(CarrierStateSchema, carrier.state)],
    ["reports", scopes.join("; ")],
    ["tolerance", carrier.tolerances?.durationMs === undefined ? undefined : `${carrier.tolerances.durationMs} ms`],
    ["grace", carrier.graceMs === undefined ? undefined : `${carrier.graceMs} ms`],
    ["credentials", carrier.credentialIdentities.map(identityOf).join(", ")],
    ["revision", `${carrier.revision}, ${formatTime(carrier.updateTime)}`],
  ]);
}

function identityOf({ identity }: Carrier["credentialIdentities"][number]): string {
  return identity.case === "jwt" ? `${identity.value.issuer} ${identity.value.subject}` : (identity.value ?? "");
}

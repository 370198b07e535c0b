import { randomUUID } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Command } from "commander";
import type { Carrier, CarrierSchema } from "../gen/tandem/platform/v1/carrier_pb.js";
import { CarrierService, ListCarriersResponseSchema } from "../gen/tandem/platform/v1/carrier_service_pb.js";
import { CarrierState, CarrierStateSchema } from "../gen/tandem/type/v1/agreement_pb.js";
import { DirectionSchema } from "../gen/tandem/type/v1/call_pb.js";
import { rangesCommand } from "./carriers/ranges.ts";
import { callAndPrint, readList } from "./shared/calls.ts";
import { type ConnectionOptions, connect, remoteCommand } from "./shared/connection.ts";
import { printFields, printMessage, printRows, type RowColumn } from "./shared/output.ts";
import { enumListOption, enumName, enumOption, formatTime, parseTimeZone, parseWhole } from "./shared/values.ts";

export function carriersCommand(): Command {
  return new Command("carriers")
    .description("Onboard, change and suspend carriers (platform only; scopes carriers.read and .write).")
    .addCommand(createCommand())
    .addCommand(listCommand())
    .addCommand(getCommand())
    .addCommand(updateCommand())
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

interface CarrierOptions extends ConnectionOptions {
  readonly name?: string;
  readonly country?: string;
  readonly timeZone?: string;
  readonly region?: string;
  readonly sipDomain?: string;
  readonly toleranceMs?: number;
  readonly graceMs?: number;
  readonly reports?: number[];
  readonly unanswered?: true;
}

function withSettings(command: Command): Command {
  return command
    .option("--name <name>", "name for people")
    .option(
      "--time-zone <zone>",
      "IANA time zone in which reconciliation counts days, such as Europe/Copenhagen",
      parseTimeZone,
    )
    .option("--region <region>", "region in which the carrier's data is kept")
    .option("--sip-domain <domain>", "host part of the SIP URIs made for its numbers")
    .option(
      "--tolerance-ms <ms>",
      "ignore differences in connected duration up to this many ms (default 2000)",
      parseWhole(0, 60_000),
    )
    .option(
      "--grace-ms <ms>",
      "how long a call may lack a counterpart before it is missing (default 86400000)",
      parseWhole(0, 2_592_000_000),
    )
    .addOption(enumListOption("--reports <directions>", "which directions of calls it reports", DirectionSchema))
    .option("--unanswered", "it also reports unanswered calls");
}

function createCommand(): Command {
  return withSettings(remoteCommand("create"))
    .description("Onboard a carrier. Its country is fixed: an operator in several countries is several carriers.")
    .argument("<carrier-id>", "3 to 32 characters of a-z, 0-9 and -")
    .requiredOption("--country <code>", "country whose law governs its data, ISO 3166-1: DK")
    .addHelpText(
      "after",
      "\nExample:\n  tandem carriers create nordlys-tele --country DK --time-zone Europe/Copenhagen --name 'Nordlys Tele'",
    )
    .action((carrierId: string, options: CarrierOptions) => {
      const carrier = {
        displayName: carrierId,
        timeZone: "UTC",
        region: "main",
        legalCountry: options.country?.toUpperCase() ?? "",
        ...fieldsOf(options),
      };
      const request = { requestId: randomUUID(), carrierId, carrier };
      return callAndPrint(options, CarrierService.method.createCarrier, request, printCarrier);
    });
}

function listCommand(): Command {
  return remoteCommand("list")
    .description("List carriers.")
    .addOption(enumOption("--state <state>", "only those in this state", CarrierStateSchema))
    .option("--country <code>", "only those of this country")
    .action(async (options: ConnectionOptions & { state?: number; country?: string }) => {
      using connection = await connect(options, "platform");
      const asked = {
        state: options.state ?? 0,
        ...(options.country === undefined ? {} : { legalCountry: options.country.toUpperCase() }),
      };
      const { items: carriers } = await readList(
        (page) => connection.client(CarrierService).listCarriers({ ...asked, ...page }),
        (page) => page.carriers,
      );
      if (options.json) printMessage(ListCarriersResponseSchema, create(ListCarriersResponseSchema, { carriers }));
      else printRows(CARRIER_COLUMNS, carriers, "No carriers yet: tandem carriers create --help");
    });
}

function getCommand(): Command {
  return remoteCommand("get")
    .description("Show a carrier.")
    .argument("<carrier-id>")
    .action((carrierId: string, options: ConnectionOptions) =>
      callAndPrint(options, CarrierService.method.getCarrier, { carrierId }, printCarrier),
    );
}

function updateCommand(): Command {
  return withSettings(remoteCommand("update"))
    .description("Change a carrier: only what is named changes.")
    .argument("<carrier-id>")
    .addHelpText(
      "after",
      "\nExample:\n  tandem carriers update nordlys-tele --tolerance-ms 1000 --reports outbound,inbound",
    )
    .action(async (carrierId: string, options: CarrierOptions, command: Command) => {
      const paths = pathsOf(options);
      if (paths.length === 0) command.error("error: say what to change, such as --name");
      await update(options, { carrierId, ...fieldsOf(options) }, paths);
    });
}

function stateCommand(name: string, state: CarrierState, description: string): Command {
  return remoteCommand(name)
    .description(description)
    .argument("<carrier-id>")
    .action((carrierId: string, options: ConnectionOptions) => update(options, { carrierId, state }, ["state"]));
}

function update(
  options: ConnectionOptions,
  carrier: MessageInitShape<typeof CarrierSchema>,
  paths: string[],
): Promise<void> {
  const request = { requestId: randomUUID(), carrier, updateMask: { paths } };
  return callAndPrint(options, CarrierService.method.updateCarrier, request, printCarrier);
}

function fieldsOf(options: CarrierOptions): MessageInitShape<typeof CarrierSchema> {
  const { name, timeZone, region, sipDomain, toleranceMs, graceMs, reports, unanswered } = options;
  return {
    ...(name === undefined ? {} : { displayName: name }),
    ...(timeZone === undefined ? {} : { timeZone }),
    ...(region === undefined ? {} : { region }),
    ...(sipDomain === undefined ? {} : { sipDomain }),
    ...(toleranceMs === undefined ? {} : { tolerances: { durationMs: BigInt(toleranceMs) } }),
    ...(graceMs === undefined ? {} : { graceMs: BigInt(graceMs) }),
    ...(reports === undefined && unanswered === undefined
      ? {}
      : { reportingScopes: [{ directions: reports ?? [], unanswered: unanswered ?? false }] }),
  };
}

function pathsOf(options: CarrierOptions): string[] {
  const paths: Record<string, unknown> = {
    display_name: options.name,
    time_zone: options.timeZone,
    region: options.region,
    sip_domain: options.sipDomain,
    "tolerances.duration_ms": options.toleranceMs,
    grace_ms: options.graceMs,
    reporting_scopes: options.reports ?? options.unanswered,
  };
  return Object.keys(paths).filter((path) => paths[path] !== undefined);
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

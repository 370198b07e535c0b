import { create } from "@bufbuild/protobuf";
import { Command } from "commander";
import {
  ListRetentionPoliciesResponseSchema,
  PrivacyService,
} from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import {
  LegalBasisSchema,
  ProcessingPurposeSchema,
  type RetentionPolicy,
  RetentionPolicySchema,
} from "../../gen/tandem/platform/v1/retention_policy_pb.js";
import { RecordPartSchema } from "../../gen/tandem/type/v1/agreement_pb.js";
import { callAndPrint, readList, requestIdOf } from "../shared/calls.ts";
import { type ConnectionOptions, connect, remoteCommand } from "../shared/connection.ts";
import { type CsvColumn, csvOption, fieldColumns, printCsv } from "../shared/csv-output.ts";
import { printMessage, printRows, type RowColumn } from "../shared/output.ts";
import { enumName, enumOption, formatTime, parseWhole } from "../shared/values.ts";

export function retentionCommand(): Command {
  return new Command("retention")
    .description("How long each part of the records is kept.")
    .addCommand(listCommand())
    .addCommand(setCommand());
}

interface ListOptions extends ConnectionOptions {
  readonly country?: string;
  readonly part?: number;
  readonly csv?: true;
}

function listCommand(): Command {
  return remoteCommand("list")
    .description("List the policies in force and what each country's law demands (platform only).")
    .option("--carrier <id>", "only what applies to this carrier")
    .option("--country <code>", "only this legal country, ISO 3166-1: DK")
    .addOption(enumOption("--part <part>", "only this part", RecordPartSchema))
    .addOption(csvOption())
    .addHelpText("after", "\nExample:\n  tandem privacy retention list --carrier nordlys-tele")
    .action(async (options: ListOptions) => {
      using connection = await connect(options, "platform");
      const { country: countryCode = "", carrier: carrierId = "", part: recordPart = 0 } = options;
      const asked = { countryCode, carrierId, recordPart };
      const { items: policies } = await readList(
        (page) => connection.client(PrivacyService).listRetentionPolicies({ ...asked, ...page }),
        (page) => page.policies,
      );
      if (options.json)
        printMessage(ListRetentionPoliciesResponseSchema, create(ListRetentionPoliciesResponseSchema, { policies }));
      else if (options.csv) printCsv(POLICY_CSV, policies);
      else printPolicies(policies);
    });
}

interface SetOptions extends ConnectionOptions {
  readonly country: string;
  readonly part: number;
  readonly purpose: number;
  readonly basis: number;
  readonly days: number;
  readonly source: string;
  readonly statement: string;
  readonly ifRevision?: number;
  readonly requestId?: string;
}

function setCommand(): Command {
  return remoteCommand("set")
    .description("Set how long a part is kept. A shorter time deletes at the next run (platform only).")
    .requiredOption("--country <code>", "the legal country, ISO 3166-1: DK")
    .option(
      "--carrier <id>",
      "only for this carrier (default: all carriers of the country without a policy of their own)",
    )
    .addOption(enumOption("--part <part>", "the part", RecordPartSchema).makeOptionMandatory())
    .addOption(enumOption("--purpose <purpose>", "what it is kept for", ProcessingPurposeSchema).makeOptionMandatory())
    .addOption(enumOption("--basis <basis>", "the legal basis", LegalBasisSchema).makeOptionMandatory())
    .requiredOption("--days <count>", "how many days from arrival", parseWhole(1, 36_500))
    .requiredOption("--source <text>", "what sets it: a law with its article, a decision, a contract")
    .option("--statement <version>", "version of the privacy statement that names it", "1")
    .option(
      "--if-revision <number>",
      "only if the policy is at this revision; 0 = nobody has set it",
      parseWhole(0, 1e15),
    )
    .option("--request-id <id>", "makes the call repeatable: the same id gets the first answer again")
    .addHelpText(
      "after",
      '\nExample:\n  tandem privacy retention set --country DK --part quality --purpose troubleshooting --basis legitimate-interests --days 60 --source "decision 12"',
    )
    .action((options: SetOptions) => {
      const request = {
        requestId: requestIdOf(options),
        policy: {
          countryCode: options.country,
          ...(options.carrier === undefined ? {} : { carrierId: options.carrier }),
          recordPart: options.part,
          purpose: options.purpose,
          legalBasis: options.basis,
          retentionDays: options.days,
          source: options.source,
          privacyStatementVersion: options.statement,
        },
        ...(options.ifRevision === undefined ? {} : { expectedRevision: BigInt(options.ifRevision) }),
      };
      return callAndPrint(
        options,
        PrivacyService.method.setRetentionPolicy,
        request,
        ({ policy }) => policy && printPolicies([policy]),
      );
    });
}

function printPolicies(policies: readonly RetentionPolicy[]): void {
  printRows(COLUMNS, policies, "No policies: there is no such carrier, or none of that country.");
}

const COLUMNS: readonly RowColumn<RetentionPolicy>[] = [
  { title: "country", read: ({ countryCode }) => countryCode },
  { title: "carrier", read: ({ carrierId }) => carrierId },
  { title: "part", read: ({ recordPart }) => enumName(RecordPartSchema, recordPart) },
  { title: "purpose", read: ({ purpose }) => enumName(ProcessingPurposeSchema, purpose) },
  { title: "days", align: "right", read: ({ retentionDays }) => `${retentionDays}` },
  { title: "at least", align: "right", read: ({ minimum }) => minimum?.dayCount.toString() },
  { title: "at most", align: "right", read: ({ maximum }) => maximum?.dayCount.toString() },
  { title: "set", read: ({ initialInForce, updateTime }) => (initialInForce ? "" : formatTime(updateTime)) },
  { title: "source", read: ({ source }) => source },
];

const POLICY_CSV: readonly CsvColumn<RetentionPolicy>[] = [
  ...fieldColumns(
    RetentionPolicySchema,
    ...["country_code", "carrier_id", "record_part", "purpose", "legal_basis", "retention_days", "source"],
    "privacy_statement_version",
  ),
  { title: "minimum_days", read: ({ minimum }) => minimum?.dayCount },
  { title: "minimum_source", read: ({ minimum }) => minimum?.source },
  { title: "maximum_days", read: ({ maximum }) => maximum?.dayCount },
  { title: "maximum_source", read: ({ maximum }) => maximum?.source },
  ...fieldColumns(RetentionPolicySchema, "initial_in_force", "revision", "update_time", "updated_by"),
];

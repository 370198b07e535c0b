import { Command } from "commander";
import { PrivacyService } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import {
  LegalBasisSchema,
  ProcessingPurposeSchema,
  type RetentionPolicy,
  RetentionPolicySchema,
} from "../../gen/tandem/platform/v1/retention_policy_pb.js";
import { RecordPartSchema } from "../../gen/tandem/type/v1/agreement_pb.js";
import { callAndPrint, listAndPrint } from "../shared/calls.ts";
import { type ConnectionOptions, carrierOption, csvCommand } from "../shared/connection.ts";
import { type CsvColumn, fieldColumns } from "../shared/csv-output.ts";
import { fieldOption } from "../shared/fields.ts";
import { printRows, type RowColumn } from "../shared/output.ts";
import { enumName, enumOption, formatTime, parseBigWhole, parseWhole } from "../shared/values.ts";

export function retentionCommand(): Command {
  return new Command("retention")
    .description("How long each part of the records is kept.")
    .addCommand(listCommand())
    .addCommand(setCommand());
}

function listCommand(): Command {
  return csvCommand("list")
    .description("List the policies in force and what each country's law demands (platform only).")
    .addOption(carrierOption("only what applies to this carrier"))
    .field("countryCode", "--country <code>", "only this legal country, ISO 3166-1: DK")
    .addOption(enumOption("--part <part>", "only this part", RecordPartSchema, "recordPart"))
    .addHelpText("after", "\nExample:\n  tandem privacy retention list --carrier nordlys-tele")
    .action((options: ConnectionOptions) => {
      const as = { print: printPolicies, csv: POLICY_CSV };
      return listAndPrint(options, PrivacyService.method.listRetentionPolicies, { ...options }, "policies", as);
    });
}

function setCommand(): Command {
  return csvCommand("set")
    .description("Set how long a part is kept. A shorter time deletes at the next run (platform only).")
    .requiredField("countryCode", "--country <code>", "the legal country, ISO 3166-1: DK")
    .addOption(
      carrierOption("only for this carrier (default: all carriers of the country without a policy of their own)"),
    )
    .addOption(enumOption("--part <part>", "the part", RecordPartSchema, "recordPart").makeOptionMandatory())
    .addOption(enumOption("--purpose <purpose>", "what it is kept for", ProcessingPurposeSchema).makeOptionMandatory())
    .addOption(enumOption("--basis <basis>", "the legal basis", LegalBasisSchema, "legalBasis").makeOptionMandatory())
    .requiredField("retentionDays", "--days <count>", "how many days from arrival", parseWhole(1, 36_500))
    .requiredOption("--source <text>", "what sets it: a law with its article, a decision, a contract")
    .addOption(
      fieldOption(
        "privacyStatementVersion",
        "--statement <version>",
        "version of the privacy statement that names it",
      ).default("1"),
    )
    .field(
      "expectedRevision",
      "--if-revision <number>",
      "only if the policy is at this revision; 0 = nobody has set it",
      parseBigWhole(0, 1e15),
    )
    .option("--request-id <id>", "makes the call repeatable: the same id gets the first answer again")
    .addHelpText(
      "after",
      '\nExample:\n  tandem privacy retention set --country DK --part quality --purpose troubleshooting --basis legitimate-interests --days 60 --source "decision 12"',
    )
    .action((options: ConnectionOptions) => {
      const request = { ...options, policy: options };
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

import { randomUUID } from "node:crypto";
import { Command } from "commander";
import {
  ListRetentionPoliciesResponseSchema,
  PrivacyService,
  SetRetentionPolicyResponseSchema,
} from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import {
  LegalBasisSchema,
  ProcessingPurposeSchema,
  type RetentionBound,
  type RetentionPolicy,
} from "../../gen/tandem/platform/v1/retention_policy_pb.js";
import { RecordPartSchema } from "../../gen/tandem/type/v1/agreement_pb.js";
import { type ConnectionOptions, connect, remoteCommand } from "../shared/connection.ts";
import { type CsvColumn, csvOption, printCsv } from "../shared/csv-output.ts";
import { printMessage, printTable } from "../shared/output.ts";
import { readPages } from "../shared/pages.ts";
import { enumName, enumOption, formatTime, parseWhole } from "../shared/values.ts";

/** `tandem privacy retention` */
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
      const client = connection.client(PrivacyService);
      const { country: countryCode = "", carrier: carrierId = "", part: recordPart = 0 } = options;
      const request = { countryCode, carrierId, recordPart };
      const { items: policies } = await readPages(
        (page) => client.listRetentionPolicies({ ...request, ...page }),
        (page) => page.policies,
      );
      if (options.json) printMessage(ListRetentionPoliciesResponseSchema, { policies });
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
    .action(async (options: SetOptions) => {
      using connection = await connect(options, "platform");
      const response = await connection.client(PrivacyService).setRetentionPolicy({
        requestId: options.requestId ?? randomUUID(),
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
      });
      if (options.json) printMessage(SetRetentionPolicyResponseSchema, response);
      else if (response.policy) printPolicies([response.policy]);
    });
}

function printPolicies(policies: readonly RetentionPolicy[]): void {
  printTable(
    [
      { title: "country" },
      { title: "carrier" },
      { title: "part" },
      { title: "purpose" },
      { title: "days", align: "right" },
      { title: "at least", align: "right" },
      { title: "at most", align: "right" },
      { title: "set" },
      { title: "source" },
    ],
    policies.map((policy) => [
      policy.countryCode,
      policy.carrierId ?? "",
      enumName(RecordPartSchema, policy.recordPart) ?? "",
      enumName(ProcessingPurposeSchema, policy.purpose) ?? "",
      `${policy.retentionDays}`,
      daysOf(policy.minimum),
      daysOf(policy.maximum),
      policy.initialInForce ? "" : formatTime(policy.updateTime),
      policy.source,
    ]),
    "No policies: there is no such carrier, or none of that country.",
  );
}

function daysOf(bound: RetentionBound | undefined): string {
  return bound === undefined ? "" : `${bound.dayCount}`;
}

const POLICY_CSV: readonly CsvColumn<RetentionPolicy>[] = [
  { title: "country_code", read: ({ countryCode }) => countryCode },
  { title: "carrier_id", read: ({ carrierId }) => carrierId },
  { title: "record_part", read: ({ recordPart }) => enumName(RecordPartSchema, recordPart) },
  { title: "purpose", read: ({ purpose }) => enumName(ProcessingPurposeSchema, purpose) },
  { title: "legal_basis", read: ({ legalBasis }) => enumName(LegalBasisSchema, legalBasis) },
  { title: "retention_days", read: ({ retentionDays }) => retentionDays },
  { title: "source", read: ({ source }) => source },
  { title: "privacy_statement_version", read: ({ privacyStatementVersion }) => privacyStatementVersion },
  { title: "minimum_days", read: ({ minimum }) => minimum?.dayCount },
  { title: "minimum_source", read: ({ minimum }) => minimum?.source },
  { title: "maximum_days", read: ({ maximum }) => maximum?.dayCount },
  { title: "maximum_source", read: ({ maximum }) => maximum?.source },
  { title: "initial_in_force", read: ({ initialInForce }) => initialInForce },
  { title: "revision", read: ({ revision }) => revision },
  { title: "update_time", read: ({ updateTime }) => formatTime(updateTime, "milliseconds") },
  { title: "updated_by", read: ({ updatedBy }) => updatedBy },
];

import type { MessageInitShape } from "@bufbuild/protobuf";
import { Command, InvalidArgumentError } from "commander";
import { CARRIER_SIDE, PLATFORM_SIDE } from "../../domain/record-kind.ts";
import { addDays, isDay } from "../../domain/time/instant.ts";
import {
  type HeldPeriodSchema,
  HoldReasonSchema,
  type HoldSchema,
  HoldStateSchema,
} from "../../gen/tandem/platform/v1/hold_pb.js";
import { PrivacyService } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { DirectionSchema } from "../../gen/tandem/type/v1/call_pb.js";
import { parseDay } from "../reconcile/days.ts";
import { callAndPrint, listAndPrint } from "../shared/calls.ts";
import { type ConnectionOptions, carrierOption, csvCommand } from "../shared/connection.ts";
import type { Filled } from "../shared/fields.ts";
import { enumOption, parseTime } from "../shared/values.ts";
import { HOLD_CSV, printHold, printHolds } from "./print-holds.ts";

export function holdCommand(): Command {
  return new Command("hold")
    .description("Keep disputed records beyond their retention.")
    .addCommand(createCommand())
    .addCommand(releaseCommand())
    .addCommand(listCommand());
}

type CreateOptions = ConnectionOptions &
  Filled<typeof HeldPeriodSchema> & {
    readonly platformRecord?: readonly RecordName[];
    readonly carrierRecord?: readonly RecordName[];
  };

interface RecordName {
  readonly recordDate: string;
  readonly recordId: string;
}

function createCommand(): Command {
  return csvCommand("create")
    .description("Hold single records, or all of a period, including those that arrive later (platform only).")
    .addOption(carrierOption("whose records").makeOptionMandatory())
    .option("--platform-record <day/id>", "a call detail record; repeatable", collectRecords)
    .option("--carrier-record <day/id>", "a duration of the carrier; repeatable", collectRecords)
    .field("startDate", "--from <day>", "first day of the period, in the carrier's time zone", parseDay)
    .field("endDate", "--to <day>", "last day of the period (default: the first)", (text) => addDays(parseDay(text), 1))
    .field("customerId", "--customer <id>", "in the period: only this customer's")
    .field("trunkId", "--trunk <id>", "in the period: only this trunk's")
    .addOption(enumOption("--direction <direction>", "in the period: only this direction", DirectionSchema))
    .addOption(enumOption("--reason <reason>", "why", HoldReasonSchema).makeOptionMandatory())
    .requiredField("caseReference", "--case <reference>", "the case, without names or numbers of persons")
    .requiredOption("--owner <role>", "who is responsible for the hold: a role or a team")
    .requiredField("endTime", "--until <time>", "when it expires, at most 5 years ahead", parseTime)
    .option("--request-id <id>", "makes the call repeatable: the same id gets the first answer again")
    .addHelpText(
      "after",
      `
Examples:
  tandem privacy hold create --carrier nordlys-tele --platform-record 2026-03-01/cdr-4711 --reason billing-dispute --case 2026-17 --owner disputes --until 2027-01-01
  tandem privacy hold create --carrier nordlys-tele --from 2026-03-01 --to 2026-03-31 --customer cedar-bank --reason legal-claim --case 2026-18 --owner legal --until 2028-01-01`,
    )
    .action(async (options: CreateOptions, command: Command) => {
      const target = targetOf(options) ?? command.error("error: say what to hold: records, or a period with --from");
      const hold = { ...options, target };
      await callAndPrint(options, PrivacyService.method.createHold, { ...options, hold }, printHold);
    });
}

function targetOf(options: CreateOptions): NonNullable<MessageInitShape<typeof HoldSchema>["target"]> | undefined {
  const { startDate, platformRecord = [], carrierRecord = [] } = options;
  const records = [
    ...platformRecord.map((record) => ({ side: PLATFORM_SIDE, record })),
    ...carrierRecord.map((record) => ({ side: CARRIER_SIDE, record })),
  ];
  if (startDate === undefined) return records.length === 0 ? undefined : { case: "records", value: { records } };
  if (records.length > 0) return undefined;
  return { case: "period", value: { endDate: addDays(startDate, 1), ...options } };
}

function releaseCommand(): Command {
  return csvCommand("release")
    .description("End a hold. What is past its retention goes at the next run (platform only).")
    .argument("<hold>", "the hold's id")
    .requiredField("releaseNote", "--note <text>", "why, without names or numbers")
    .option("--request-id <id>", "makes the call repeatable: the same id gets the first answer again")
    .addHelpText("after", '\nExample:\n  tandem privacy hold release 4f1c --note "settled on 2026-05-02"')
    .action((holdId: string, options: ConnectionOptions) =>
      callAndPrint(options, PrivacyService.method.releaseHold, { ...options, holdId }, printHold),
    );
}

function listCommand(): Command {
  return csvCommand("list")
    .description("List holds, newest first (platform only).")
    .addOption(carrierOption("only this carrier's"))
    .addOption(enumOption("--state <state>", "only in this state", HoldStateSchema))
    .addHelpText("after", "\nExample:\n  tandem privacy hold list --state active")
    .action((options: ConnectionOptions) => {
      const as = { print: printHolds, csv: HOLD_CSV };
      return listAndPrint(options, PrivacyService.method.listHolds, { ...options }, "holds", as);
    });
}

function collectRecords(text: string, before: readonly RecordName[] = []): RecordName[] {
  const [recordDate = "", recordId = ""] = [text.slice(0, 10), text.slice(11)];
  if (!isDay(recordDate) || text[10] !== "/" || recordId === "")
    throw new InvalidArgumentError("Expected a day and an id, such as 2026-03-01/cdr-4711.");
  return [...before, { recordDate, recordId }];
}

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { Command, InvalidArgumentError } from "commander";
import { CARRIER_SIDE, PLATFORM_SIDE } from "../../domain/record-kind.ts";
import { addDays, isDay } from "../../domain/time/instant.ts";
import {
  HoldReasonSchema,
  type HoldSchema,
  type HoldState,
  HoldStateSchema,
} from "../../gen/tandem/platform/v1/hold_pb.js";
import { ListHoldsResponseSchema, PrivacyService } from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { DirectionSchema } from "../../gen/tandem/type/v1/call_pb.js";
import { parseDay } from "../reconcile/days.ts";
import { callAndPrint, readList, requestIdOf } from "../shared/calls.ts";
import { type ConnectionOptions, connect, remoteCommand } from "../shared/connection.ts";
import { csvOption, printCsv } from "../shared/csv-output.ts";
import { printMessage } from "../shared/output.ts";
import { enumOption, parseTime } from "../shared/values.ts";
import { HOLD_CSV, printHold, printHolds } from "./print-holds.ts";

export function holdCommand(): Command {
  return new Command("hold")
    .description("Keep disputed records beyond their retention.")
    .addCommand(createCommand())
    .addCommand(releaseCommand())
    .addCommand(listCommand());
}

interface CreateOptions extends ConnectionOptions {
  readonly carrier: string;
  readonly platformRecord?: readonly RecordName[];
  readonly carrierRecord?: readonly RecordName[];
  readonly from?: string;
  readonly to?: string;
  readonly customer?: string;
  readonly trunk?: string;
  readonly direction?: number;
  readonly reason: number;
  readonly case: string;
  readonly owner: string;
  readonly until: Timestamp;
  readonly requestId?: string;
}

interface RecordName {
  readonly recordDate: string;
  readonly recordId: string;
}

function createCommand(): Command {
  return remoteCommand("create")
    .description("Hold single records, or all of a period, including those that arrive later (platform only).")
    .requiredOption("--carrier <id>", "whose records")
    .option("--platform-record <day/id>", "a call detail record; repeatable", collectRecords)
    .option("--carrier-record <day/id>", "a duration of the carrier; repeatable", collectRecords)
    .option("--from <day>", "first day of the period, in the carrier's time zone", parseDay)
    .option("--to <day>", "last day of the period (default: the first)", parseDay)
    .option("--customer <id>", "in the period: only this customer's")
    .option("--trunk <id>", "in the period: only this trunk's")
    .addOption(enumOption("--direction <direction>", "in the period: only this direction", DirectionSchema))
    .addOption(enumOption("--reason <reason>", "why", HoldReasonSchema).makeOptionMandatory())
    .requiredOption("--case <reference>", "the case, without names or numbers of persons")
    .requiredOption("--owner <role>", "who is responsible for the hold: a role or a team")
    .requiredOption("--until <time>", "when it expires, at most 5 years ahead", parseTime)
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
      const { carrier: carrierId, reason, case: caseReference, owner, until: endTime } = options;
      const hold = { carrierId, target, reason, caseReference, owner, endTime };
      await callAndPrint(
        options,
        PrivacyService.method.createHold,
        { requestId: requestIdOf(options), hold },
        printHold,
      );
    });
}

function targetOf(options: CreateOptions): NonNullable<MessageInitShape<typeof HoldSchema>["target"]> | undefined {
  const { from, to, customer, trunk, direction, platformRecord = [], carrierRecord = [] } = options;
  const records = [
    ...platformRecord.map((record) => ({ side: PLATFORM_SIDE, record })),
    ...carrierRecord.map((record) => ({ side: CARRIER_SIDE, record })),
  ];
  if (from === undefined) return records.length === 0 ? undefined : { case: "records", value: { records } };
  if (records.length > 0) return undefined;
  const value = {
    startDate: from,
    endDate: addDays(to ?? from, 1),
    direction: direction ?? 0,
    ...(customer === undefined ? {} : { customerId: customer }),
    ...(trunk === undefined ? {} : { trunkId: trunk }),
  };
  return { case: "period", value };
}

interface ReleaseOptions extends ConnectionOptions {
  readonly note: string;
  readonly requestId?: string;
}

function releaseCommand(): Command {
  return remoteCommand("release")
    .description("End a hold. What is past its retention goes at the next run (platform only).")
    .argument("<hold>", "the hold's id")
    .requiredOption("--note <text>", "why, without names or numbers")
    .option("--request-id <id>", "makes the call repeatable: the same id gets the first answer again")
    .addHelpText("after", '\nExample:\n  tandem privacy hold release 4f1c --note "settled on 2026-05-02"')
    .action((holdId: string, options: ReleaseOptions) => {
      const request = { requestId: requestIdOf(options), holdId, releaseNote: options.note };
      return callAndPrint(options, PrivacyService.method.releaseHold, request, printHold);
    });
}

interface ListOptions extends ConnectionOptions {
  readonly state?: HoldState;
  readonly csv?: true;
}

function listCommand(): Command {
  return remoteCommand("list")
    .description("List holds, newest first (platform only).")
    .option("--carrier <id>", "only this carrier's")
    .addOption(enumOption("--state <state>", "only in this state", HoldStateSchema))
    .addOption(csvOption())
    .addHelpText("after", "\nExample:\n  tandem privacy hold list --state active")
    .action(async (options: ListOptions) => {
      using connection = await connect(options, "platform");
      const { carrier: carrierId = "", state = 0 } = options;
      const { items: holds } = await readList(
        (page) => connection.client(PrivacyService).listHolds({ carrierId, state, ...page }),
        (page) => page.holds,
      );
      if (options.json) printMessage(ListHoldsResponseSchema, create(ListHoldsResponseSchema, { holds }));
      else if (options.csv) printCsv(HOLD_CSV, holds);
      else printHolds(holds);
    });
}

function collectRecords(text: string, before: readonly RecordName[] = []): RecordName[] {
  const [recordDate = "", recordId = ""] = [text.slice(0, 10), text.slice(11)];
  if (!isDay(recordDate) || text[10] !== "/" || recordId === "")
    throw new InvalidArgumentError("Expected a day and an id, such as 2026-03-01/cdr-4711.");
  return [...before, { recordDate, recordId }];
}

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Command } from "commander";
import { PLATFORM_SIDE } from "../../domain/record-kind.ts";
import { addDays } from "../../domain/time/instant.ts";
import { RecipientKindSchema } from "../../gen/tandem/platform/v1/disclosure_pb.js";
import {
  type ListDisclosuresRequestSchema,
  PrivacyService,
  SubjectRole,
  SubjectRoleSchema,
} from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { RecordSideSchema } from "../../gen/tandem/type/v1/discrepancy_pb.js";
import { parseDay } from "../reconcile/days.ts";
import { listAndPrint } from "../shared/calls.ts";
import { type ConnectionOptions, carrierOption, csvCommand } from "../shared/connection.ts";
import { enumOption, parseTime, parseWhole } from "../shared/values.ts";
import { TIME_HELP } from "../shared/window.ts";
import { NUMBER_HELP, readNumber } from "./number-argument.ts";
import { DISCLOSURE_CSV, printDisclosures } from "./print-disclosures.ts";

interface DisclosuresOptions extends ConnectionOptions {
  readonly record?: string;
  readonly date?: string;
  readonly side?: number;
  readonly revision?: number;
  readonly number?: string;
  readonly from?: Timestamp;
  readonly to?: Timestamp;
  readonly role?: SubjectRole;
  readonly period?: string;
  readonly until?: string;
  readonly limit: number;
}

type Subject = NonNullable<MessageInitShape<typeof ListDisclosuresRequestSchema>["subject"]>;

export function disclosuresCommand(): Command {
  return csvCommand("disclosures")
    .description("List who may have received a record, a number's records or a period's, newest first (platform only).")
    .addOption(carrierOption("whose records; optional with a number (default: every carrier's)"))
    .option("--record <id>", "of this record")
    .option("--date <day>", "with --record: its record_date", parseDay)
    .addOption(enumOption("--side <side>", "with --record: whose it is (default: platform)", RecordSideSchema))
    .option("--revision <number>", "with --record: only this revision", parseWhole(1, 2_147_483_647))
    .option("--number <number>", `of the calls of this number, ${NUMBER_HELP}`)
    .option("--from <time>", "with --number: calls that began at this time or later", parseTime)
    .option("--to <time>", "with --number: calls that began before this time (default: now)", parseTime)
    .addOption(
      enumOption("--role <role>", "with --number: the person's role in the calls (default: any)", SubjectRoleSchema),
    )
    .option("--period <day>", "records of this record_date, or from it to --until", parseDay)
    .option("--until <day>", "with --period: the last record_date (default: the same)", parseDay)
    .addOption(enumOption("--recipient <kind>", "only to these", RecipientKindSchema, "recipientKind"))
    .field("startTime", "--since <time>", "only disclosures made at this time or later", parseTime)
    .field("endTime", "--before <time>", "only disclosures made before this time", parseTime)
    .option("--limit <count>", "how many at most", parseWhole(1, 1_000_000), 100)
    .addHelpText(
      "after",
      `
A disclosure is logged before anything is sent, so each may have delivered the record. Once a record is gone, ask by its day.
A day is 2026-03-01, 7d (days ago), or today; UTC. ${TIME_HELP}

Examples:
  tandem privacy disclosures --carrier nordlys-tele --record cdr-4711 --date 2026-03-01
  tandem privacy disclosures --number +4533112200 --from 30d
  tandem privacy disclosures --carrier nordlys-tele --period 2026-02-01 --until 2026-02-28 --csv`,
    )
    .action(async (options: DisclosuresOptions, command: Command) => {
      const mistake = findMistake(options);
      if (mistake !== undefined) command.error(`error: ${mistake}`);
      const request = { ...options, subject: await subjectOf(options) };
      await listAndPrint(options, PrivacyService.method.listDisclosures, request, "disclosures", {
        print: (disclosures) => printDisclosures(disclosures, options.carrierId === undefined),
        csv: DISCLOSURE_CSV,
      });
    });
}

/** What each question may say besides. */
const BELONGING = {
  record: ["date", "side", "revision"],
  number: ["from", "to", "role"],
  period: ["until"],
} as const;

/** What is wrong with the options together; undefined: nothing. */
function findMistake(options: DisclosuresOptions): string | undefined {
  const questions = (["record", "number", "period"] as const).filter((name) => options[name] !== undefined);
  const [asked, ...more] = questions;
  if (asked === undefined || more.length > 0) return "say what: --record, --number or --period";
  for (const [question, names] of Object.entries(BELONGING)) {
    const stray = question === asked ? undefined : names.find((name) => options[name] !== undefined);
    if (stray !== undefined) return `--${stray} belongs with --${question}, not with --${asked}`;
  }
  if (asked !== "number" && options.carrierId === undefined) return "say whose records: --carrier <id>";
  if (asked === "record" && options.date === undefined) return "say the record's day: --date <day>";
  if (asked === "number" && options.from === undefined) return "say from when (numbers are reassigned): --from <time>";
  return undefined;
}

async function subjectOf(options: DisclosuresOptions): Promise<Subject> {
  const { record, number, period } = options;
  if (record !== undefined) {
    const { date = "", side = PLATFORM_SIDE, revision } = options;
    const named = { recordId: record, recordDate: date, revision };
    return { case: "record", value: { side, record: named } };
  }
  if (number !== undefined) {
    const { from: startTime = parseTime("now"), to: endTime = parseTime("now"), role = SubjectRole.ANY } = options;
    return { case: "number", value: { phoneNumber: await readNumber(number), startTime, endTime, role } };
  }
  const startDate = period ?? "";
  return { case: "period", value: { startDate, endDate: addDays(options.until ?? startDate, 1) } };
}

import { toJson } from "@bufbuild/protobuf";
import type { Command } from "commander";
import {
  type ExportPhoneNumberResponse,
  PhoneNumberExportHeaderSchema,
  PhoneNumberExportItemSchema,
  PhoneNumberExportTrailerSchema,
  PrivacyService,
  SubjectRoleSchema,
} from "../../gen/tandem/platform/v1/privacy_service_pb.js";
import { type ConnectionOptions, connect, csvCommand } from "../shared/connection.ts";
import { formatJson } from "../shared/output.ts";
import { enumOption, parseTime } from "../shared/values.ts";
import { TIME_HELP } from "../shared/window.ts";
import { NUMBER_HELP, readNumber } from "./number-argument.ts";
import { exportCsv, formatExportHeader, formatExportLine, formatExportTrailer } from "./print-export.ts";

export function exportCommand(): Command {
  return csvCommand("export")
    .description(
      "Export everything kept about a person's number in a period, at every carrier (GDPR 15; platform only).",
    )
    .argument("<number>", NUMBER_HELP)
    .requiredField("startTime", "--from <time>", "when the number became the person's", parseTime)
    .requiredField("endTime", "--to <time>", "until when", parseTime)
    .addOption(enumOption("--role <role>", "the person's role in the calls", SubjectRoleSchema).makeOptionMandatory())
    .requiredField("caseReference", "--case <reference>", "the request's case, without names or numbers")
    .requiredField("verifiedBy", "--verified-by <who>", "who verified that: a role or a team")
    .addHelpText(
      "after",
      `
Other parties' numbers are masked. Calls from callers who withheld their number are left out and counted. Prints a line for
each item in a terminal, and JSON lines elsewhere: a header, the items, a trailer. Without the trailer the export is
incomplete, and the exit code is 1.

${TIME_HELP}

Example:
  tandem privacy export +4510000001 --from 2026-01-01 --to 2026-03-01 --role subscriber --case DSR-17 --verified-by "privacy desk"`,
    )
    .action(async (number: string, options: ConnectionOptions) => {
      const phoneNumber = await readNumber(number);
      const format = formatOf(options);
      using connection = await connect({ ...options, ...(format === "text" ? {} : { json: true }) }, "platform");
      const frames = connection.client(PrivacyService).exportPhoneNumber({ ...options, phoneNumber });
      await printExport(frames, format);
    });
}

type Format = "json" | "csv" | "text";

function formatOf({ json, csv }: ConnectionOptions): Format {
  if (csv) return "csv";
  return json || !process.stdout.isTTY ? "json" : "text";
}

async function printExport(frames: AsyncIterable<ExportPhoneNumberResponse>, format: Format): Promise<void> {
  let isComplete = false;
  for await (const { frame } of frames) {
    if (frame.case === "trailer") isComplete = true;
    for (const line of linesOf(frame, format)) process.stdout.write(`${line}\n`);
    if (frame.case === "trailer" && format !== "text") console.error(formatExportTrailer(frame.value));
  }
  if (!isComplete) throw new Error("the export ended before its trailer, so it is not complete: call again");
}

function linesOf(frame: ExportPhoneNumberResponse["frame"], format: Format): string[] {
  switch (frame.case) {
    case "header":
      if (format === "json") return [formatJson({ header: toJson(PhoneNumberExportHeaderSchema, frame.value) })];
      return [format === "csv" ? exportCsv([], true).trimEnd() : formatExportHeader(frame.value)];
    case "batch":
      if (format === "csv") return [exportCsv(frame.value.items, false).trimEnd()];
      return frame.value.items.map((item) =>
        format === "json" ? formatJson(toJson(PhoneNumberExportItemSchema, item)) : formatExportLine(item),
      );
    case "trailer":
      if (format === "json") return [formatJson({ trailer: toJson(PhoneNumberExportTrailerSchema, frame.value) })];
      return format === "text" ? [formatExportTrailer(frame.value)] : [];
    case undefined:
      return [];
    default:
      return frame satisfies never;
  }
}

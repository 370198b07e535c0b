import type { Command } from "commander";
import { DurationService, ListUploadsResponseSchema } from "../../gen/tandem/carrier/v1/duration_service_pb.js";
import { type Upload, UploadStateSchema } from "../../gen/tandem/type/v1/upload_pb.js";
import { type Asking, connectFor, printAnswer, readList } from "../shared/calls.ts";
import { type ConnectionOptions, carrierOption, connect, csvCommand } from "../shared/connection.ts";
import { fieldOption } from "../shared/fields.ts";
import { formatCount, printRows, type RowColumn } from "../shared/output.ts";
import { enumName, enumOption, formatTime, parseWhole } from "../shared/values.ts";
import { formatVerdicts, printOutcomes } from "./print-outcomes.ts";

/** `tandem durations uploads` */
export function uploadsCommand(): Command {
  return csvCommand("uploads")
    .description("List uploads and their verdicts, newest first; or show one.")
    .argument("[upload-id]", "only this one")
    .addOption(carrierOption())
    .addOption(enumOption("--state <state>", "only those in this state", UploadStateSchema))
    .addOption(fieldOption("pageSize", "--limit <count>", "how many at most", parseWhole(1, 1_000)).default(100))
    .addHelpText(
      "after",
      "\nExamples:\n  tandem durations uploads --carrier nordlys-tele\n  tandem durations uploads march-2026 --carrier nordlys-tele --json",
    )
    .action(async (uploadId: string | undefined, options: Asking<typeof DurationService.method.listUploads>) => {
      using connection = await connect(options, "carrier");
      const client = connection.client(DurationService);
      const uploads =
        uploadId === undefined
          ? (await client.listUploads(options)).uploads
          : [(await client.getUpload({ uploadId })).upload].filter((upload) => upload !== undefined);
      printAnswer(options, ListUploadsResponseSchema, { uploads }, () =>
        printRows(UPLOADS, uploads, "No uploads yet: tandem durations upload --help"),
      );
    });
}

/** `tandem durations rejects` */
export function rejectsCommand(): Command {
  return csvCommand("rejects")
    .description("List the records of an upload that were not simply accepted, and why.")
    .argument("<upload-id>")
    .addOption(carrierOption())
    .option("--limit <count>", "how many at most", parseWhole(1, 10_000), 1_000)
    .addHelpText("after", "\nExample:\n  tandem durations rejects march-2026 --carrier nordlys-tele")
    .action(async (uploadId: string, options: ConnectionOptions & { limit: number }) => {
      const method = DurationService.method.listRejects;
      using connection = await connectFor(options, method);
      const { answer } = await readList(connection, method, { uploadId }, "rejects", options.limit);
      const outcomes = answer.rejects.map(({ outcome }) => outcome).filter((outcome) => outcome !== undefined);
      printAnswer(options, method.output, answer, () => {
        if (outcomes.length === 0) console.log("All records were accepted.");
        else printOutcomes(outcomes);
      });
      if (outcomes.length < answer.totalCount) console.error(`${answer.totalCount} in all`);
    });
}

const UPLOADS: readonly RowColumn<Upload>[] = [
  { title: "upload", read: ({ uploadId }) => uploadId },
  { title: "state", read: ({ state }) => enumName(UploadStateSchema, state) },
  { title: "updated", read: ({ updateTime }) => formatTime(updateTime) },
  { title: "records", align: "right", read: ({ committedOffset }) => formatCount(committedOffset) },
  { title: "verdicts", read: ({ counts }) => formatVerdicts(counts) },
];

import type { Command } from "commander";
import {
  DurationService,
  ListRejectsResponseSchema,
  ListUploadsResponseSchema,
} from "../../gen/tandem/carrier/v1/duration_service_pb.js";
import { type Upload, UploadStateSchema } from "../../gen/tandem/type/v1/upload_pb.js";
import { asCarrier, type ConnectionOptions, connect, remoteCommand } from "../shared/connection.ts";
import { formatCount, printMessage, printTable } from "../shared/output.ts";
import { readPages } from "../shared/pages.ts";
import { enumName, enumOption, formatTime, parseWhole } from "../shared/values.ts";
import { printOutcomes } from "./print-outcomes.ts";
import { formatVerdicts } from "./verdicts.ts";

/** `tandem durations uploads` */
export function uploadsCommand(): Command {
  return remoteCommand("uploads")
    .description("List uploads and their verdicts, newest first; or show one.")
    .argument("[upload-id]", "only this one")
    .addOption(asCarrier())
    .addOption(enumOption("--state <state>", "only those in this state", UploadStateSchema))
    .option("--limit <count>", "how many at most", parseWhole(1, 1_000), 100)
    .action(async (uploadId: string | undefined, options: ConnectionOptions & { state?: number; limit: number }) => {
      using connection = await connect(options, "carrier");
      const client = connection.client(DurationService);
      const uploads =
        uploadId === undefined
          ? (await client.listUploads({ state: options.state ?? 0, pageSize: options.limit })).uploads
          : [(await client.getUpload({ uploadId })).upload].filter((upload) => upload !== undefined);
      if (options.json) printMessage(ListUploadsResponseSchema, { uploads });
      else printUploads(uploads);
    });
}

/** `tandem durations rejects` */
export function rejectsCommand(): Command {
  return remoteCommand("rejects")
    .description("List the records of an upload that were not simply accepted, and why.")
    .argument("<upload-id>")
    .addOption(asCarrier())
    .option("--limit <count>", "how many at most", parseWhole(1, 10_000), 1_000)
    .action(async (uploadId: string, options: ConnectionOptions & { limit: number }) => {
      using connection = await connect(options, "carrier");
      const client = connection.client(DurationService);
      let [totalCount, nextPageToken] = [0n, ""];
      const { items: rejects } = await readPages(
        (page) => client.listRejects({ uploadId, ...page }),
        (page) => {
          ({ totalCount, nextPageToken } = page);
          return page.rejects;
        },
        options.limit,
      );
      if (options.json) {
        printMessage(ListRejectsResponseSchema, { rejects, totalCount, nextPageToken });
        return;
      }
      const outcomes = rejects.map(({ outcome }) => outcome).filter((outcome) => outcome !== undefined);
      if (outcomes.length === 0) console.log("All records were accepted.");
      else printOutcomes(outcomes);
      if (outcomes.length < totalCount) console.error(`${totalCount} in all`);
    });
}

function printUploads(uploads: readonly Upload[]): void {
  printTable(
    [
      { title: "upload" },
      { title: "state" },
      { title: "updated" },
      { title: "records", align: "right" },
      { title: "verdicts" },
    ],
    uploads.map((upload) => [
      upload.uploadId,
      enumName(UploadStateSchema, upload.state) ?? "",
      formatTime(upload.updateTime),
      formatCount(upload.committedOffset),
      formatVerdicts(upload.counts),
    ]),
    "No uploads yet: tandem durations upload --help",
  );
}

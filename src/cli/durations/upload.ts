import { toJson } from "@bufbuild/protobuf";
import type { Command } from "commander";
import type { UploadResult } from "../../client/upload.ts";
import { uploadDurations } from "../../client/upload-durations.ts";
import { arraySource } from "../../client/upload-source.ts";
import { visibleText } from "../../domain/privacy/visible-text.ts";
import { DurationService } from "../../gen/tandem/carrier/v1/duration_service_pb.js";
import { RecordOutcomeSchema, UploadReceiptSchema, Verdict } from "../../gen/tandem/type/v1/upload_pb.js";
import { type ConnectionOptions, carrierOption, connect, remoteCommand } from "../shared/connection.ts";
import { createCutTeller, untilInterrupted } from "../shared/following.ts";
import { formatCount, formatJson, styled } from "../shared/output.ts";
import { openProgress } from "../shared/progress.ts";
import { formatTime } from "../shared/values.ts";
import { DURATION_COLUMNS } from "./duration-columns.ts";
import { type DurationsFile, readDurationsCsv } from "./durations-csv.ts";
import { formatVerdicts, printOutcomes } from "./print-outcomes.ts";

/** All records were taken, and some were refused: for scripts. */
const EXIT_REFUSED = 3;

interface UploadOptions extends ConnectionOptions {
  readonly uploadId?: string;
  readonly check?: true;
}

/** `tandem durations upload` */
export function uploadCommand(): Command {
  return remoteCommand("upload")
    .description("Upload durations from a CSV file, resume after every cut, and print the verdicts.")
    .argument("<file>", "CSV with a header line")
    .addOption(carrierOption())
    .option(
      "--upload-id <id>",
      "name of the upload (default: from the content, so that the same file is never uploaded twice)",
    )
    .option("--check", "judge every record and store nothing")
    .addHelpText("after", () => `\n${columnHelp()}`)
    .action(upload);
}

async function upload(file: string, options: UploadOptions): Promise<void> {
  const durations = await readDurationsCsv(file);
  using connection = await connect(options, "carrier");
  const signal = untilInterrupted();
  using progress = openProgress();
  const bar = progress.add("durations", durations.records.length);
  let wasSealed = true;
  const tellCut = createCutTeller(progress.say);
  const result = await uploadDurations(connection.client(DurationService), {
    uploadId: options.uploadId ?? `csv-${durations.contentId}`,
    source: arraySource(durations.records),
    validateOnly: options.check ?? false,
    signal,
    onEvent: (event) => {
      if (event.kind === "COMMITTED") wasSealed = false;
      if (event.kind === "OPENED" || event.kind === "COMMITTED") bar.set(event.committedOffset);
      tellCut(event);
    },
  });
  bar.set(durations.records.length);
  progress[Symbol.dispose]();
  const { mistakes } = durations;
  if (options.json) {
    const receipt = toJson(UploadReceiptSchema, result.receipt);
    const outcomes = result.outcomes.map((outcome) => toJson(RecordOutcomeSchema, outcome));
    const { remarks } = durations;
    console.log(formatJson({ receipt, outcomes, notSent: mistakes.lineCount, mistakes: mistakes.told, remarks }));
  } else {
    const name = options.check ? "checked, nothing was stored" : result.receipt.uploadId;
    printResult(name, result, durations, wasSealed);
  }
  const { conflict = 0n, rejected = 0n, quarantined = 0n } = result.receipt.counts ?? {};
  if (conflict + rejected + quarantined > 0n || mistakes.lineCount > 0) process.exitCode = EXIT_REFUSED;
}

/** @param wasSealed nothing was sent now: the upload had been sealed before. */
function printResult(name: string, result: UploadResult, file: DurationsFile, wasSealed: boolean): void {
  const { receipt, resumes, outcomes } = result;
  console.log(
    `${styled("bold", name)}: ${formatCount(receipt.finalOffset)} records: ${formatVerdicts(receipt.counts)}.`,
  );
  if (wasSealed) console.log(`The same file was uploaded at ${formatTime(receipt.sealTime)}: this is its receipt.`);
  if (resumes > 0) console.log(`It was cut off and resumed ${resumes} times.`);
  for (const remark of file.remarks) console.log(remark);
  printMistakes(file);
  const refused = outcomes.filter(({ verdict }) => verdict !== Verdict.DUPLICATE);
  if (refused.length > 0) console.log();
  printOutcomes(refused, file.lineOf);
}

function printMistakes({ mistakes: { lineCount, told } }: DurationsFile): void {
  if (lineCount === 0) return;
  console.log(`${styled("red", "not sent")}: ${formatCount(lineCount)} lines that are not a valid record:`);
  for (const mistake of told) console.log(`  ${visibleText(mistake)}`);
  if (lineCount > told.length) console.log("  (and perhaps more)");
}

function columnHelp(): string {
  const columns = Object.entries(DURATION_COLUMNS);
  const width = Math.max(...columns.map(([name]) => name.length));
  return [
    "Columns, in any order; leave unknown fields empty:",
    ...columns.map(([name, { meaning }]) => `  ${name.padEnd(width)}  ${meaning}`),
    "",
    "Lines that are not a valid record are listed and left out; the others are sent.",
    "Exit codes: 0 all accepted or stored before; 3 some refused or not sent; 1 the upload failed (run it again: it resumes).",
    "",
    "Example:",
    "  record_id,direction,calling,called,invite_time,answer_time,end_time,answered,connected_duration_ms",
    "  sw1-000001,outbound,+4510000001,+4511223344,2026-03-01T10:05:00.1Z,2026-03-01T10:05:06Z,2026-03-01T10:06:00Z,yes,54000",
    "",
    "  tandem durations upload today.csv --carrier nordlys-tele",
  ].join("\n");
}

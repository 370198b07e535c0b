import { toJson } from "@bufbuild/protobuf";
import type { Command } from "commander";
import type { UploadResult } from "../../client/upload.ts";
import { uploadDurations } from "../../client/upload-durations.ts";
import { visibleText } from "../../domain/privacy/visible-text.ts";
import { DurationService } from "../../gen/tandem/carrier/v1/duration_service_pb.js";
import { RecordOutcomeSchema, UploadReceiptSchema, Verdict } from "../../gen/tandem/type/v1/upload_pb.js";
import {
  type Connection,
  type ConnectionOptions,
  carrierOption,
  connect,
  remoteCommand,
} from "../shared/connection.ts";
import { createCutTeller, untilInterrupted } from "../shared/following.ts";
import { formatCount, formatJson, styled } from "../shared/output.ts";
import { openProgress, tellNowAndThen } from "../shared/progress.ts";
import { formatTime } from "../shared/values.ts";
import { DURATION_COLUMNS } from "./duration-columns.ts";
import { DurationsFile, type FileSurvey } from "./durations-file.ts";
import { chooseFormat, type FormatOptions, settingsOf, withFormatOptions } from "./format-options.ts";
import { DurationsFileError } from "./formats/format.ts";
import { DURATION_FORMATS } from "./formats/formats.ts";
import { formatVerdicts, printOutcomes } from "./print-outcomes.ts";
import { findPlaces, isReject, isThere, type Places, rejectsPath } from "./rejects-file.ts";

/** All records were taken, and some were refused: for scripts. */
const EXIT_REFUSED = 3;

interface UploadOptions extends ConnectionOptions, FormatOptions {
  readonly uploadId?: string;
  readonly check?: true;
  readonly validateOnly?: true;
  /** A path; false for none. */
  readonly rejects?: string | false;
}

/** `tandem durations upload` */
export function uploadCommand(): Command {
  const command = remoteCommand("upload")
    .description(
      "Upload durations from a switch's file of call records, resume after every cut, and print the verdicts.",
    )
    .argument("<file>", "as a switch writes it, or CSV with Tandem's columns")
    .addOption(carrierOption())
    .option(
      "--upload-id <id>",
      "name of the upload (default: from the content, so that the same file is never uploaded twice)",
    )
    .option("--validate-only", "judge every record and store nothing")
    .option("--check", "the same")
    .option("--rejects <file>", "where refused rows go, to be mended and sent again (default: beside the file)")
    .option("--no-rejects", "write no such file");
  return withFormatOptions(command)
    .addHelpText("after", () => `\n${formatHelp()}\n\n${columnHelp()}`)
    .action(upload);
}

async function upload(path: string, options: UploadOptions): Promise<void> {
  const { file, isGuessed } = await openFile(path, options);
  using connection = await connect(options, "carrier");
  const signal = untilInterrupted();
  const survey = await surveyFile(file, signal);
  const validateOnly = options.validateOnly ?? options.check ?? false;
  const rejects = await placeForRejects(path, options, survey, validateOnly);
  const { result, wasSealed } = await send(connection, file, survey, { ...options, validateOnly, signal });
  const told = result.outcomes.filter(({ verdict }) => verdict !== Verdict.DUPLICATE);
  const hasRejects = survey.mistakes.lineCount > 0 || result.outcomes.some(isReject);
  const wanted = hasRejects ? rejects.path : undefined;
  const places =
    told.length > 0 || wanted !== undefined
      ? await findPlaces(file, { outcomes: told, rejects: wanted, signal })
      : undefined;
  const ending = { file, isGuessed, survey, result, wasSealed, places, rejects, validateOnly, hasRejects };
  if (options.json) printJson(ending);
  else printResult(ending);
  const { conflict = 0n, rejected = 0n, quarantined = 0n } = result.receipt.counts ?? {};
  if (conflict + rejected + quarantined > 0n || survey.mistakes.lineCount > 0) process.exitCode = EXIT_REFUSED;
}

async function openFile(path: string, options: UploadOptions): Promise<{ file: DurationsFile; isGuessed: boolean }> {
  const { format, isGuessed } = await chooseFormat(path, options);
  const guess = `${path} looks like ${format.title}`;
  if (isGuessed) console.error(`${guess}: read as --format ${format.name}`);
  return { file: new DurationsFile(path, format, await settingsOf(format, options)), isGuessed };
}

async function surveyFile(file: DurationsFile, signal: AbortSignal): Promise<FileSurvey> {
  const tell = tellNowAndThen((rows: number) => `${formatCount(rows)} rows of ${file.path} read`);
  const survey = await file.survey(signal, tell);
  if (survey.recordCount > 0) return survey;
  if (survey.mistakes.lineCount === 0) throw new DurationsFileError(`${file.path}: has no records`);
  throw new DurationsFileError(`nothing was sent:\n  ${survey.mistakes.told.join("\n  ")}`);
}

interface RejectsPlace {
  /** Undefined: nothing is written. */
  readonly path: string | undefined;
  /** Where an earlier run has written them, and somebody may have mended them since. */
  readonly earlier: string | undefined;
}

async function placeForRejects(
  path: string,
  { rejects }: UploadOptions,
  { contentId }: FileSurvey,
  validateOnly: boolean,
): Promise<RejectsPlace> {
  if (rejects === false || (rejects === undefined && validateOnly)) return { path: undefined, earlier: undefined };
  const place = rejects ?? rejectsPath(path, contentId);
  if (!(await isThere(place))) return { path: place, earlier: undefined };
  if (rejects !== undefined) throw new DurationsFileError(`${rejects} is there already: name another file for rejects`);
  return { path: undefined, earlier: place };
}

async function send(
  connection: Connection,
  file: DurationsFile,
  { recordCount, contentId }: FileSurvey,
  options: { uploadId?: string; validateOnly: boolean; signal: AbortSignal },
): Promise<{ result: UploadResult; wasSealed: boolean }> {
  using progress = openProgress();
  await using source = file.source();
  const bar = progress.add("durations", recordCount);
  let wasSealed = true;
  const tellCut = createCutTeller(progress.say);
  const result = await uploadDurations(connection.client(DurationService), {
    uploadId: options.uploadId ?? `csv-${contentId}`,
    source,
    validateOnly: options.validateOnly,
    signal: options.signal,
    onEvent: (event) => {
      if (event.kind === "COMMITTED") wasSealed = false;
      if (event.kind === "OPENED" || event.kind === "COMMITTED") bar.set(event.committedOffset);
      if (event.kind === "OPENED" && event.committedOffset > 0)
        progress.say(`goes on after ${formatCount(event.committedOffset)} records that are stored`);
      tellCut(event);
    },
  });
  bar.set(recordCount);
  return { result, wasSealed };
}

interface Ending {
  readonly file: DurationsFile;
  readonly isGuessed: boolean;
  readonly survey: FileSurvey;
  readonly result: UploadResult;
  /** Nothing was sent now: the upload had been sealed before. */
  readonly wasSealed: boolean;
  readonly places: Places | undefined;
  readonly rejects: RejectsPlace;
  readonly validateOnly: boolean;
  readonly hasRejects: boolean;
}

function printJson({ file, isGuessed, survey, result, places, rejects }: Ending): void {
  const receipt = toJson(UploadReceiptSchema, result.receipt);
  const outcomes = result.outcomes.map((outcome) => toJson(RecordOutcomeSchema, outcome));
  const { mistakes, remarks } = survey;
  const written = places !== undefined && places.rejectCount > 0 ? rejects.path : rejects.earlier;
  const format = { name: file.format.name, isGuessed };
  const notSent = { notSent: mistakes.lineCount, mistakes: mistakes.told };
  console.log(formatJson({ format, receipt, outcomes, ...notSent, remarks, ...(written && { rejects: written }) }));
}

function printResult(ending: Ending): void {
  const { survey, result, wasSealed, places, validateOnly } = ending;
  const { receipt, resumes, outcomes } = result;
  const name = validateOnly ? "checked, nothing was stored" : receipt.uploadId;
  console.log(
    `${styled("bold", name)}: ${formatCount(receipt.finalOffset)} records: ${formatVerdicts(receipt.counts)}.`,
  );
  if (wasSealed) console.log(`The same file was uploaded at ${formatTime(receipt.sealTime)}: this is its receipt.`);
  if (resumes > 0) console.log(`It was cut off and resumed ${resumes} times.`);
  for (const remark of survey.remarks) console.log(visibleText(remark));
  printMistakes(survey);
  const refused = outcomes.filter(({ verdict }) => verdict !== Verdict.DUPLICATE);
  if (refused.length > 0) console.log();
  printOutcomes(refused, places?.lineOf);
  printRejects(ending);
}

function printRejects({ places, rejects, hasRejects }: Ending): void {
  if (!hasRejects) return;
  if (rejects.earlier !== undefined)
    console.log(`\nAn earlier run has written what was refused to ${rejects.earlier}: it was left as it is.`);
  else if (rejects.path !== undefined && places)
    console.log(
      `\n${formatCount(places.rejectCount)} refused rows are in ${rejects.path}, and why in ${rejects.path}.why: mend them there and upload that file.`,
    );
}

function printMistakes({ mistakes: { lineCount, told } }: FileSurvey): void {
  if (lineCount === 0) return;
  console.log(`${styled("red", "not sent")}: ${formatCount(lineCount)} lines that are not a valid record:`);
  for (const mistake of told) console.log(`  ${visibleText(mistake)}`);
  if (lineCount > told.length) console.log("  (and perhaps more)");
}

function formatHelp(): string {
  const width = Math.max(...DURATION_FORMATS.map(({ name }) => name.length));
  const formats = [...DURATION_FORMATS.map(({ name, title }) => ({ name, title })), MAP_HELP];
  return ["Formats:", ...formats.map(({ name, title }) => `  ${name.padEnd(width)}  ${title}`)].join("\n");
}

const MAP_HELP = { name: "map", title: "any other CSV, by --map FILE" };

function columnHelp(): string {
  const columns = Object.entries(DURATION_COLUMNS);
  const width = Math.max(...columns.map(([name]) => name.length));
  return [
    "Tandem's columns, in any order; leave unknown fields empty:",
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
    "  tandem durations upload Master.csv --carrier nordlys-tele --time-zone Europe/Copenhagen --outbound-when dcontext=pstn --inbound-when dcontext=from-pstn",
  ].join("\n");
}

import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { fromJsonString, toJson } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { ingestCdrs } from "../../client/ingest-cdrs.ts";
import { arraySource } from "../../client/upload-source.ts";
import { visibleText } from "../../domain/privacy/visible-text.ts";
import { CdrService } from "../../gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../gen/tandem/type/v1/call_detail_record_pb.js";
import { RecordOutcomeSchema, UploadReceiptSchema, Verdict } from "../../gen/tandem/type/v1/upload_pb.js";
import { formatVerdicts, printOutcomes } from "../durations/print-outcomes.ts";
import { type ConnectionOptions, carrierOption, connect, csvCommand } from "../shared/connection.ts";
import { messageColumns, printCsv } from "../shared/csv-output.ts";
import { createCutTeller, untilInterrupted } from "../shared/following.ts";
import { countOf, formatJson, styled } from "../shared/output.ts";
import { openProgress } from "../shared/progress.ts";

/** All records were taken, and some were refused: for scripts. */
const EXIT_REFUSED = 3;
/** Most records of a file, which are held in memory. */
const MAX_RECORDS = 1_000_000;
/** Longest line, characters. */
const MAX_LINE = 1_048_576;
/** Most mistakes that are told one by one. */
const MOST_TOLD = 20;

interface IngestOptions extends ConnectionOptions {
  readonly carrierId: string;
  readonly uploadId?: string;
  readonly check?: true;
}

/** `tandem cdrs ingest` */
export function ingestCommand(): Command {
  return csvCommand("ingest")
    .description("Ingest the platform's records of a carrier's calls, resume after every cut, print the verdicts.")
    .argument("<file>", "one record a line, in the contract's JSON, as `cdrs follow --json` prints them")
    .addOption(carrierOption("whose calls these are").makeOptionMandatory())
    .option("--upload-id <id>", "name of the upload (default: from the content, so that no file is ingested twice)")
    .option("--check", "judge every record and store nothing")
    .addHelpText(
      "after",
      `
Lines that are no record are named and left out; the others are sent.
Exit codes: 0 all accepted or stored before; 3 some refused or not sent; 1 it failed (run it again: it resumes).

Example:
  tandem cdrs ingest records.jsonl --carrier nordlys-tele`,
    )
    .action(ingest);
}

async function ingest(path: string, options: IngestOptions): Promise<void> {
  const { records, mistakes, digest } = await readRecords(path);
  if (records.length === 0) throw new Error(`nothing was sent: ${mistakes[0] ?? `${path} has no records`}`);
  using connection = await connect(options, "platform");
  using progress = openProgress();
  const bar = progress.add("records", records.length);
  const tellCut = createCutTeller(progress.say);
  const { receipt, outcomes } = await ingestCdrs(connection.client(CdrService), {
    carrierId: options.carrierId,
    uploadId: options.uploadId ?? `jsonl-${digest}`,
    source: arraySource(records),
    validateOnly: options.check ?? false,
    signal: untilInterrupted(),
    onEvent: (event) => {
      if (event.kind === "OPENED" || event.kind === "COMMITTED") bar.set(event.committedOffset);
      tellCut(event);
    },
  });
  bar.set(records.length);
  progress[Symbol.dispose]();
  if (options.json) {
    const told = outcomes.map((outcome) => toJson(RecordOutcomeSchema, outcome));
    console.log(formatJson({ receipt: toJson(UploadReceiptSchema, receipt), outcomes: told, mistakes }));
  } else if (options.csv) printCsv(messageColumns(RecordOutcomeSchema), outcomes);
  else {
    const name = options.check ? "checked, nothing was stored" : receipt.uploadId;
    const count = countOf(receipt.finalOffset, "record");
    console.log(`${styled("bold", name)}: ${count}: ${formatVerdicts(receipt.counts)}.`);
    printOutcomes(outcomes.filter(({ verdict }) => verdict !== Verdict.DUPLICATE));
  }
  for (const mistake of mistakes.slice(0, MOST_TOLD)) console.error(`not sent: ${visibleText(mistake)}`);
  if (mistakes.length > MOST_TOLD) console.error(`not sent: ${mistakes.length - MOST_TOLD} more lines`);
  const { conflict = 0n, rejected = 0n, quarantined = 0n } = receipt.counts ?? {};
  if (conflict + rejected + quarantined > 0n || mistakes.length > 0) process.exitCode = EXIT_REFUSED;
}

async function readRecords(path: string): Promise<{ records: CallDetailRecord[]; mistakes: string[]; digest: string }> {
  const records: CallDetailRecord[] = [];
  const mistakes: string[] = [];
  const hash = createHash("sha256");
  await using file = await open(path);
  let lineNumber = 0;
  for await (const line of file.readLines()) {
    lineNumber++;
    if (line.trim() === "") continue;
    if (records.length === MAX_RECORDS)
      throw new Error(`${path}:${lineNumber}: over ${MAX_RECORDS} records: split the file`);
    hash.update(`${line}\n`);
    try {
      if (line.length > MAX_LINE) throw new Error(`the line is longer than ${MAX_LINE} characters`);
      records.push(fromJsonString(CallDetailRecordSchema, line));
    } catch (error) {
      mistakes.push(`${path}:${lineNumber}: ${(error as Error).message}`);
    }
  }
  return { records, mistakes, digest: hash.digest("hex").slice(0, 32) };
}

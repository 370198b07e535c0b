import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { create } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { parse } from "csv-parse";
import { type CallDuration, CallDurationSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { readCsvCell } from "../csv-cells.ts";
import { DURATION_COLUMNS } from "./duration-columns.ts";

/** A file is read whole, so that a mistake in its last line is told before the first is sent. */
const MAX_ROWS = 250_000;
const MAX_MISTAKES = 20;

/** A file's records, in its order. */
export interface DurationsFile {
  readonly records: readonly CallDuration[];
  /** The line that a record came from. */
  readonly lineOf: (offset: number) => number;
  /** The same for the same content: sending a file again resumes its upload and never doubles it. */
  readonly contentId: string;
}

/** What is wrong with a file, line by line. */
export class DurationsFileError extends Error {
  override readonly name = "DurationsFileError";
}

/** Reads durations from CSV with a header line; throws a `DurationsFileError` that names every line at fault, up to 20. */
export async function readDurationsCsv(file: string): Promise<DurationsFile> {
  const records: CallDuration[] = [];
  const lines: number[] = [];
  const mistakes: string[] = [];
  const hash = createHash("sha256");
  let header: readonly string[] | undefined;
  for await (const { fields, line } of readRows(file, hash)) {
    if (header === undefined) {
      header = checkHeader(fields, file);
      continue;
    }
    const record = readRow(header, fields, (mistake) => mistakes.push(`${file}:${line}: ${mistake}`));
    records.push(record);
    lines.push(line);
    if (records.length > MAX_ROWS) throw new DurationsFileError(`${file}: over ${MAX_ROWS} records; split it`);
    if (mistakes.length >= MAX_MISTAKES) break;
  }
  if (mistakes.length > 0) {
    const more = mistakes.length >= MAX_MISTAKES ? "\n  (and perhaps more)" : "";
    throw new DurationsFileError(`nothing was sent:\n  ${mistakes.join("\n  ")}${more}`);
  }
  if (records.length === 0) throw new DurationsFileError(`${file}: no records in it`);
  return { records, lineOf: (offset) => lines[offset] ?? 0, contentId: hash.digest("hex").slice(0, 16) };
}

async function* readRows(
  file: string,
  hash: ReturnType<typeof createHash>,
): AsyncGenerator<{ fields: readonly string[]; line: number }> {
  const parser = parse({ bom: true, info: true, skip_empty_lines: true, relax_column_count: true, trim: true });
  const bytes = createReadStream(file);
  bytes.on("error", (error) => parser.destroy(error)).on("data", (chunk) => hash.update(chunk));
  try {
    for await (const { record, info } of bytes.pipe(parser) as AsyncIterable<{
      record: string[];
      info: { lines: number };
    }>) {
      yield { fields: record, line: info.lines };
    }
  } catch (error) {
    if (error instanceof DurationsFileError) throw error;
    throw new DurationsFileError(`${file}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
}

function checkHeader(names: readonly string[], file: string): readonly string[] {
  const unknown = names.filter((name) => DURATION_COLUMNS[name] === undefined);
  if (unknown.length > 0) {
    const known = Object.keys(DURATION_COLUMNS).join(", ");
    throw new DurationsFileError(`${file}:1: no column is called ${unknown.join(", ")}; there are ${known}`);
  }
  const repeated = names.filter((name, index) => names.indexOf(name) !== index);
  if (repeated.length > 0) throw new DurationsFileError(`${file}:1: twice in the header: ${repeated.join(", ")}`);
  if (!names.includes("record_id")) throw new DurationsFileError(`${file}:1: the header lacks record_id`);
  return names;
}

function readRow(header: readonly string[], fields: readonly string[], blame: (mistake: string) => void): CallDuration {
  const record = create(CallDurationSchema);
  if (fields.length !== header.length) blame(`${fields.length} fields instead of ${header.length}`);
  for (const [index, name] of header.entries()) {
    const text = readCsvCell(fields[index] ?? "");
    if (text === "") continue;
    try {
      DURATION_COLUMNS[name]?.read(text, record);
    } catch (error) {
      blame(`${name} is ${JSON.stringify(text)}: ${lowerFirst(error instanceof Error ? error.message : `${error}`)}`);
    }
  }
  const start = record.inviteTime ?? record.answerTime;
  if (record.recordDate === "" && start !== undefined)
    record.recordDate = timestampDate(start).toISOString().slice(0, 10);
  return record;
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

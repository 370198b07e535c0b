import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { create } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { parse } from "csv-parse";
import { type CallDuration, CallDurationSchema } from "../../gen/tandem/type/v1/call_duration_pb.js";
import { readCsvCell } from "../shared/csv-cells.ts";
import { DURATION_COLUMNS } from "./duration-columns.ts";

/** A file is read whole before the first record is sent. */
const MAX_ROWS = 250_000;
const MAX_MISTAKES = 20;

/** A file's records, in its order. */
export type DurationsFile = Awaited<ReturnType<typeof readDurationsCsv>>;

/** What is wrong with a file, line by line. */
export class DurationsFileError extends Error {
  override readonly name = "DurationsFileError";
}

/**
 * Reads durations from CSV with a header line. A line that no record can be made of is left out and
 * told, and the others are records. Throws a `DurationsFileError` when there is none.
 */
export async function readDurationsCsv(file: string) {
  const records: CallDuration[] = [];
  const lines: number[] = [];
  const mistakes = new Mistakes(file);
  const remarks = new Map<string, string>();
  const hash = createHash("sha256");
  let header: readonly string[] | undefined;
  for await (const { fields, line } of readRows(file, hash, mistakes)) {
    if (header === undefined) {
      header = checkHeader(fields, file);
      continue;
    }
    const record = readRow(header, fields, {
      blame: (mistake) => mistakes.add(line, mistake),
      remark: (name, said) => remarks.set(`${name} ${said}`, remarks.get(`${name} ${said}`) ?? `${file}:${line}`),
    });
    if (mistakes.has(line)) continue;
    records.push(record);
    lines.push(line);
    if (records.length > MAX_ROWS) throw new DurationsFileError(`${file}: over ${MAX_ROWS} records; split it`);
  }
  if (records.length === 0) {
    if (mistakes.lineCount === 0) throw new DurationsFileError(`${file}: has no records`);
    throw new DurationsFileError(`nothing was sent:\n  ${mistakes.told.join("\n  ")}`);
  }
  const { lineCount, told } = mistakes;
  return {
    records,
    /** The line that a record came from. */
    lineOf: (offset: number) => lines[offset] ?? 0,
    /** The same for the same content: a file that is sent again resumes its upload. */
    contentId: hash.digest("hex").slice(0, 16),
    /** How many lines no record could be made of, and the first 20, named by file and line. */
    mistakes: { lineCount, told },
    /** What was taken otherwise than it stands in the file, each once, with the first line. */
    remarks: [...remarks].map(([said, first]) => `${said} (first in ${first})`),
  };
}

class Mistakes {
  readonly told: string[] = [];
  lineCount = 0;
  readonly #file: string;
  #last = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** Lines come in their order. */
  has(line: number): boolean {
    return line === this.#last;
  }

  add(line: number, mistake: string): void {
    if (!this.has(line)) this.lineCount += 1;
    this.#last = line;
    if (this.told.length < MAX_MISTAKES) this.told.push(`${this.#file}:${line}: ${mistake}`);
  }
}

async function* readRows(
  file: string,
  hash: ReturnType<typeof createHash>,
  mistakes: Mistakes,
): AsyncGenerator<{ fields: readonly string[]; line: number }> {
  const parser = parse({
    bom: true,
    info: true,
    skip_empty_lines: true,
    relax_column_count: true,
    trim: true,
    skip_records_with_error: true,
    on_skip: (error) => {
      mistakes.add(Number(error?.["lines"] ?? 0), error?.message ?? "is no CSV");
      return undefined;
    },
  });
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
    throw new DurationsFileError(`${file}:1: unknown column ${unknown.join(", ")}; known are ${known}`);
  }
  const repeated = names.filter((name, index) => names.indexOf(name) !== index);
  if (repeated.length > 0) throw new DurationsFileError(`${file}:1: twice in the header: ${repeated.join(", ")}`);
  if (!names.includes("record_id")) throw new DurationsFileError(`${file}:1: the header lacks record_id`);
  return names;
}

interface RowListener {
  readonly blame: (mistake: string) => void;
  readonly remark: (column: string, said: string) => void;
}

function readRow(header: readonly string[], fields: readonly string[], listener: RowListener): CallDuration {
  const record = create(CallDurationSchema);
  if (fields.length !== header.length) listener.blame(`${fields.length} fields instead of ${header.length}`);
  for (const [index, name] of header.entries()) {
    const text = readCsvCell(fields[index] ?? "");
    if (text !== "") readField(name, text, record, listener);
  }
  const start = record.inviteTime ?? record.answerTime;
  if (record.recordDate === "" && start !== undefined)
    record.recordDate = timestampDate(start).toISOString().slice(0, 10);
  return record;
}

function readField(name: string, text: string, record: CallDuration, { blame, remark }: RowListener): void {
  // What the file's bytes do not say in UTF-8 came as this character: sent so, it would be another
  // text.
  if (text.includes("\ufffd")) {
    blame(`${name} is not valid UTF-8`);
    return;
  }
  try {
    const said = DURATION_COLUMNS[name]?.read(text, record);
    if (said) remark(name, said);
  } catch (error) {
    blame(`${name} is ${JSON.stringify(text)}: ${lowerFirst(error instanceof Error ? error.message : `${error}`)}`);
  }
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}

import { createReadStream } from "node:fs";
import { parse } from "csv-parse";
import type { CallDetailRecord } from "../gen/tandem/type/v1/call_detail_record_pb.js";
import { normalEnd, unansweredEnd } from "./call-ends.ts";
import { outboundShape } from "./call-parties.ts";
import { completeRecord } from "./cdr.ts";
import { createRandom } from "./random.ts";
import { createWorldOfPeople } from "./world.ts";

const COLUMNS = ["timestamp", "caller", "callee", "duration"] as const;
const DAY_MS = 86_400_000;
const MAX_DURATION_S = 2_592_000;

/** One row of a calls file. */
export interface FileCall {
  /** Seconds since the start of the study. */
  readonly timestampS: number;
  readonly caller: number;
  readonly callee: number;
  /** Seconds connected; -1 missed, 0 unanswered. */
  readonly durationS: number;
}

/** A calls file that cannot be read; the message names the file and the line. */
export class CallsFileError extends Error {
  override readonly name = "CallsFileError";
}

/**
 * Reads a calls file: CSV with the columns timestamp, caller, callee, duration, as the Copenhagen
 * Networks Study publishes its calls. Throws a `CallsFileError` that names the line of the first
 * row that is no call.
 */
export async function readCallsCsv(file: string, { maxRows = 1_000_000 } = {}): Promise<FileCall[]> {
  const rows = createReadStream(file).on("error", (error) => parser.destroy(error));
  const parser = parse({ bom: true, info: true, skip_empty_lines: true, relax_column_count: true, trim: true });
  const calls: FileCall[] = [];
  let columns: readonly string[] | undefined;
  try {
    for await (const { record, info } of rows.pipe(parser) as AsyncIterable<{
      record: string[];
      info: { lines: number };
    }>) {
      const where = `${file}:${info.lines}`;
      if (columns === undefined) columns = checkHeader(record, where);
      else calls.push(parseRow(columns, record, where));
      if (calls.length > maxRows) throw new CallsFileError(`${where}: more than ${maxRows} calls`);
    }
  } catch (error) {
    if (error instanceof CallsFileError) throw error;
    throw new CallsFileError(`${file}: ${error instanceof Error ? error.message : error}`, { cause: error });
  }
  if (calls.length === 0) throw new CallsFileError(`${file}: no calls in it`);
  return calls;
}

/**
 * Turns a file's calls into records, one a row. Each person gets a fictitious number at one of
 * three carriers. The caller is the platform's user, the callee is on the PSTN. The file's last day
 * is the UTC day before `nowMs`.
 */
export function recordsFromCalls(calls: readonly FileCall[], options: { seed: string; nowMs: number }) {
  const people = [...new Set(calls.flatMap(({ caller, callee }) => [caller, callee]))].sort((a, b) => a - b);
  const { world, numberOfPerson } = createWorldOfPeople(options.seed, people.length);
  const personIndex = new Map(people.map((person, index) => [person, index]));
  const personOf = (person: number) => {
    const found = numberOfPerson[personIndex.get(person) ?? -1];
    if (found === undefined) throw new Error(`nobody is ${person}`);
    return found;
  };
  const startMs = startOfStudy(calls, options.nowMs);
  const recordsByCarrier = new Map<string, CallDetailRecord[]>(world.carriers.map(({ carrierId }) => [carrierId, []]));
  for (const [index, call] of calls.entries()) {
    const random = createRandom(`${options.seed}/study/${index}`);
    const { carrier, number } = personOf(call.caller);
    const callee = personOf(call.callee).number;
    const attempt = {
      ...outboundShape(number, { value: callee.phoneNumber, countryCode: callee.countryCode }),
      recordId: `study-${String(index + 1).padStart(6, "0")}`,
      callId: `study-call-${index + 1}`,
      legIndex: 0,
      trunkId: random.pick(carrier.trunkIds),
      sipDomain: carrier.sipDomain,
      region: carrier.legalCountry.toLowerCase(),
      inviteMs: startMs + call.timestampS * 1000,
      end:
        call.durationS > 0
          ? normalEnd(random)
          : unansweredEnd(call.durationS === -1 ? "noAnswer" : "cancelled", random),
      connectedMs: call.durationS * 1000,
    };
    recordsByCarrier.get(carrier.carrierId)?.push(completeRecord(attempt, random));
  }
  return { world, recordsByCarrier, /** Of the first day. */ startMs };
}

/**
 * Whole days before today, so that the last call ends by midnight, two minutes of setup included.
 */
function startOfStudy(calls: readonly FileCall[], nowMs: number): number {
  const lastEndMs = calls.reduce((last, { timestampS, durationS }) => {
    return Math.max(last, (timestampS + Math.max(durationS, 0)) * 1000 + 120_000);
  }, 0);
  return Math.floor(nowMs / DAY_MS) * DAY_MS - Math.ceil(lastEndMs / DAY_MS) * DAY_MS;
}

function checkHeader(header: readonly string[], where: string): readonly string[] {
  const missing = COLUMNS.filter((column) => !header.includes(column));
  if (missing.length === 0) return header;
  throw new CallsFileError(`${where}: the header must name ${COLUMNS.join(", ")}; missing: ${missing.join(", ")}`);
}

function parseRow(columns: readonly string[], row: readonly string[], where: string): FileCall {
  if (row.length !== columns.length) {
    throw new CallsFileError(`${where}: ${row.length} fields instead of ${columns.length}`);
  }
  const whole = (column: (typeof COLUMNS)[number], min: number, max: number) => {
    const text = row[columns.indexOf(column)] ?? "";
    const value = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    throw new CallsFileError(
      `${where}: ${column} is ${JSON.stringify(text)}, expected a whole number from ${min} to ${max}`,
    );
  };
  const caller = whole("caller", 0, Number.MAX_SAFE_INTEGER);
  const callee = whole("callee", 0, Number.MAX_SAFE_INTEGER);
  if (caller === callee) throw new CallsFileError(`${where}: ${caller} calls itself`);
  return {
    timestampS: whole("timestamp", 0, 119 * 86_400),
    caller,
    callee,
    durationS: whole("duration", -1, MAX_DURATION_S),
  };
}

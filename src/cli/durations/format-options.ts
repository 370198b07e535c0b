import { readFile } from "node:fs/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import { parse } from "csv-parse/sync";
import { type Direction, DirectionSchema, Direction as Way } from "../../gen/tandem/type/v1/call_pb.js";
import { parseTimeZone } from "../shared/time-zone-option.ts";
import { enumOption, parseWhole } from "../shared/values.ts";
import { readHead } from "./durations-file.ts";
import { type DirectionRule, type DurationFormat, DurationsFileError, type FormatSettings } from "./formats/format.ts";
import { DURATION_FORMATS, guessFormat } from "./formats/formats.ts";
import { TANDEM_CSV } from "./formats/tandem-csv.ts";

/** What the user says of the file. */
export interface FormatOptions {
  readonly format?: string;
  readonly map?: string;
  readonly timeZone?: string;
  readonly direction?: Direction;
  readonly outboundWhen?: readonly DirectionRule[];
  readonly inboundWhen?: readonly DirectionRule[];
  readonly trunk?: string;
  readonly recordPrefix?: string;
  readonly revision?: number;
  readonly start?: "invite" | "answer";
  readonly users?: string;
}

const GROUP = "What the file does not say:";

/** Adds the options that say how a file of call records is read. */
export function withFormatOptions<C extends Command>(command: C): C {
  const names = [...DURATION_FORMATS.map(({ name }) => name), "map"];
  const rule =
    (direction: Direction) =>
    (text: string, before: DirectionRule[] = []) => [...before, parseRule(text, direction)];
  const option = (flags: string, description: string) => new Option(flags, description).helpGroup(GROUP);
  return command
    .addOption(new Option("--format <name>", "what wrote the file (default: guessed)").choices(names))
    .addOption(new Option("--map <file>", "column map for any other CSV, in JSON (docs/formats.md)"))
    .addOption(
      option("--time-zone <zone>", "IANA zone of local times, such as Europe/Copenhagen").argParser(parseTimeZone),
    )
    .addOption(enumOption("--direction <way>", "which way the calls went", DirectionSchema).helpGroup(GROUP))
    .addOption(option("--outbound-when <column=text>", "calls that went out").argParser(rule(Way.OUTBOUND)))
    .addOption(option("--inbound-when <column=text>", "calls that came in").argParser(rule(Way.INBOUND)))
    .addOption(option("--trunk <id>", "the trunk, as both sides name it"))
    .addOption(option("--record-prefix <text>", "before each record id, to tell switches apart"))
    .addOption(
      option("--revision <number>", "of all records: 2 to correct what was sent").argParser(parseWhole(1, 1_000_000)),
    )
    .addOption(
      option("--start <what>", "what start_time of Kamailio's CDRs is (answer with cdr_start_on_confirmed=1)").choices([
        "invite",
        "answer",
      ]),
    )
    .addOption(option("--users <file>", "CSV with upn,number: numbers of Teams users")) as C;
}

/** The format of a file, and whether it was guessed. */
export async function chooseFormat(
  path: string,
  options: FormatOptions,
): Promise<{ format: DurationFormat; isGuessed: boolean }> {
  if (options.map !== undefined) {
    if (options.format !== undefined && options.format !== "map")
      throw new DurationsFileError(`--map and --format ${options.format} exclude each other`);
    const { readColumnMap } = await import("./formats/column-map.ts");
    return { format: await readColumnMap(options.map), isGuessed: false };
  }
  if (options.format === "map") throw new DurationsFileError("--format map needs --map FILE");
  const named = DURATION_FORMATS.find(({ name }) => name === options.format);
  if (named) return { format: named, isGuessed: false };
  const guessed = guessFormat(await readHead(path));
  // What nothing is known of is told by Tandem's own columns.
  return { format: guessed ?? TANDEM_CSV, isGuessed: guessed !== undefined && guessed !== TANDEM_CSV };
}

/** Throws a `DurationsFileError` when the user has to say more. */
export async function settingsOf(format: DurationFormat, options: FormatOptions): Promise<FormatSettings> {
  const directionRules = [...(options.outboundWhen ?? []), ...(options.inboundWhen ?? [])];
  const missing = format.needs.filter((need) =>
    need === "direction"
      ? options.direction === undefined && directionRules.length === 0
      : options.timeZone === undefined,
  );
  if (missing.length > 0) {
    const say = { direction: "--direction outbound, or --outbound-when COLUMN=TEXT", timeZone: "--time-zone ZONE" };
    const what = { direction: "which way a call went", timeZone: "the zone of its times" };
    throw new DurationsFileError(
      `${format.name} does not tell ${missing.map((need) => what[need]).join(" nor ")}: add ${missing.map((need) => say[need]).join(" and ")}`,
    );
  }
  return {
    timeZone: options.timeZone,
    direction: options.direction,
    directionRules,
    trunkId: options.trunk,
    recordPrefix: options.recordPrefix ?? "",
    revision: options.revision,
    start: options.start ?? "invite",
    numberOf: options.users === undefined ? new Map() : await readUsers(options.users),
  };
}

const MAX_USERS = 500_000;

async function readUsers(path: string): Promise<ReadonlyMap<string, string>> {
  const rows = parse(await readFile(path), { columns: true, trim: true, bom: true, to: MAX_USERS + 1 }) as Record<
    string,
    string
  >[];
  if (rows.length > MAX_USERS) throw new DurationsFileError(`${path}: over ${MAX_USERS} users`);
  const [first] = rows;
  if (first && !("upn" in first && "number" in first))
    throw new DurationsFileError(`${path}:1: expected the columns upn and number`);
  return new Map(rows.map(({ upn = "", number = "" }) => [upn.toLowerCase(), number]));
}

function parseRule(text: string, direction: Direction): DirectionRule {
  const [, column, value] = /^([^=]+)=(.*)$/.exec(text) ?? [];
  if (column === undefined || value === undefined)
    throw new InvalidArgumentError("Expected COLUMN=TEXT, such as dcontext=outbound.");
  return { column, value, direction };
}

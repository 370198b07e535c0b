import type { DescEnum } from "@bufbuild/protobuf";
import { type Timestamp, timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { InvalidArgumentError, Option } from "commander";
import { nearestName } from "../../domain/nearest-name.ts";
import { isDay } from "../../domain/time/instant.ts";
import { wallMs } from "../../domain/time/wall-clock.ts";
import { type Direction, DirectionSchema } from "../../gen/tandem/type/v1/call_pb.js";
import { type Party, PartyKind, PartyKindSchema } from "../../gen/tandem/type/v1/party_pb.js";
import { filling } from "./fields.ts";

/**
 * An option that takes a name of the contract's enum in lower case: `--state assigned`.
 * @param field that it fills. Default: the option's own name.
 */
export function enumOption(flags: string, description: string, schema: DescEnum, field?: string): Option {
  const option = new Option(flags, `${description} (${enumNames(schema).join(", ")})`);
  choices.set(option, enumNames(schema));
  return filling(
    field ?? option.attributeName(),
    option.argParser((text) => parseEnumName(schema, text)),
  );
}

const choices = new WeakMap<Option, readonly string[]>();

/** The values that an option of `enumOption` takes; none for any other. */
export function choicesOf(option: Option): readonly string[] {
  return choices.get(option) ?? [];
}

/** As `enumOption`, with one or more values. */
export function enumListOption(flags: string, description: string, schema: DescEnum, field?: string): Option {
  return enumOption(flags, description, schema, field).argParser((text, before: number[] = []) => [
    ...before,
    ...splitList(text).map((name) => parseEnumName(schema, name)),
  ]);
}

/** The number of an enum's value by its name. */
export function parseEnumName(schema: DescEnum, text: string): number {
  const found = schema.values.find(
    (value) => value.number !== 0 && shortName(schema, value.name) === text.toLowerCase(),
  );
  if (found === undefined) {
    const nearest = nearestName(text.toLowerCase(), enumNames(schema));
    const hint = nearest === undefined ? "" : ` Did you mean ${nearest}?`;
    throw new InvalidArgumentError(`Expected one of ${enumNames(schema).join(", ")}.${hint}`);
  }
  return found.number;
}

/** The name of an enum's value as the command line writes it; undefined for the unspecified one. */
export function enumName(schema: DescEnum, value: number): string | undefined {
  if (value === 0) return undefined;
  const known = schema.values.find(({ number }) => number === value);
  return known === undefined ? `${value}` : shortName(schema, known.name);
}

/** Which way a call went, short: `out`, `in`. */
export function formatWay(direction: Direction): string | undefined {
  return enumName(DirectionSchema, direction)?.replace("bound", "");
}

export function splitList(text: string): string[] {
  return text.split(/[\s,]+/).filter(Boolean);
}

/** Collects an option that may be given more than once, each with one or more values. */
export function collect(text: string, before: string[] = []): string[] {
  return [...before, ...splitList(text)];
}

const UNIT_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A time: `2026-03-01`, `2026-03-01T10:05:00Z`, `now`, or so long ago: `90m`, `24h`, `7d`. */
export function readTime(text: string): Timestamp | undefined {
  if (text === "now") return timestampFromDate(new Date(wallMs()));
  const [, count, unit] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  if (count !== undefined) return inCalendar(new Date(wallMs() - Number(count) * (UNIT_MS[unit ?? ""] ?? 0)));
  const parts = /^(\d{4}-\d{2}-\d{2})(?:(T\d{2}:\d{2}(?::\d{2})?)(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2}))?$/.exec(text);
  const [, day = "", clock = "", fraction, zone = ""] = parts ?? [];
  // JavaScript takes 30 February for 2 March and 24:00 for the next day, and cuts the fraction.
  if (!isDay(day) || clock.startsWith("T24") || (fraction !== undefined && clock.length < 9)) return undefined;
  const time = inCalendar(new Date(`${day}${clock}${zone}`));
  if (time && fraction !== undefined) time.nanos = Number(fraction.padEnd(9, "0"));
  return time;
}

/** Undefined for what is no time of the years 1 to 9999. */
function inCalendar(date: Date): Timestamp | undefined {
  const isTime = !Number.isNaN(date.getTime()) && isDay(date.toISOString().slice(0, 10));
  return isTime ? timestampFromDate(date) : undefined;
}

export function parseTime(text: string): Timestamp {
  const time = readTime(text);
  if (time === undefined) {
    throw new InvalidArgumentError("Expected a time such as 2026-03-01T10:05:00Z, a day (UTC), 24h (ago), or now.");
  }
  return time;
}

/** A time in UTC, to the second or to the millisecond. */
export function formatTime(timestamp: Timestamp | undefined, digits: "seconds" | "milliseconds" = "seconds"): string {
  if (timestamp === undefined) return "";
  const iso = timestampDate(timestamp).toISOString();
  return digits === "milliseconds" ? iso : `${iso.slice(0, 19)}Z`;
}

/** A duration for people: `0.8 s`, `95.3 s`, `1:02:03`. */
export function formatDuration(ms: bigint | undefined): string {
  if (ms === undefined) return "";
  const seconds = Number(ms) / 1000;
  if (seconds < 600) return `${seconds.toFixed(1)} s`;
  const two = (value: number) => String(Math.floor(value)).padStart(2, "0");
  return `${Math.floor(seconds / 3600)}:${two((seconds % 3600) / 60)}:${two(seconds % 60)}`;
}

/** Minutes to a tenth: rounded for display only. */
export function formatMinutes(ms: bigint | undefined = 0n): string {
  return (Number(ms) / 60_000).toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
}

/** As the contract writes countries. */
export function upperCase(text: string): string {
  return text.toUpperCase();
}

/** A party as people write it: its number, or what is known in its place. */
export function formatParty(party: Party | undefined): string {
  if (party === undefined) return "";
  if (party.value !== undefined) return party.kind === PartyKind.EMERGENCY ? `${party.value} (SOS)` : party.value;
  return enumName(PartyKindSchema, party.kind) ?? "";
}

/** A length of time such as 90s, 15m, 1h or 7d, in seconds. */
export function parseSeconds(text: string): number {
  const [, count, unit = ""] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const seconds = (Number(count) * (UNIT_MS[unit] ?? Number.NaN)) / 1_000;
  if (seconds >= 0 && seconds <= MAX_SECONDS) return seconds;
  throw new InvalidArgumentError("Expected 90s, 15m, 1h or 7d, at most 366d.");
}

const MAX_SECONDS = 366 * 86_400;

/** A whole number in a range, for commander. */
export function parseWhole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max))
      throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
    return value;
  };
}

/** As `parseWhole`, for fields of 64 bits. */
export function parseBigWhole(min: number, max: number): (text: string) => bigint {
  const parse = parseWhole(min, max);
  return (text) => BigInt(parse(text));
}

function enumNames(schema: DescEnum): string[] {
  return schema.values.filter(({ number }) => number !== 0).map(({ name }) => shortName(schema, name));
}

function shortName(schema: DescEnum, name: string): string {
  return name
    .slice(schema.sharedPrefix?.length ?? 0)
    .toLowerCase()
    .replaceAll("_", "-");
}

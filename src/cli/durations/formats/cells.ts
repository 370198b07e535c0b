import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { isDay } from "../../../domain/time/instant.ts";
import { type CallDuration, CallDurationSchema } from "../../../gen/tandem/type/v1/call_duration_pb.js";
import { CorrelationSchema, Direction, InterconnectDialogSchema } from "../../../gen/tandem/type/v1/call_pb.js";
import { type Party, PartyKind, PartySchema } from "../../../gen/tandem/type/v1/party_pb.js";
import type { FormatSettings, Mistake, Reading, Row } from "./format.ts";
import type { Instants, LocalClock, Stamp, Stamps } from "./local-clock.ts";

/** Reads the cells of a row, and collects what is wrong with each of them. */
export class Cells {
  readonly row: Row;
  readonly mistakes: Mistake[] = [];

  constructor(row: Row) {
    this.row = row;
    if (row.broken !== undefined) this.mistakes.push({ line: row.line, text: row.broken });
  }

  /** The text of the first of these columns that has one; empty when none has. */
  text(...columns: readonly string[]): string {
    const column = columns.find((name) => this.row.cells[name]);
    const text = column === undefined ? "" : (this.row.cells[column] ?? "");
    // What the file's bytes do not say in UTF-8 came as this character.
    if (text.includes("\ufffd")) this.blame(column ?? "", "valid UTF-8");
    return text;
  }

  blame(column: string, expected: string): undefined {
    const text = `${column} is ${JSON.stringify(this.row.cells[column] ?? "")}: expected ${expected}`;
    this.mistakes.push({ line: this.row.line, text });
    return undefined;
  }

  required(column: string): string {
    const text = this.text(column);
    if (text === "") this.blame(column, "a text");
    return text;
  }

  /**
   * `2026-03-01 10:05:00`, with a fraction and an offset or without; undefined for an empty one.
   */
  stamp(column: string): Stamp | undefined {
    const text = this.text(column);
    if (text === "" || /^0000-00-00/.test(text)) return undefined;
    return readStamp(text) ?? this.blame(column, "a time such as 2026-03-01 10:05:00");
  }

  /** Seconds as milliseconds, rounded; undefined for an empty text. */
  seconds(column: string): number | undefined {
    const text = this.text(column);
    if (text === "") return undefined;
    if (!/^\d{1,9}(\.\d{1,18})?$/.test(text)) return this.blame(column, "seconds, such as 95 or 95.25");
    return Math.round(Number(text) * 1_000);
  }

  whole(column: string): number | undefined {
    const text = this.text(column);
    if (text === "") return undefined;
    return /^\d{1,16}$/.test(text) ? Number(text) : this.blame(column, "a whole number");
  }

  /** Which way the call went: by the rules, else as was said of the whole file. */
  direction(settings: FormatSettings): Direction {
    const rule = settings.directionRules.find(({ column, value }) => this.row.cells[column] === value);
    const direction = rule?.direction ?? settings.direction;
    const [first] = settings.directionRules;
    if (direction === undefined && first) {
      const values = settings.directionRules.map(({ column, value }) => `${column}=${value}`);
      this.blame(first.column, `one of ${values.join(", ")}, for there is no --direction for the others`);
    }
    return direction ?? Direction.UNSPECIFIED;
  }

  /** Turns the row's local times into instants; a time that is none blames its column. */
  instants(clock: LocalClock, stamps: Stamps, column: string): Instants {
    const read = clock.read(stamps);
    if (typeof read !== "string") return read;
    const text = `${column} is ${JSON.stringify(this.row.cells[column] ?? "")}: ${read}`;
    this.mistakes.push({ line: this.row.line, text });
    return {};
  }

  /** The record, or what is wrong. */
  reading(record: CallDuration, rows: readonly Row[] = [this.row]): Reading {
    if (this.mistakes.length === 0) return { kind: "record", rows, record };
    // What else is wrong in a row that is broken, comes of that.
    const { broken } = this.row;
    return { kind: "mistakes", rows, mistakes: broken === undefined ? this.mistakes : this.mistakes.slice(0, 1) };
  }
}

/** A time with its offset, or of a clock on the wall; undefined for what is none. */
export function readStamp(text: string): Stamp | undefined {
  const parts = /^(\d{4}-\d{2}-\d{2})[ T](\d{2}):(\d{2}):(\d{2})(\.\d{1,9})? ?(Z|[+-]\d{2}:?\d{2})?$/.exec(text);
  const [, day = "", hour, minute, second, fraction = "", zone] = parts ?? [];
  if (!isDay(day) || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  const localMs = Date.parse(`${day}T${hour}:${minute}:${second}Z`) + Math.floor(Number(`0${fraction}`) * 1_000);
  if (zone === undefined) return { localMs };
  if (zone === "Z") return { instantMs: localMs };
  const offsetMs = (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2))) * 60_000;
  return { instantMs: zone.startsWith("-") ? localMs + offsetMs : localMs - offsetMs };
}

/** A number or what stands in its place, as a switch writes it. */
export function partyOf(text: string): Party {
  const number = text.replace(/^sips?:|^tel:/i, "").replace(/[@;].*$/, "");
  if (/^\+\d/.test(number)) return create(PartySchema, { kind: PartyKind.E164, value: number });
  if (number === "" || /^(unknown|unavailable)$/i.test(number))
    return create(PartySchema, { kind: PartyKind.UNAVAILABLE });
  if (/^(anonymous|restricted|private|withheld)$/i.test(number))
    return create(PartySchema, { kind: PartyKind.RESTRICTED });
  return create(PartySchema, { kind: PartyKind.NON_E164, value: number });
}

/** What a format knows of a call. Times and lengths in milliseconds. */
export interface CallFacts {
  readonly recordId: string;
  readonly direction: Direction;
  readonly calling: string;
  readonly called: string;
  readonly startMs?: number | undefined;
  readonly answerMs?: number | undefined;
  readonly endMs?: number | undefined;
  readonly answered: boolean;
  readonly talkMs?: number | undefined;
  /** 1,000 where times or lengths are whole seconds. */
  readonly resolutionMs: number;
  readonly sipCode?: number | undefined;
  readonly q850?: number | undefined;
  readonly callId?: string | undefined;
  readonly icid?: string | undefined;
  readonly sessionId?: string | undefined;
}

/** The record of a call. */
export function recordOf(facts: CallFacts, settings: FormatSettings): CallDuration {
  const record = create(CallDurationSchema, {
    recordId: `${settings.recordPrefix}${facts.recordId}`,
    direction: facts.direction,
    calling: partyOf(facts.calling),
    called: partyOf(facts.called),
    answered: facts.answered,
    timeResolutionMs: facts.resolutionMs,
  });
  addTimes(record, facts);
  addCauses(record, facts);
  addIds(record, facts);
  if (settings.revision !== undefined) record.revision = settings.revision;
  if (settings.trunkId !== undefined) record.trunkId = settings.trunkId;
  return record;
}

function addTimes(record: CallDuration, { startMs, answerMs, endMs, talkMs, answered }: CallFacts): void {
  const firstMs = startMs ?? answerMs;
  if (firstMs !== undefined) record.recordDate = new Date(firstMs).toISOString().slice(0, 10);
  if (startMs !== undefined) record.inviteTime = timestampFromMs(startMs);
  if (endMs !== undefined) record.endTime = timestampFromMs(endMs);
  if (answerMs !== undefined && answered) record.answerTime = timestampFromMs(answerMs);
  if (talkMs !== undefined && answered) record.connectedDurationMs = BigInt(talkMs);
}

// What is out of its range says nothing of the call.
function addCauses(record: CallDuration, { sipCode, q850 }: CallFacts): void {
  if (sipCode !== undefined && sipCode >= 200 && sipCode <= 699) record.finalSipCode = sipCode;
  if (q850 !== undefined && q850 >= 1 && q850 <= 127) record.q850Cause = q850;
}

function addIds(record: CallDuration, { callId, icid, sessionId }: CallFacts): void {
  if (!callId && !icid && !sessionId) return;
  record.correlation = create(CorrelationSchema);
  if (callId) record.correlation.interconnectDialog = create(InterconnectDialogSchema, { callId });
  if (icid) record.correlation.icid = icid;
  if (sessionId) record.correlation.sessionId = sessionId;
}

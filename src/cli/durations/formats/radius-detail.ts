import { Cells, recordOf } from "./cells.ts";
import type { DurationFormat, FormatSettings, Reading, Row } from "./format.ts";
import { numberOf } from "./radacct.ts";
import { packetTimeMs } from "./radius-times.ts";
import { MAX_WAITING, Waiting } from "./row-by-row.ts";
import { blockRows } from "./text-rows.ts";

/**
 * FreeRADIUS's detail files: the accounting packets as they came. A call is a Start and a Stop.
 * Unlike radacct they show copies of a packet, two calls of one session id, and the calls that
 * failed.
 */
export const RADIUS_DETAIL: DurationFormat = {
  name: "radius-detail",
  title: "FreeRADIUS, a detail file of accounting packets",
  edition: "1",
  needs: ["direction"],
  recognises: ({ text }) => /^\w{3} \w{3} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}\r?\n\s+[\w.:-]+ = /.test(text),
  rows: (bytes) => blockRows(bytes),
  open: (settings) => new DetailReader(settings),
};

/** What has been heard of a call that has not ended. */
interface OpenCall {
  readonly row: Row;
  readonly hasFailed: boolean;
}

/** A call that has ended, to know the packets of it that come late or twice. */
interface EndedCall {
  readonly startMs: number;
  readonly endMs: number;
  readonly stop: Row;
}

/** A gateway that gets no answer sends its packet again for about so long. */
const RESENT_MS = 10 * 60_000;
/** Gateways cut or round to seconds, each packet by itself. */
const SLACK_MS = 2_000;

class DetailReader {
  readonly #settings: FormatSettings;
  readonly #calls = new Waiting<OpenCall>(MAX_WAITING);
  readonly #ended = new Waiting<EndedCall>(MAX_WAITING);

  constructor(settings: FormatSettings) {
    this.#settings = settings;
  }

  take(row: Row): Iterable<Reading> {
    const cells = new Cells(row);
    const kind = cells.text("Acct-Status-Type");
    if (cells.mistakes.length === 0 && cells.text("Acct-Session-Id") === "") cells.blame("Acct-Session-Id", "a text");
    if (cells.mistakes.length > 0) return [{ kind: "mistakes", rows: [row], mistakes: cells.mistakes }];
    switch (kind) {
      case "Start":
      case "Failed":
        return this.#begin(row, kind === "Failed");
      case "Stop":
        return this.#stop(row);
      case "Interim-Update":
      case "Alive":
        return this.#interim(row);
      case "Accounting-On":
      case "Accounting-Off":
        return [passed(row, "packets of a gateway that starts or stops")];
      default:
        cells.blame("Acct-Status-Type", "Start, Stop, Interim-Update, Failed, Accounting-On or Accounting-Off");
        return [{ kind: "mistakes", rows: [row], mistakes: cells.mistakes }];
    }
  }

  *end(): Generator<Reading> {
    for (const call of this.#calls.drain()) yield this.#call(call);
  }

  *#begin(row: Row, hasFailed: boolean): Generator<Reading> {
    const key = keyOf(row);
    const open = this.#calls.get(key);
    const ended = this.#ended.get(key);
    const timeMs = this.#time(row) ?? 0;
    if (open && !hasFailed && !open.hasFailed && this.#time(open.row) === timeMs)
      yield passed(row, "copies of a packet");
    else if (ended && timeMs >= ended.startMs - SLACK_MS && timeMs <= ended.endMs && isOneCall(ended.stop, row))
      yield passed(row, "packets that came after the end of their call");
    else {
      const left = this.#calls.put(key, { row, hasFailed });
      if (left === undefined) return;
      const isAttempt = left === open && left.hasFailed;
      yield isAttempt ? passed(left.row, "failed attempts of calls that went on elsewhere") : this.#call(left);
    }
  }

  *#interim(row: Row): Generator<Reading> {
    const key = keyOf(row);
    const isKnown = this.#calls.get(key) !== undefined || this.#ended.get(key) !== undefined;
    if (isKnown) yield passed(row, "interim packets");
    else {
      const left = this.#calls.put(key, { row, hasFailed: false });
      if (left) yield this.#call(left);
    }
  }

  *#stop(row: Row): Generator<Reading> {
    const key = keyOf(row);
    const endMs = this.#time(row) ?? 0;
    const ended = this.#ended.get(key);
    const open = this.#calls.take(key);
    if (open === undefined && ended && endMs - ended.endMs <= RESENT_MS && isCopy(ended.stop, row)) {
      yield passed(row, "copies of a packet");
      return;
    }
    const call = open && !open.hasFailed ? open : { row, hasFailed: false };
    const startMs = (open && this.#time(call.row)) ?? this.#startOfStop(row) ?? endMs;
    this.#ended.put(key, { startMs, endMs, stop: row });
    yield this.#call(call, row);
  }

  #call({ row, hasFailed }: OpenCall, stop?: Row): Reading {
    const cells = new Cells(row);
    const timeMs = this.#time(row);
    if (timeMs === undefined) cells.blame("Event-Timestamp", "a time, or Timestamp beside it");
    const endMs = stop && this.#time(stop);
    const isStart = row !== stop && row.cells["Acct-Status-Type"] === "Start";
    const startMs = isStart || hasFailed ? timeMs : this.#startOfStop(row);
    const session = cells.text("Acct-Session-Id");
    const unique = cells.text("Acct-Unique-Session-Id", "Acct-Session-Id");
    const facts = {
      // One session id may serve more than one call.
      recordId: `${unique}-${Math.floor((startMs ?? 0) / 1_000)}`,
      direction: cells.direction(this.#settings),
      calling: numberOf(cells.text("Calling-Station-Id")),
      called: numberOf(cells.text("Called-Station-Id")),
      startMs: hasFailed ? startMs : undefined,
      answerMs: hasFailed ? undefined : startMs,
      endMs: hasFailed ? timeMs : endMs,
      answered: !hasFailed,
      talkMs: startMs === undefined || endMs === undefined ? undefined : Math.max(0, endMs - startMs),
      resolutionMs: 1_000,
      sipCode: sipCodeOf(row),
      callId: session.includes("@") ? session : undefined,
    };
    return cells.reading(recordOf(facts, this.#settings), stop && stop !== row ? [row, stop] : [row]);
  }

  #time(row: Row): number | undefined {
    return packetTimeMs(row, this.#settings.timeZone);
  }

  /** Of a call whose Start is not in the file: when it was heard of less how long it had lasted. */
  #startOfStop(row: Row): number | undefined {
    const timeMs = this.#time(row);
    const lengthS = Number(row.cells["Acct-Session-Time"] ?? "0");
    return timeMs === undefined || Number.isNaN(lengthS) ? timeMs : timeMs - lengthS * 1_000;
  }
}

function passed(row: Row, why: string): Reading {
  return { kind: "passed", rows: [row], why };
}

/** Numbers are no part of it: a BYE has none, or has them swapped. */
function keyOf({ cells }: Row): string {
  return `${cells["NAS-IP-Address"]} ${cells["Acct-Session-Id"]}`;
}

function isCopy(one: Row, other: Row): boolean {
  return one.cells["Acct-Session-Time"] === other.cells["Acct-Session-Time"] && isOneCall(one, other);
}

// A Stop of Kamailio's has no called number, or the two swapped.
function isOneCall({ cells: stop }: Row, { cells: other }: Row): boolean {
  const numbers = [other["Calling-Station-Id"], other["Called-Station-Id"]];
  return [stop["Calling-Station-Id"], stop["Called-Station-Id"]].every((number) => !number || numbers.includes(number));
}

/**
 * Without a dictionary of SIP's attributes, Kamailio's code goes by a name of EAP, low byte
 * first.
 */
function sipCodeOf({ cells }: Row): number | undefined {
  const named = Number(cells["Sip-Response-Code"]);
  if (named > 0) return named;
  const [, low, high = "00"] = /^0x([0-9a-f]{2})([0-9a-f]{2})?$/.exec(cells["EAP-Key-Name"] ?? "") ?? [];
  return low === undefined ? undefined : Number.parseInt(`${high}${low}`, 16);
}

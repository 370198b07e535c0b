import { Cells, recordOf } from "./cells.ts";
import { csvRows } from "./csv-rows.ts";
import {
  type DurationFormat,
  DurationsFileError,
  type FormatSettings,
  type Reading,
  type Remark,
  type Row,
} from "./format.ts";
import { LocalClock, type Stamp } from "./local-clock.ts";
import { hasColumns, rowByRow } from "./row-by-row.ts";
import { lineRows } from "./text-rows.ts";

// Which names operators give to the columns that cdr_extra adds.
const CALL_ID = ["callid", "call_id", "sip_callid", "sip_call_id"];
const CALLING = ["src", "src_user", "caller", "from_user", "calling"];
const CALLED = ["dst", "dst_user", "callee", "to_user", "ruri_user", "called"];
const CODE = ["code", "sip_code", "final_code"];

/** Rows of Kamailio's table acc_cdrs, as CSV with the table's column names. */
export const KAMAILIO_CDRS: DurationFormat = {
  name: "kamailio-cdrs",
  title: "Kamailio, the dialog CDRs of acc (table acc_cdrs)",
  edition: "1",
  needs: ["direction"],
  recognises: ({ fields }) =>
    hasColumns(fields, "start_time", "end_time", "duration") && !hasColumns(fields, "direction"),
  rows: (bytes) => csvRows(bytes),
  open: (settings, remark) => {
    const clock = new LocalClock(settings.timeZone ?? "UTC");
    const reader = rowByRow((row) => readCdr(row, { settings, clock, remark }));
    return {
      take: (row) => {
        if (row.isHeader) checkColumns(Object.keys(row.cells));
        return reader.take(row);
      },
      end: reader.end,
    };
  },
};

/** The same CDRs as lines of a log; its other lines are passed over. */
export const KAMAILIO_SYSLOG: DurationFormat = {
  name: "kamailio-syslog",
  title: "Kamailio, the dialog CDRs of acc in a log",
  edition: "1",
  needs: ["direction"],
  recognises: ({ text }) => CDR_LINE.test(text),
  rows: (bytes) => lineRows(bytes),
  open: (settings, remark) => {
    const clock = new LocalClock("UTC");
    return rowByRow((row) => {
      const line = CDR_LINE.exec(row.cells["line"] ?? "")?.[0];
      if (line === undefined) return { kind: "passed", rows: [row], why: "lines of the log that are no CDR" };
      const pairs = line
        .split(/; (?=\w+=)/)
        .map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]);
      const reading = readCdr({ ...row, cells: Object.fromEntries(pairs) }, { settings, clock, remark });
      return { ...reading, rows: [row] };
    });
  },
};

interface CdrReading {
  readonly settings: FormatSettings;
  readonly clock: LocalClock;
  readonly remark: Remark;
}

const CDR_LINE = /start_time=[^;]*; end_time=[^;]*; duration=.*/;

function checkColumns(names: readonly string[]): void {
  const missing = Object.entries({ src: CALLING, dst: CALLED })
    .filter(([, known]) => !known.some((name) => names.includes(name)))
    .map(([name]) => name);
  if (missing.length === 0) return;
  const message = `acc_cdrs has no column ${missing.join(" nor ")}: without them nobody knows whose calls these are`;
  throw new DurationsFileError(`${message}; add them with cdr_extra, or send the rows of acc (--format kamailio-acc)`);
}

/** What is said unless the start is the answer. */
const INVITE_FIRST =
  "start_time is taken for the INVITE, so that durations have the ringing in them: say --start answer if cdr_start_on_confirmed is 1";

function readCdr(row: Row, { settings, clock, remark }: CdrReading): Reading {
  const cells = new Cells(row);
  const code = cells.whole(CODE.find((name) => row.cells[name]) ?? "code");
  const lengthMs = cells.seconds("duration");
  const answered = code === undefined ? (lengthMs ?? 0) > 0 : code >= 200 && code < 300;
  const stamps = {
    start: kamailioStamp(cells, "start_time"),
    end: kamailioStamp(cells, "end_time"),
    totalMs: lengthMs,
  };
  const { startMs, endMs } = cells.instants(clock, stamps, "start_time");
  // A failed call always begins with its INVITE.
  const isAnswer = answered && settings.start === "answer";
  if (answered && !isAnswer) remark(row, INVITE_FIRST);
  const callId = cells.text(...CALL_ID);
  const facts = {
    recordId: cells.text("id") || [callId, cells.text("to_tag")].filter(Boolean).join(";") || cells.required("id"),
    direction: cells.direction(settings),
    calling: cells.text(...CALLING),
    called: cells.text(...CALLED),
    startMs: isAnswer ? undefined : startMs,
    answerMs: isAnswer ? startMs : undefined,
    endMs,
    answered,
    talkMs: answered ? lengthMs : undefined,
    resolutionMs: isExact(cells, "start_time") && isExact(cells, "end_time") ? 1 : 1_000,
    sipCode: code,
    callId,
    icid: cells.text("icid").replace(/^"(.*)"$/, "$1"),
    sessionId: cells.text("session_id"),
  };
  return cells.reading(recordOf(facts, settings));
}

const UNIX_EPOCH_JULIAN = 2_440_587.5;
const DAY_S = 86_400;

/** A Julian day, Unix seconds or a text, which is UTC as far as nothing else is said. */
export function kamailioStamp(cells: Cells, column: string): Stamp | undefined {
  const text = cells.text(column);
  if (/^2\d{6}\.\d+$/.test(text)) return { instantMs: msOfJulianDay(Number(text)) };
  if (/^\d{9,11}(\.\d+)?$/.test(text)) return { instantMs: Math.round(Number(text) * 1_000) };
  return cells.stamp(column);
}

/** Whether a time has a fraction of a second. A Julian day has one always, and means none. */
function isExact(cells: Cells, column: string): boolean {
  return /:\d\d\.\d|^\d{9,11}\.\d/.test(cells.text(column));
}

/** Kamailio's SQLite driver writes half a second less than the whole second that it means. */
function msOfJulianDay(day: number): number {
  const halves = Math.round((day - UNIX_EPOCH_JULIAN) * DAY_S * 2);
  return Math.ceil(halves / 2) * 1_000;
}

import { Cells, recordOf } from "./cells.ts";
import { csvRows } from "./csv-rows.ts";
import type { DurationFormat, FormatSettings, Reading, Row } from "./format.ts";
import { timeOf } from "./kamailio.ts";
import { LocalClock } from "./local-clock.ts";
import { hasColumns, MAX_WAITING, Waiting } from "./row-by-row.ts";

/**
 * Rows of Kamailio's tables acc and missed_calls. An answered call is two rows, the INVITE's
 * and the BYE's, of one Call-ID. A failed INVITE of a call that is answered later was one of
 * its attempts.
 */
export const KAMAILIO_ACC: DurationFormat = {
  name: "kamailio-acc",
  title: "Kamailio, the transactions of acc (tables acc and missed_calls)",
  edition: "1",
  needs: ["direction"],
  recognises: ({ fields }) => hasColumns(fields, "method", "callid", "sip_code", "time"),
  rows: (bytes) => csvRows(bytes),
  open: (settings) => new AccReader(settings),
};

interface Invite {
  readonly row: Row;
  readonly isAnswered: boolean;
}

class AccReader {
  readonly #settings: FormatSettings;
  readonly #clock: LocalClock;
  readonly #calls = new Waiting<Invite>(MAX_WAITING);

  constructor(settings: FormatSettings) {
    this.#settings = settings;
    this.#clock = new LocalClock(settings.timeZone ?? "UTC");
  }

  *take(row: Row): Generator<Reading> {
    if (row.isHeader) return;
    const cells = new Cells(row);
    const method = cells.text("method");
    const code = cells.whole("sip_code");
    const callId = cells.required("callid");
    if (cells.mistakes.length > 0) {
      yield { kind: "mistakes", rows: [row], mistakes: cells.mistakes };
      return;
    }
    const isAnswered = code !== undefined && code >= 200 && code < 300;
    const before = this.#calls.get(callId);
    if (method === "BYE" && before?.isAnswered) yield this.#call(this.#calls.take(callId) as Invite, row);
    else if (method !== "INVITE") yield { kind: "passed", rows: [row], why: "transactions that begin or end no call" };
    else if (before?.isAnswered) yield { kind: "passed", rows: [row], why: "INVITEs within a call" };
    else {
      const left = this.#calls.put(callId, { row, isAnswered });
      if (left === undefined) return;
      yield left === before
        ? { kind: "passed", rows: [left.row], why: "failed attempts of calls that went on elsewhere" }
        : this.#call(left, undefined);
    }
  }

  *end(): Generator<Reading> {
    for (const invite of this.#calls.drain()) yield this.#call(invite, undefined);
  }

  #call({ row, isAnswered }: Invite, bye: Row | undefined): Reading {
    const cells = new Cells(row);
    const timeMs = timeOf(cells, this.#clock, "time")?.ms;
    const byeCells = bye && new Cells(bye);
    const endMs = byeCells && timeOf(byeCells, this.#clock, "time")?.ms;
    if (byeCells) cells.mistakes.push(...byeCells.mistakes);
    const callId = cells.text("callid");
    const facts = {
      recordId: [callId, cells.text("to_tag")].filter(Boolean).join(";"),
      direction: cells.direction(this.#settings),
      calling: cells.text("src_user", "from_user", "src"),
      called: cells.text("dst_user", "dst_ouser", "dst"),
      // The row is written with the final answer: a failed call ends then.
      startMs: isAnswered ? undefined : timeMs,
      answerMs: isAnswered ? timeMs : undefined,
      endMs: isAnswered ? endMs : timeMs,
      answered: isAnswered,
      talkMs: timeMs === undefined || endMs === undefined ? undefined : endMs - timeMs,
      resolutionMs: 1_000,
      sipCode: cells.whole("sip_code"),
      callId,
    };
    return cells.reading(recordOf(facts, this.#settings), bye ? [row, bye] : [row]);
  }
}

import { Cells, recordOf } from "./cells.ts";
import { csvRows } from "./csv-rows.ts";
import type { DurationFormat, FormatSettings, Reading, Row } from "./format.ts";
import { kamailioStamp } from "./kamailio.ts";
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
  readonly timeMs: number | undefined;
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
    const code = cells.whole("sip_code") ?? 0;
    const before = this.#calls.get(cells.required("callid"));
    const invite = before?.isAnswered && method === "BYE" ? before : undefined;
    // In the order of the rows, by which local times are told apart.
    const timeMs = cells.instants(this.#clock, { start: kamailioStamp(cells, "time") }, "time").startMs;
    if (cells.mistakes.length > 0) {
      // Its two rows are mended together.
      if (invite) this.#calls.take(cells.text("callid"));
      yield { kind: "mistakes", rows: invite ? [invite.row, row] : [row], mistakes: cells.mistakes };
    } else if (invite) {
      this.#calls.take(cells.text("callid"));
      yield this.#call(invite, { row, timeMs });
    } else if (method === "INVITE") yield* this.#begin({ row, timeMs, isAnswered: code >= 200 && code < 300 }, before);
    else yield { kind: "passed", rows: [row], why: "transactions that begin or end no call" };
  }

  *end(): Generator<Reading> {
    for (const invite of this.#calls.drain()) yield this.#call(invite);
  }

  *#begin(invite: Invite, before: Invite | undefined): Generator<Reading> {
    if (before?.isAnswered) {
      yield { kind: "passed", rows: [invite.row], why: "INVITEs within a call" };
      return;
    }
    const left = this.#calls.put(invite.row.cells["callid"] ?? "", invite);
    if (left === undefined) return;
    yield left === before
      ? { kind: "passed", rows: [left.row], why: "failed attempts of calls that went on elsewhere" }
      : this.#call(left);
  }

  #call({ row, timeMs, isAnswered }: Invite, bye?: { row: Row; timeMs: number | undefined }): Reading {
    const cells = new Cells(row);
    const callId = cells.text("callid");
    const facts = {
      recordId: [callId, cells.text("to_tag")].filter(Boolean).join(";"),
      direction: cells.direction(this.#settings),
      calling: cells.text("src_user", "from_user", "src"),
      called: cells.text("dst_user", "dst_ouser", "dst"),
      // The row is written with the final answer: a failed call ends then.
      startMs: isAnswered ? undefined : timeMs,
      answerMs: isAnswered ? timeMs : undefined,
      endMs: isAnswered ? bye?.timeMs : timeMs,
      answered: isAnswered,
      talkMs: timeMs === undefined || bye?.timeMs === undefined ? undefined : bye.timeMs - timeMs,
      resolutionMs: 1_000,
      sipCode: cells.whole("sip_code"),
      callId,
    };
    return cells.reading(recordOf(facts, this.#settings), bye ? [row, bye.row] : [row]);
  }
}

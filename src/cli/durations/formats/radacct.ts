import { Cells, recordOf } from "./cells.ts";
import { csvRows } from "./csv-rows.ts";
import type { DurationFormat, FormatSettings, Reading, Row } from "./format.ts";
import { LocalClock, type Stamp } from "./local-clock.ts";
import { hasColumns, MAX_WAITING, Waiting } from "./row-by-row.ts";

/**
 * Rows of FreeRADIUS's table radacct, as CSV with the table's column names. A call's length is end
 * less start: `acctsessiontime` is empty, zero or the last interim one's of many a call.
 */
export const RADACCT: DurationFormat = {
  name: "radacct",
  title: "FreeRADIUS, rows of the table radacct",
  edition: "1",
  needs: ["direction"],
  recognises: ({ fields }) => hasColumns(fields, "acctsessionid", "acctstarttime", "acctstoptime"),
  rows: (bytes) => csvRows(bytes),
  open: (settings) => new RadacctReader(settings),
};

class RadacctReader {
  readonly #settings: FormatSettings;
  readonly #open = new Waiting<Row>(MAX_WAITING);

  constructor(settings: FormatSettings) {
    this.#settings = settings;
  }

  *take(row: Row): Generator<Reading> {
    if (row.isHeader) return;
    const { acctsessionid: session = "", acctstoptime: stop = "", acctstarttime: start = "" } = row.cells;
    // The side that was called hung up: its BYE has the numbers swapped, and so a row of its own.
    const open = this.#open.get(session);
    if (open && start === stop && isSwapped(open, row)) yield this.#call(this.#open.take(session) as Row, row);
    else if (stop !== "" || session === "" || row.broken !== undefined) yield this.#call(row);
    else {
      const left = this.#open.put(session, row);
      if (left) yield this.#call(left);
    }
  }

  *end(): Generator<Reading> {
    for (const row of this.#open.drain()) yield this.#call(row);
  }

  #call(row: Row, ending: Row = row): Reading {
    const cells = new Cells(row);
    const endCells = ending === row ? cells : new Cells(ending);
    const answer = stampOf(cells, "acctstarttime");
    const end = stampOf(endCells, "acctstoptime");
    if (endCells !== cells) cells.mistakes.push(...endCells.mistakes);
    if (answer === undefined && cells.mistakes.length === 0) cells.blame("acctstarttime", "a time");
    // Rows are in the order of starts, so that no other row tells in which hour a call ended.
    const clock = new LocalClock(this.#settings.timeZone ?? "UTC");
    const { answerMs, endMs } = cells.instants(clock, { answer, end }, "acctstarttime");
    const session = cells.text("acctsessionid");
    const facts = {
      recordId: cells.text("acctuniqueid") || cells.required("acctsessionid"),
      direction: cells.direction(this.#settings),
      calling: numberOf(cells.text("callingstationid")),
      called: numberOf(cells.text("calledstationid")),
      answerMs,
      endMs,
      answered: true,
      talkMs: answerMs === undefined || endMs === undefined ? undefined : endMs - answerMs,
      resolutionMs: 1_000,
      callId: session.includes("@") ? session : undefined,
    };
    return cells.reading(recordOf(facts, this.#settings), ending === row ? [row] : [row, ending]);
  }
}

function stampOf(cells: Cells, column: string): Stamp | undefined {
  const text = cells.text(column);
  return /^\d{9,11}$/.test(text) ? { instantMs: Number(text) * 1_000 } : cells.stamp(column);
}

function isSwapped({ cells: one }: Row, { cells: other }: Row): boolean {
  return (
    one["callingstationid"] === other["calledstationid"] &&
    one["calledstationid"] === other["callingstationid"] &&
    one["callingstationid"] !== one["calledstationid"]
  );
}

/** FreeRADIUS writes other signs than letters and digits as `=` and two hex digits. */
export function numberOf(text: string): string {
  return text.replace(/=([0-9A-Fa-f]{2})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)));
}

import { Cells, recordOf } from "./cells.ts";
import { csvRows } from "./csv-rows.ts";
import type { DurationFormat, FormatSettings, Reading, Row } from "./format.ts";
import { LocalClock } from "./local-clock.ts";
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
  readonly #clock: LocalClock;
  readonly #open = new Waiting<Row>(MAX_WAITING);

  constructor(settings: FormatSettings) {
    this.#settings = settings;
    this.#clock = new LocalClock(settings.timeZone ?? "UTC");
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

  #call(row: Row, ending?: Row): Reading {
    const cells = new Cells(row);
    const startMs = this.#time(cells, "acctstarttime");
    const endCells = ending ? new Cells(ending) : cells;
    const endMs = this.#time(endCells, "acctstoptime");
    if (ending) cells.mistakes.push(...endCells.mistakes);
    if (startMs === undefined && cells.mistakes.length === 0) cells.blame("acctstarttime", "a time");
    const session = cells.text("acctsessionid");
    const facts = {
      recordId: cells.text("acctuniqueid") || cells.required("acctsessionid"),
      direction: cells.direction(this.#settings),
      calling: numberOf(cells.text("callingstationid")),
      called: numberOf(cells.text("calledstationid")),
      answerMs: startMs,
      endMs,
      answered: true,
      talkMs: startMs === undefined || endMs === undefined ? undefined : endMs - startMs,
      resolutionMs: 1_000,
      callId: session.includes("@") ? session : undefined,
    };
    return cells.reading(recordOf(facts, this.#settings), ending ? [row, ending] : [row]);
  }

  #time(cells: Cells, column: string): number | undefined {
    const text = cells.text(column);
    if (/^\d{9,11}$/.test(text)) return Number(text) * 1_000;
    const stamp = cells.stamp(column);
    return stamp && cells.instants(this.#clock, { start: stamp }, column).startMs;
  }
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

import { Cells, recordOf } from "./cells.ts";
import { csvRows } from "./csv-rows.ts";
import type { DurationFormat } from "./format.ts";
import { q850Of } from "./hangup-causes.ts";
import { LocalClock } from "./local-clock.ts";
import { rowByRow } from "./row-by-row.ts";

const COLUMNS = [
  ..."caller_id_name caller_id_number destination_number context start_stamp answer_stamp end_stamp".split(" "),
  ..."duration billsec hangup_cause uuid bleg_uuid accountcode read_codec write_codec".split(" "),
];
const TIME = /^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$/;

/**
 * FreeSWITCH's mod_cdr_csv with its template `example`, which is the default: no header, local
 * times.
 */
export const FREESWITCH_CSV: DurationFormat = {
  name: "freeswitch-csv",
  title: "FreeSWITCH, mod_cdr_csv with the template example",
  edition: "1",
  needs: ["direction", "timeZone"],
  recognises: ({ fields }) =>
    fields.length === COLUMNS.length && TIME.test(fields[4] ?? "") && TIME.test(fields[6] ?? ""),
  rows: (bytes) => csvRows(bytes, { columns: COLUMNS }),
  open: (settings) => {
    const clock = new LocalClock(settings.timeZone ?? "UTC");
    return rowByRow((row) => {
      const cells = new Cells(row);
      const answer = cells.stamp("answer_stamp");
      const answered = answer !== undefined;
      const talkMs = answered ? cells.seconds("billsec") : undefined;
      const stamps = { start: cells.stamp("start_stamp"), answer, end: cells.stamp("end_stamp") };
      const lengths = { totalMs: cells.seconds("duration"), talkMs };
      const times = cells.instants(clock, { ...stamps, ...lengths }, "start_stamp");
      const parties = { calling: cells.text("caller_id_number"), called: cells.text("destination_number") };
      const facts = {
        recordId: cells.required("uuid"),
        direction: cells.direction(settings),
        ...parties,
        ...times,
        answered,
        talkMs,
        resolutionMs: 1_000,
        q850: q850Of(cells.text("hangup_cause")),
      };
      return cells.reading(recordOf(facts, settings));
    });
  },
};

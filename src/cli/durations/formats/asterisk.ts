import { Cells, recordOf } from "./cells.ts";
import { csvRows } from "./csv-rows.ts";
import type { DurationFormat } from "./format.ts";
import { LocalClock } from "./local-clock.ts";
import { rowByRow } from "./row-by-row.ts";
import { idOfRow } from "./row-id.ts";

const COLUMNS = [
  ..."accountcode src dst dcontext clid channel dstchannel lastapp lastdata".split(" "),
  ..."start answer end duration billsec disposition amaflags uniqueid userfield".split(" "),
];
const FEWEST = 16;
const TIME = /^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$/;
const DISPOSITIONS = ["ANSWERED", "NO ANSWER", "BUSY", "FAILED", "CONGESTION"];

/**
 * Master.csv of Asterisk's cdr_csv. It has no header, and local times unless `usegmtime` is set.
 */
export const ASTERISK: DurationFormat = {
  name: "asterisk",
  title: "Asterisk, cdr_csv (Master.csv)",
  edition: "1",
  needs: ["direction", "timeZone"],
  recognises: ({ fields }) =>
    fields.length >= FEWEST &&
    fields.length <= COLUMNS.length &&
    TIME.test(fields[9] ?? "") &&
    TIME.test(fields[11] ?? ""),
  rows: (bytes) => csvRows(bytes, { columns: COLUMNS, fewest: FEWEST }),
  open: (settings) => {
    const clock = new LocalClock(settings.timeZone ?? "UTC");
    return rowByRow((row) => {
      const cells = new Cells(row);
      const talkMs = cells.seconds("billsec");
      const stamps = { start: cells.stamp("start"), answer: cells.stamp("answer"), end: cells.stamp("end") };
      const disposition = cells.text("disposition");
      if (!DISPOSITIONS.includes(disposition)) cells.blame("disposition", DISPOSITIONS.join(", "));
      const answered = disposition === "ANSWERED";
      const lengths = { totalMs: cells.seconds("duration"), talkMs: answered ? talkMs : undefined };
      const times = cells.instants(clock, { ...stamps, ...lengths }, "start");
      const direction = cells.direction(settings);
      const parties = { calling: cells.text("src"), called: cells.text("dst") };
      // Each channel that was called has a row of its own under the caller's id.
      const leg = /-([^-]*)$/.exec(cells.text("dstchannel"))?.[1];
      const uniqueId = cells.text("uniqueid");
      const recordId = uniqueId === "" ? idOfRow(row) : [uniqueId, leg].filter(Boolean).join("-");
      return cells.reading(
        recordOf({ recordId, direction, ...parties, ...times, answered, talkMs, resolutionMs: 1_000 }, settings),
      );
    });
  },
};

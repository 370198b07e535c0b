import { Cells, recordOf } from "./cells.ts";
import type { DurationFormat, Row } from "./format.ts";
import { jsonRows } from "./json-rows.ts";
import { rowByRow } from "./row-by-row.ts";

const VARIABLES = "variables.";

/** FreeSWITCH's mod_json_cdr: an object a call, whose times are microseconds since 1970. */
export const FREESWITCH_JSON: DurationFormat = {
  name: "freeswitch-json",
  title: "FreeSWITCH, mod_json_cdr (one object, many, or an array of them)",
  edition: "1",
  needs: ["direction"],
  recognises: ({ text }) => /^\s*[[{]/.test(text) && /"variables"\s*:/.test(text),
  rows: (bytes) => jsonRows(bytes),
  open: (settings) =>
    rowByRow((given) => {
      const cells = new Cells(decoded(given));
      const startMs = microseconds(cells, "start_uepoch");
      const answerMs = microseconds(cells, "answer_uepoch");
      const endMs = microseconds(cells, "end_uepoch");
      if (startMs === undefined && cells.mistakes.length === 0)
        cells.blame(`${VARIABLES}start_uepoch`, "microseconds since 1970");
      const profile = (name: string) => [`callflow.0.caller_profile.${name}`, `callflow.caller_profile.${name}`];
      const status = cells.text(`${VARIABLES}sip_term_status`, `${VARIABLES}sip_invite_failure_status`);
      const facts = {
        recordId: cells.text(`${VARIABLES}uuid`) || cells.required("core-uuid"),
        direction: cells.direction(settings),
        calling: cells.text(...profile("caller_id_number"), `${VARIABLES}sip_from_user`),
        called: cells.text(...profile("destination_number"), `${VARIABLES}sip_to_user`),
        startMs,
        answerMs,
        endMs,
        answered: answerMs !== undefined,
        talkMs: cells.whole(`${VARIABLES}billmsec`),
        resolutionMs: 1,
        sipCode: answerMs === undefined ? Number(status) || undefined : 200,
        q850: cells.whole(`${VARIABLES}hangup_cause_q850`),
        callId: cells.text(`${VARIABLES}sip_call_id`),
      };
      const { row, ...read } = { row: given, ...cells.reading(recordOf(facts, settings)) };
      return { ...read, rows: [row] };
    }),
};

/** An instant; zero stands for none. */
function microseconds(cells: Cells, name: string): number | undefined {
  const value = cells.whole(`${VARIABLES}${name}`);
  return value === undefined || value === 0 ? undefined : Math.floor(value / 1_000);
}

/** Variables are percent-encoded unless `encode-values` is off. */
function decoded(row: Row): Row {
  const cells = Object.entries(row.cells).map(([path, text]) => [
    path,
    path.startsWith(VARIABLES) ? decode(text) : text,
  ]);
  return { ...row, cells: Object.fromEntries(cells) };
}

function decode(text: string): string {
  try {
    return /%[0-9a-fA-F]{2}/.test(text) ? decodeURIComponent(text) : text;
  } catch {
    return text;
  }
}

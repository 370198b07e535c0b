import { parse } from "csv-parse/sync";
import { ASTERISK } from "./asterisk.ts";
import type { DurationFormat, FileHead } from "./format.ts";
import { FREESWITCH_CSV } from "./freeswitch-csv.ts";
import { FREESWITCH_JSON } from "./freeswitch-json.ts";
import { KAMAILIO_CDRS, KAMAILIO_SYSLOG } from "./kamailio.ts";
import { KAMAILIO_ACC } from "./kamailio-acc.ts";
import { RADACCT } from "./radacct.ts";
import { RADIUS_DETAIL } from "./radius-detail.ts";
import { TANDEM_CSV } from "./tandem-csv.ts";
import { TEAMS_DIRECT, TEAMS_PSTN } from "./teams.ts";

/** Every format but that of a column map, in the order in which they are tried. */
export const DURATION_FORMATS: readonly DurationFormat[] = [
  TANDEM_CSV,
  KAMAILIO_CDRS,
  KAMAILIO_ACC,
  KAMAILIO_SYSLOG,
  RADACCT,
  RADIUS_DETAIL,
  FREESWITCH_CSV,
  FREESWITCH_JSON,
  ASTERISK,
  TEAMS_PSTN,
  TEAMS_DIRECT,
];

/** The format that a file's beginning looks like; undefined: none that is known. */
export function guessFormat(text: string): DurationFormat | undefined {
  const head: FileHead = { text, fields: firstFields(text) };
  return DURATION_FORMATS.find((format) => format.recognises(head));
}

function firstFields(text: string): readonly string[] {
  try {
    const [first = []] = parse(text.replace(/^\ufeff/, ""), {
      to: 1,
      trim: true,
      relax_column_count: true,
      skip_empty_lines: true,
    }) as string[][];
    return first;
  } catch {
    return [];
  }
}

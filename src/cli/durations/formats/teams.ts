import { Direction } from "../../../gen/tandem/type/v1/call_pb.js";
import { Cells, recordOf } from "./cells.ts";
import { csvRows } from "./csv-rows.ts";
import type { DurationFormat, FormatSettings, Remark, Row } from "./format.ts";
import { LocalClock } from "./local-clock.ts";
import { rowByRow } from "./row-by-row.ts";

/** The export of calls over Calling Plans. */
export const TEAMS_PSTN: DurationFormat = {
  name: "teams-pstn",
  title: "Microsoft Teams, export of PSTN usage (Calling Plans)",
  edition: "1",
  needs: [],
  recognises: ({ fields }) => hasAll(fields, ["usageid", "destinationnumber", "durationseconds"]),
  rows: (bytes) => csvRows(bytes),
  open: (settings, remark) => byColumn((cells, name) => readPstn(cells, name, { settings, remark })),
};

/** The export of calls over a carrier's own session border controller. */
export const TEAMS_DIRECT: DurationFormat = {
  name: "teams-direct-routing",
  title: "Microsoft Teams, export of Direct Routing",
  edition: "1",
  needs: [],
  recognises: ({ fields }) => hasAll(fields, ["correlationid", "invitetime", "calleenumber", "finalsipcode"]),
  rows: (bytes) => csvRows(bytes),
  open: (settings) => byColumn((cells, name) => readDirect(cells, name, settings)),
};

type Read = (cells: Cells, name: (plain: string) => string) => ReturnType<typeof recordOf>;

// Exports write the same names with and without spaces, capitals and "(UTC)".
function byColumn(read: Read) {
  let names = new Map<string, string>();
  const reader = rowByRow((row) => {
    const cells = new Cells(row);
    return cells.reading(read(cells, (plain) => names.get(plain) ?? plain));
  });
  const header = (row: Row) => {
    names = new Map(Object.keys(row.cells).map((name) => [plainName(name), name]));
  };
  return {
    take: (row: Row) => {
      if (row.isHeader) header(row);
      return reader.take(row);
    },
    end: reader.end,
  };
}

interface PstnReading {
  readonly settings: FormatSettings;
  readonly remark: Remark;
}

function readPstn(cells: Cells, name: (plain: string) => string, { settings, remark }: PstnReading) {
  const direction = directionOf(cells, name("calltype"));
  const destination = cells.text(name("destinationnumber"), name("callerid"));
  const startMs = timeOf(cells, name("starttime"));
  const endMs = timeOf(cells, name("endtime"));
  const length = lengthOf(startMs, endMs, cells.seconds(name("durationseconds")));
  const user = settings.numberOf.get(cells.text(name("upn")).toLowerCase()) ?? "";
  // The caller of an inbound call is in no column of the older exports.
  const parties =
    direction === Direction.INBOUND
      ? { calling: cells.text(name("callernumber")), called: cells.text(name("callerid")) || user }
      : { calling: cells.text(name("callernumber")) || user, called: destination };
  if (direction === Direction.OUTBOUND && parties.calling === "")
    remark(cells.row, "some calls went out from users whose numbers the file does not tell: name them with --users");
  const facts = { recordId: cells.required(name("usageid")), direction, ...parties, ...length };
  return recordOf(facts, settings);
}

function readDirect(cells: Cells, name: (plain: string) => string, settings: FormatSettings) {
  const direction = directionOf(cells, name("calltype"));
  const inviteMs = timeOf(cells, name("invitetime"));
  const startMs = timeOf(cells, name("starttime"));
  const failureMs = timeOf(cells, name("failuretime"));
  const endMs = timeOf(cells, name("endtime"));
  const success = cells.text(name("success"), name("eventtype")).toLowerCase();
  const isSuccess = ["true", "yes", "1", "success", "connected"].includes(success);
  const duration = cells.seconds(name("duration"));
  // The start of an inbound call is when it was passed on inside Teams, and no answer.
  const isAnswer = isSuccess && direction === Direction.OUTBOUND;
  const length = isAnswer
    ? lengthOf(startMs, endMs, duration)
    : { endMs: endMs ?? failureMs, answered: isSuccess, talkMs: duration, resolutionMs: isSuccess ? 1_000 : 1 };
  const facts = {
    recordId: cells.required(name("correlationid")),
    direction,
    calling: cells.text(name("callernumber")),
    called: cells.text(name("calleenumber")),
    ...length,
    startMs: inviteMs ?? startMs,
    sipCode: isSuccess ? 200 : cells.whole(name("finalsipcode")),
  };
  const record = recordOf(facts, settings);
  if (settings.trunkId === undefined) record.trunkId = cells.text(name("sbcfqdn"));
  return record;
}

/** The length is told in whole seconds; the times are finer where they tell the same length. */
function lengthOf(startMs: number | undefined, endMs: number | undefined, durationMs: number | undefined) {
  const answered = (durationMs ?? 0) > 0;
  if (!answered) return { startMs, endMs, answered, resolutionMs: 1 };
  const betweenMs = startMs === undefined || endMs === undefined ? undefined : endMs - startMs;
  if (betweenMs !== undefined && Math.abs(betweenMs - (durationMs ?? 0)) <= 1_000)
    return { answerMs: startMs, endMs, answered, talkMs: betweenMs, resolutionMs: 1 };
  return { startMs, endMs, answered, talkMs: durationMs, resolutionMs: 1_000 };
}

/** By the kind of call, such as `user_out`, `dr_in` or `ByotOutUserForwarding`. */
function directionOf(cells: Cells, column: string): Direction {
  const kind = cells.text(column);
  if (/(^|_)in(_|$)|In(?![a-z])/.test(kind)) return Direction.INBOUND;
  if (/(^|_)out(_|$)|Out(?![a-z])/i.test(kind)) return Direction.OUTBOUND;
  cells.blame(column, "a kind of call with in or out, such as user_out or dr_in");
  return Direction.UNSPECIFIED;
}

const UTC = new LocalClock("UTC");

/** Times are UTC, with an offset or without. */
function timeOf(cells: Cells, column: string): number | undefined {
  const stamp = cells.stamp(column);
  return stamp && cells.instants(UTC, { start: stamp }, column).startMs;
}

function plainName(name: string): string {
  const plain = name.toLowerCase().replace(/\((utc|seconds)\)/g, "");
  const letters = plain.replace(/[^a-z0-9]/g, "");
  return letters.replace(/datetime$/, "time");
}

function hasAll(fields: readonly string[], columns: readonly string[]): boolean {
  const names = new Set(fields.map(plainName));
  return columns.every((column) => names.has(column));
}

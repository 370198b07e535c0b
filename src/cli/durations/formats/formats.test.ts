import { readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test } from "vitest";
import { Direction } from "../../../gen/tandem/type/v1/call_pb.js";
import { PartyKind } from "../../../gen/tandem/type/v1/party_pb.js";
import { PLAIN_SETTINGS } from "../durations-file.ts";
import { ASTERISK } from "./asterisk.ts";
import { partyOf } from "./cells.ts";
import type { DurationFormat, FormatSettings, Reading } from "./format.ts";
import { guessFormat } from "./formats.ts";
import { KAMAILIO_CDRS } from "./kamailio.ts";
import { KAMAILIO_ACC } from "./kamailio-acc.ts";
import { RADACCT } from "./radacct.ts";
import { RADIUS_DETAIL } from "./radius-detail.ts";
import { Waiting } from "./row-by-row.ts";
import { TEAMS_DIRECT, TEAMS_PSTN } from "./teams.ts";

const FIXTURES = new URL("../../../../test/fixtures/", import.meta.url);
const OUTBOUND: Partial<FormatSettings> = { direction: Direction.OUTBOUND };

async function read(format: DurationFormat, text: string, settings: Partial<FormatSettings> = OUTBOUND) {
  const reader = format.open({ ...PLAIN_SETTINGS, ...settings }, () => {});
  const readings: Reading[] = [];
  for await (const row of format.rows(Readable.from([Buffer.from(text)], { objectMode: false })))
    readings.push(...reader.take(row));
  return [...readings, ...reader.end()];
}

/** What was read, short: `id answer end length`, the mistakes, or why it was passed over. */
function told(readings: readonly Reading[]): string[] {
  return readings.flatMap((reading) => {
    if (reading.kind === "passed") return [`passed: ${reading.why}`];
    if (reading.kind === "mistakes") return reading.mistakes.map(({ line, text }) => `${line}: ${text}`);
    const { recordId, answerTime, endTime, connectedDurationMs = "-" } = reading.record;
    const [answer, end] = [answerTime, endTime].map((at) => (at ? timestampDate(at).toISOString().slice(8, 19) : "-"));
    return [`${recordId} ${answer} ${end} ${connectedDurationMs}`];
  });
}

test.each([
  ["real-switch/softphone-carrier.csv", "tandem"],
  ["real-switch/kamailio-a-acc_cdrs.csv", "kamailio-cdrs"],
  ["real-switch/kamailio-b-acc_cdrs.csv", "kamailio-cdrs"],
  ["real-switch/kamailio-a-acc.csv", "kamailio-acc"],
  ["real-switch/kamailio-b-missed_calls.csv", "kamailio-acc"],
  ["real-switch/kamailio-b-syslog.txt", "kamailio-syslog"],
  ["real-switch/radius-radacct.csv", "radacct"],
  ["real-switch/radius-cases-detail.txt", "radius-detail"],
  ["switch-samples/asterisk-Master.csv", "asterisk"],
  ["switch-samples/freeswitch-Master.csv", "freeswitch-csv"],
  ["switch-samples/freeswitch-cdrs.txt", "freeswitch-json"],
  ["switch-samples/teams-pstn.csv", "teams-pstn"],
  ["switch-samples/teams-direct-routing.csv", "teams-direct-routing"],
  ["switch-samples/other-switch.csv", undefined],
])("%s is guessed to be %s", async (name, format) => {
  expect(guessFormat(await readFile(new URL(name, FIXTURES), "utf8"))?.name).toBe(format);
});

describe("Asterisk", () => {
  const row = (id: number, answer: string, end: string, billsec: number) =>
    `"","1","2","c","","A/1","B/x-${id}","Dial","","${answer}","${answer}","${end}",${billsec},${billsec},"ANSWERED","","${id}",""`;
  const settings = { ...OUTBOUND, timeZone: "Europe/Copenhagen" };

  test("calls of the night in which clocks go back are each in their own hour", async () => {
    const rows = [
      row(1, "2026-10-25 01:30:00", "2026-10-25 01:40:00", 600),
      row(2, "2026-10-25 02:00:10", "2026-10-25 02:01:10", 60),
      row(3, "2026-10-25 02:20:00", "2026-10-25 02:25:00", 300),
      row(4, "2026-10-25 02:50:00", "2026-10-25 02:05:00", 900),
      row(5, "2026-10-25 02:20:00", "2026-10-25 02:25:00", 300),
      row(6, "2026-10-25 02:30:00", "2026-10-25 03:05:00", 2_100),
    ];
    expect(told(await read(ASTERISK, rows.join("\n"), settings))).toEqual([
      "1-1 24T23:30:00 24T23:40:00 600000",
      "2-2 25T00:00:10 25T00:01:10 60000",
      "3-3 25T00:20:00 25T00:25:00 300000",
      "4-4 25T00:50:00 25T01:05:00 900000",
      "5-5 25T01:20:00 25T01:25:00 300000",
      "6-6 25T01:30:00 25T02:05:00 2100000",
    ]);
  });

  test("one that nothing tells apart is a mistake, which its offset mends", async () => {
    const first = row(1, "2026-10-25 02:20:00", "2026-10-25 02:25:00", 300);
    const [mistake] = told(await read(ASTERISK, first, settings));
    expect(mistake).toContain('1: start is "2026-10-25 02:20:00": occurs twice on that day');
    const mended = first.replaceAll(/02:2\d:00/g, "$&+01:00");
    expect(told(await read(ASTERISK, mended, settings))).toEqual(["1-1 25T01:20:00 25T01:25:00 300000"]);
  });

  test("a row whose time does not occur is a mistake", async () => {
    const [mistake] = told(await read(ASTERISK, row(1, "2026-03-29 02:30:00", "2026-03-29 03:30:00", 60), settings));
    expect(mistake).toContain("does not occur");
  });

  test("without a unique id the row itself is the id, so that it is one record however often it is sent", async () => {
    const plain = row(1, "2026-11-29 10:00:00", "2026-11-29 10:01:00", 60).replace(',"1",""', "");
    const other = plain.replace('"1"', '"3"');
    const [one = "", same, another] = told(await read(ASTERISK, [plain, plain, other].join("\n"), settings));
    expect(one).toMatch(/^row-[0-9a-f]{24} /);
    expect([same === one, another === one]).toEqual([true, false]);
  });
});

describe("Kamailio", () => {
  test("CDRs without numbers, as they are by default, are refused with what is to be done", async () => {
    const text = "id,start_time,end_time,duration\n1,2026-11-29 10:00:00,2026-11-29 10:00:05,5.0\n";
    await expect(read(KAMAILIO_CDRS, text)).rejects.toThrow("acc_cdrs has no column src nor dst");
  });

  test("a call's transactions are one call, its attempts and INVITEs within it are none", async () => {
    const header = "id,method,from_tag,to_tag,callid,sip_code,sip_reason,time,src_user,dst_user";
    const row = (method: string, callId: string, code: number, clock: string) =>
      `1,${method},a,b,${callId},${code},x,2026-11-29 ${clock},+441632960001,+441632960101`;
    const rows = [
      row("INVITE", "c1", 503, "10:00:00"),
      row("INVITE", "c1", 200, "10:00:05"),
      row("INVITE", "c1", 200, "10:00:07"),
      row("MESSAGE", "m1", 200, "10:00:07"),
      row("BYE", "c1", 200, "10:00:15"),
      row("INVITE", "c2", 486, "10:00:20"),
      row("BYE", "c3", 481, "10:00:21"),
      row("INVITE", "c4", 200, "at ten"),
      row("INVITE", "c5", 200, "10:00:30"),
      row("BYE", "c5", 200, "later"),
    ];
    const readings = await read(KAMAILIO_ACC, [header, ...rows].join("\n"));
    expect(told(readings)).toEqual([
      "passed: failed attempts of calls that went on elsewhere",
      "passed: INVITEs within a call",
      "passed: transactions that begin or end no call",
      "c1;b 29T10:00:05 29T10:00:15 10000",
      "passed: transactions that begin or end no call",
      '9: time is "2026-11-29 at ten": expected a time such as 2026-03-01 10:05:00',
      '11: time is "2026-11-29 later": expected a time such as 2026-03-01 10:05:00',
      "c2;b - 29T10:00:20 -",
    ]);
    // Both rows of c5 are mended together.
    expect(readings.at(-2)?.rows.map(({ line }) => line)).toEqual([10, 11]);
  });
});

describe("FreeRADIUS", () => {
  test("a table of local times takes a zone, and its session times are no lengths", async () => {
    const text = [
      "acctsessionid,acctuniqueid,acctstarttime,acctstoptime,acctsessiontime,callingstationid,calledstationid",
      "s1,u1,2026-11-29 10:00:00,2026-11-29 10:10:00,300,=2B441632960001,sip:=2B441632960101@carrier.example",
      "s2,u2,2026-10-25 02:10:00,2026-10-25 02:20:00,600,1,2",
      "s3,u3,,,,1,2",
    ].join("\n");
    const readings = await read(RADACCT, text, { ...OUTBOUND, timeZone: "Europe/Copenhagen" });
    expect(told(readings)).toEqual([
      "u1 29T09:00:00 29T09:10:00 600000",
      expect.stringContaining('3: acctstarttime is "2026-10-25 02:10:00": occurs twice'),
      '4: acctstarttime is "": expected a time',
    ]);
    expect(readings[0]).toMatchObject({
      record: { calling: { value: "+441632960001" }, called: { value: "+441632960101" } },
    });
  });

  test("a packet's local time is read by the zone that is given, or by its two times of receipt", async () => {
    const packet = (head: string, event: string, receivedS?: number) =>
      [
        head,
        '\tAcct-Session-Id = "s1"',
        "\tAcct-Status-Type = Stop",
        `\tEvent-Timestamp = "${event}"`,
        "\tAcct-Session-Time = 60",
        ...(receivedS ? [`\tTimestamp = ${receivedS}`] : []),
        "",
      ].join("\n");
    const receivedS = Date.parse("2026-10-25T01:31:00Z") / 1_000;
    const local = packet("Sun Oct 25 02:31:00 2026", "Oct 25 2026 02:30:00 CET", receivedS);
    expect(told(await read(RADIUS_DETAIL, local))).toEqual([expect.stringContaining("25T01:29:00 25T01:30:00 60000")]);
    const inZone = await read(RADIUS_DETAIL, local, { ...OUTBOUND, timeZone: "Europe/Copenhagen" });
    expect(told(inZone)).toEqual([expect.stringContaining("25T01:29:00 25T01:30:00 60000")]);
    const unknown = packet("Sun Oct 25 02:31:00 2026", "Oct 25 2026 02:30:00 IST");
    expect(told(await read(RADIUS_DETAIL, unknown))).toEqual([expect.stringContaining("1: Event-Timestamp is")]);
  });
});

describe("Teams", () => {
  const direct = (start: string, end: string, rest: string) =>
    `Correlation ID,Call Type,Invite Time (UTC),Start Time (UTC),Failure Time (UTC),End Time (UTC),Duration (seconds),Success,Caller Number,Callee Number,Final SIP Code\n1,${rest.split(",")[0]},2026-11-29T10:00:00.1Z,${start},,${end},${rest.split(",").slice(1).join(",")}`;

  test("the start of an inbound call is no answer: its length is what the row says", async () => {
    const rows = direct(
      "2026-11-29T10:00:00.3Z",
      "2026-11-29T10:01:10Z",
      "ByotIn,60,Yes,+441632960103,+441632960001,0",
    );
    const [reading] = await read(TEAMS_DIRECT, rows, {});
    expect(told([reading as Reading])).toEqual(["1 - 29T10:01:10 60000"]);
    expect(reading).toMatchObject({
      record: { direction: Direction.INBOUND, answered: true, timeResolutionMs: 1_000 },
    });
  });

  test("a kind of call that says no way is a mistake", async () => {
    const rows = direct("2026-11-29T10:00:00.3Z", "2026-11-29T10:01:10Z", "inner,60,Yes,+441632960103,+441632960001,0");
    expect(told(await read(TEAMS_DIRECT, rows, {}))).toEqual([expect.stringContaining('2: Call Type is "inner"')]);
  });

  test("a start that is not the answer, by the length, is the invite's", async () => {
    const text =
      "UsageId,UPN,Caller ID,Call Type,Destination Number,Start Time,End Time,Duration Seconds\n" +
      "u1,a@b.example,+441632960101,user_out,+441632960101,2026-11-29T10:00:00+00:00,2026-11-29T10:01:10+00:00,60\n";
    const [reading] = await read(TEAMS_PSTN, text, { numberOf: new Map([["a@b.example", "+441632960001"]]) });
    expect(told([reading as Reading])).toEqual(["u1 - 29T10:01:10 60000"]);
    expect(reading).toMatchObject({ record: { calling: { value: "+441632960001" }, recordDate: "2026-11-29" } });
  });
});

test.each([
  ["+441632960001", PartyKind.E164, "+441632960001"],
  ["sip:+441632960001@carrier.example;user=phone", PartyKind.E164, "+441632960001"],
  ["tel:+441632960001", PartyKind.E164, "+441632960001"],
  ["01632 960001", PartyKind.NON_E164, "01632 960001"],
  ["Anonymous", PartyKind.RESTRICTED, undefined],
  ["", PartyKind.UNAVAILABLE, undefined],
])("the party %s", (text, kind, value) => {
  expect(partyOf(text)).toMatchObject(value === undefined ? { kind } : { kind, value });
});

test("of rows that wait the oldest makes room", () => {
  const waiting = new Waiting<number>(2);
  expect([waiting.put("a", 1), waiting.put("b", 2), waiting.put("a", 3), waiting.put("c", 4)]).toEqual([
    undefined,
    undefined,
    1,
    2,
  ]);
  expect(waiting.drain()).toEqual([3, 4]);
});

import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DURATION_FORMATS } from "../../src/cli/durations/formats/formats.ts";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { type CliResult, runCli } from "../support/cli.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { moveFixture, REAL_DAY, readFixture, realCdrs } from "../support/real-switch.ts";
import { appendCdrs } from "../support/reconcile.ts";
import { storedResults } from "../support/stored-results.ts";
import { e164 } from "../support/trouble.ts";

// What switches write, uploaded as it is by `tandem durations upload`.

const ALICE = "+441632960001";
/**
 * The fixtures are of one carrier's calls of outbound and inbound, in a zone without summer
 * time.
 */
const ZONE = ["--time-zone", "Asia/Kolkata"];
const BOTH_WAYS = (column: string) => ["--outbound-when", `${column}=to-pstn`, "--inbound-when", `${column}=from-pstn`];

let exchange: Exchange;
let folder: string;
let carriers = 0;
beforeAll(async () => {
  exchange = await startExchange();
  folder = await mkdtemp(join(tmpdir(), "tandem-switch-"));
});
afterAll(async () => {
  await exchange?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function addCarrier(numbers = [ALICE], unanswered = true): Promise<string> {
  const carrierId = `switch-${++carriers}`;
  const reportingScopes = [{ directions: [1, 2], unanswered, emergency: false }];
  await exchange.addCarrier(carrierId, { graceMs: 0n, timeZone: "UTC", reportingScopes });
  await exchange.assignNumbers(carrierId, numbers);
  return carrierId;
}

function tandem(args: readonly string[]): Promise<CliResult> {
  return runCli(args, { TANDEM_URL: exchange.url, TANDEM_DATA_DIR: exchange.dataDir });
}

function upload(file: string, carrierId: string, more: readonly string[] = []): Promise<CliResult> {
  return tandem(["durations", "upload", file, "--carrier", carrierId, ...more]);
}

/** The calls of test/fixtures/switch-samples, as the platform saw them. */
function sampleCdrs(): CallDetailRecord[] {
  const time = (clock: string) => `${REAL_DAY}T${clock}Z`;
  const call = (id: string, direction: string, parties: JsonObject, times: JsonObject, code: number) =>
    fromJson(CallDetailRecordSchema, {
      recordId: id,
      recordDate: REAL_DAY,
      revision: 1,
      completeness: "COMPLETENESS_COMPLETE",
      callId: `call-${id}`,
      callType: "CALL_TYPE_USER",
      direction,
      parties,
      times,
      outcome: { finalSipCode: code },
    });
  const from = { calling: e164(ALICE) };
  return [
    call(
      "out",
      "DIRECTION_OUTBOUND",
      { ...from, called: e164("+441632960101") },
      { inviteTime: time("10:00:00.250"), answerTime: time("10:00:03.120"), endTime: time("10:00:07.330") },
      200,
    ),
    call(
      "busy",
      "DIRECTION_OUTBOUND",
      { ...from, called: e164("+441632960102") },
      { inviteTime: time("10:01:00.100"), endTime: time("10:01:00.900") },
      486,
    ),
    call(
      "in",
      "DIRECTION_INBOUND",
      { calling: e164("+441632960103"), called: e164(ALICE) },
      { inviteTime: time("10:02:00.500"), answerTime: time("10:02:05.200"), endTime: time("10:03:35.900") },
      200,
    ),
  ];
}

const UUID = "5b2f4c1e-0000-4000-8000-00000000000";
const GUID = "00000000-0000-4000-8000-00000000000";

interface Sample {
  readonly format: string;
  readonly options: readonly string[];
  readonly results: readonly string[];
}

const SAMPLES: Readonly<Record<string, Sample>> = {
  "asterisk-Master.csv": {
    format: "asterisk",
    options: [...ZONE, ...BOTH_WAYS("dcontext")],
    results: [
      "busy/1795946460.3-00000004 MATCHED_UNANSWERED",
      "in/1795946520.5-00000006 WITHIN_TOLERANCE",
      "out/1795946400.1-00000002 WITHIN_TOLERANCE",
    ],
  },
  "freeswitch-Master.csv": {
    format: "freeswitch-csv",
    options: [...ZONE, ...BOTH_WAYS("context")],
    results: [`busy/${UUID}3 MATCHED_UNANSWERED`, `in/${UUID}4 WITHIN_TOLERANCE`, `out/${UUID}1 WITHIN_TOLERANCE`],
  },
  "freeswitch-cdrs.txt": {
    format: "freeswitch-json",
    options: [
      ...["--outbound-when", "callflow.0.caller_profile.context=to-pstn"],
      ...["--inbound-when", "callflow.caller_profile.context=from-pstn"],
    ],
    results: [`busy/${UUID}3 MATCHED_UNANSWERED`, `in/${UUID}4 MATCHED_EXACT`, `out/${UUID}1 MATCHED_EXACT`],
  },
  "teams-direct-routing.csv": {
    format: "teams-direct-routing",
    options: [],
    results: [`busy/${GUID}2 MATCHED_UNANSWERED`, `in/${GUID}3 WITHIN_TOLERANCE`, `out/${GUID}1 MATCHED_EXACT`],
  },
  "teams-pstn.csv": {
    format: "teams-pstn",
    options: ["--users", "USERS"],
    // The export has no calls that failed.
    results: ["busy/ MISSING_AT_CARRIER", `in/${GUID}2 MATCHED_EXACT`, `out/${GUID}1 MATCHED_EXACT`],
  },
  "other-switch.csv": {
    format: "map",
    options: ["--map", "MAP"],
    results: ["busy/T-2 MATCHED_UNANSWERED", "in/T-3 MATCHED_EXACT", "out/T-1 MATCHED_EXACT"],
  },
};

test.each(Object.entries(SAMPLES))("%s is uploaded as it is, and each call is judged right", async (name, sample) => {
  const carrierId = await addCarrier();
  await using moved = await moveFixture(`switch-samples/${name}`);
  const files = { USERS: join(folder, "users.csv"), MAP: join(folder, "map.json") };
  await writeFile(files.USERS, `upn,number\nAlice@platform.example,${ALICE}\n`);
  await writeFile(files.MAP, await readFixture("switch-samples/other-switch.map.json"));
  const options = sample.options.map((word) => (word in files ? files[word as keyof typeof files] : word));
  await appendCdrs(exchange.services.db, carrierId, sampleCdrs());

  const checked = await upload(moved.file, carrierId, [...options, "--validate-only"]);
  expect(checked).toMatchObject({ code: 0, stdout: expect.stringContaining("nothing was stored") });
  const { code, stdout, stderr } = await upload(moved.file, carrierId, options);
  expect({ code, stdout, stderr }).toMatchObject({ code: 0, stdout: expect.stringContaining("accepted.") });
  if (sample.format !== "map") expect(stderr).toContain(`read as --format ${sample.format}`);
  // Ids of Asterisk begin with a time that the fixture has moved.
  const moveIds = (result: string) => result.replace(/1795946\d{3}/, (id) => stdIdOf(id));
  expect(await storedResults(exchange, carrierId)).toEqual(sample.results.map(moveIds).toSorted());
});

/** A Unix time of the fixtures, moved as they are. */
function stdIdOf(seconds: string): string {
  return String(Number(seconds) + (Date.parse(REAL_DAY) - Date.parse("2026-11-29")) / 1_000);
}

const REAL_FILES: [file: string, platform: string, format: string, options: string[], said: string][] = [
  ["kamailio-b-acc_cdrs.csv", "kamailio-b", "kamailio-cdrs", ["--start", "answer"], "12 records: 12 accepted."],
  ["kamailio-b-syslog.txt", "kamailio-b", "kamailio-syslog", ["--start", "answer"], "22 passed over"],
  ["kamailio-a-acc.csv", "kamailio-a", "kamailio-acc", [], "9 records: 9 accepted."],
  ["radius-radacct.csv", "radius", "radacct", [], "18 records: 18 accepted."],
  [
    "radius-detail.txt",
    "radius",
    "radius-detail",
    [],
    "2 passed over: failed attempts of calls that went on elsewhere.",
  ],
];

test.each(REAL_FILES)(
  "%s, which a real switch wrote, is uploaded as it is",
  async (name, platform, format, more, said) => {
    const carrierId = await addCarrier(["+441632960001", "+441632960002"], false);
    await using moved = await moveFixture(name);
    await appendCdrs(exchange.services.db, carrierId, await realCdrs(platform));
    const options = ["--format", format, "--direction", "outbound", "--trunk", "gb-1", ...more];
    const { code, stdout, stderr } = await upload(moved.file, carrierId, options);
    expect({ code, stderr, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining(said) });
    expect(stderr).not.toContain("looks like");
    const results = await storedResults(exchange, carrierId);
    // Of 106 nobody knows the end, and the database lost the record of 104 in run b.
    const known = results.filter((result) => !/106|1-\d+-uac_nobye|UNKNOWN/.test(result));
    const good = /WITHIN_TOLERANCE|MATCHED_EXACT|MATCHED_UNANSWERED|NOT_REPORTED|PENDING/;
    expect(known.filter((result) => !good.test(result))).toEqual([]);
    expect(known.filter((result) => result.endsWith("WITHIN_TOLERANCE")).length).toBeGreaterThan(5);
  },
);

test("a file that does not say which way its calls went, or in which zone, is not sent", async () => {
  const carrierId = await addCarrier();
  await using moved = await moveFixture("switch-samples/asterisk-Master.csv");
  const { code, stderr } = await upload(moved.file, carrierId);
  expect({ code, stderr }).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("asterisk does not tell which way"),
  });
  expect(stderr).toContain("--time-zone ZONE");
});

test("wrong rows are named by line and column, go to a file of their own, and go through once they are mended", async () => {
  const carrierId = await addCarrier();
  const file = join(folder, "Master.csv");
  const good = (await readFixture("switch-samples/asterisk-Master.csv")).split("\n");
  const wrong = [
    good[0]?.replace(".1", ".2").replace(/"\d{4}-\d\d-\d\d 15:30:03"/, '"at three"'),
    good[1],
    good[2]?.replace(",95,90,", ",95,x,"),
    // The server refuses this one: it ends before it begins.
    good[2]?.replace("15:33:35", "14:33:35"),
    good[0]?.split(",").slice(0, 8).join(","),
  ];
  await writeFile(file, `${wrong.join("\n")}\n`);
  const options = [...ZONE, ...BOTH_WAYS("dcontext")];
  const { code, stdout } = await upload(file, carrierId, options);
  expect({ code, stdout }).toMatchObject({
    code: 3,
    stdout: expect.stringContaining("2 records: 1 accepted, 1 rejected"),
  });
  for (const told of [
    `${file}:1: answer is "at three": expected a time such as 2026-03-01 10:05:00`,
    `${file}:3: billsec is "x": expected seconds`,
    `${file}:5: 8 fields instead of 16 to 18`,
    "(line 4)",
    "4 refused rows are in",
  ])
    expect(stdout).toContain(told);

  const rejects = join(folder, (await readdir(folder)).find((name) => /^Master\.rejects-\w{8}\.csv$/.test(name)) ?? "");
  expect((await stat(rejects)).mode & 0o777).toBe(0o600);
  const rows = (await readFile(rejects, "utf8")).trimEnd().split("\n");
  expect(rows).toEqual([wrong[0], wrong[2], wrong[3], wrong[4]]);
  const why = await readFile(`${rejects}.why`, "utf8");
  expect(why.split("\n").map((line) => line.slice(0, 7))).toEqual(["line 1:", "line 3:", "line 4:", "line 5:", ""]);

  const mended = [good[0]?.replace(".1", ".2"), good[2], good[2]?.replace(".5", ".6"), good[0]];
  await writeFile(rejects, `${mended.join("\n")}\n`);
  const again = await upload(rejects, carrierId, options);
  expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining("4 records: 4 accepted") });
  // What somebody may be mending is not written over.
  const repeated = await upload(file, carrierId, options);
  expect(repeated.stdout).toContain("it was left as it is");
  expect((await readFile(rejects, "utf8")).trimEnd().split("\n")).toEqual(mended);
});

test("a column map is checked whole before anything is read by it", async () => {
  const carrierId = await addCarrier();
  const map = join(folder, "wrong.json");
  await using moved = await moveFixture("switch-samples/other-switch.csv");
  const complaintOf = async (json: unknown) => {
    await writeFile(map, typeof json === "string" ? json : JSON.stringify(json));
    return (await upload(moved.file, carrierId, ["--map", map])).stderr;
  };
  expect(await complaintOf("{")).toContain("is no JSON");
  expect(await complaintOf({ columns: { caller: "A number" } })).toContain("columns.caller: Tandem has no such column");
  expect(await complaintOf({ columns: {}, zone: "UTC" })).toContain("zone");
  expect(await complaintOf({ columns: {}, time_zone: "IST" })).toContain("time_zone: expected an IANA time zone");
  const delimiter = ";";
  expect(await complaintOf({ delimiter, columns: { called: "C number" } })).toContain(
    `${moved.file}:1: no column C number`,
  );
  const columns = { calling: "A number", called: "B number", invite_time: "Seized" };
  expect(await complaintOf({ delimiter, columns })).toContain(`${moved.file}:2: Seized is`);
});

test("help names every format", async () => {
  const { stdout } = await tandem(["durations", "upload", "--help"]);
  for (const { name } of DURATION_FORMATS) expect(stdout).toContain(`\n  ${name} `);
});

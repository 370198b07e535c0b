import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { sql } from "kysely";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ingestCdrs } from "../../src/client/ingest-cdrs.ts";
import { arraySource } from "../../src/client/upload-source.ts";
import { CdrService as PlatformCdrService } from "../../src/gen/tandem/platform/v1/platform_cdr_service_pb.js";
import { type CallDetailRecord, CallDetailRecordSchema } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { systemTransaction } from "../../src/store/database/database.ts";
import { type CliResult, runCli } from "../support/cli.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";

const CARRIER = "nordlys-tele";
const NUMBER = "+4510000001";

let exchange: Exchange;
let folder: string;
let settings: Record<string, string>;

beforeAll(async () => {
  exchange = await startExchange();
  folder = await mkdtemp(join(tmpdir(), "tandem-cli-"));
  await chmod(folder, 0o755);
  settings = { TANDEM_URL: exchange.url, TANDEM_DATA_DIR: exchange.dataDir };
  // What the tests below stand on; each of them may run alone.
  await ok(["carriers", "create", CARRIER, "--country", "dk", "--time-zone", "Europe/Copenhagen"]);
  await ok(["numbers", "provision", NUMBER, "+4510000002", "--carrier", CARRIER, "--country", "DK", "--since", "3d"]);
  await ok(["numbers", "assign", NUMBER, "--carrier", CARRIER, "--customer", "cedar-bank", "--since", "3d"]);
  await ingestCdrs(await exchange.platformClient(PlatformCdrService), {
    carrierId: CARRIER,
    uploadId: "calls",
    source: arraySource([1, 2, 3].map(call)),
  });
});

afterAll(async () => {
  await exchange?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test("help shows every command, and commands explain themselves", async () => {
  const { stdout } = await ok(["--help"]);
  const commands = [
    "demo",
    "serve",
    "token",
    "migrate",
    "verify",
    "epoch",
    "carriers",
    "numbers",
    "cdrs",
    "durations",
    "reconcile",
    "usage",
  ];
  for (const command of commands) expect(stdout).toContain(`\n  ${command} `);
  const explained = ["demo", "numbers", "cdrs"];
  const helps = await Promise.all(explained.map((command) => ok([command, "--help"])));
  for (const [index, command] of explained.entries())
    expect(helps[index]?.stdout).toContain(`Usage: tandem ${command}`);
  expect((await ok(["durations", "upload", "--help"])).stdout).toContain("connected_duration_ms");
});

test("wrong usage ends with code 2, says what was expected, and shows no stack", async () => {
  const wrong: [string[], string][] = [
    [["sing"], "unknown command 'sing'"],
    [["carriers", "lst"], "Did you mean list?"],
    [["cdrs", "follow", "--carrier", CARRIER], "required option '--from <start>'"],
    [["cdrs", "follow", "--from", "yesterday"], "Expected earliest, latest, consumer:<name>, or a time."],
    [["numbers", "list", "--state", "lent"], "Expected one of provisioned, assigned, released, ported-out."],
    [["numbers", "provision"], "missing required argument 'numbers'"],
    [["carriers", "update", CARRIER], "say what to change"],
    [["epoch", "rotate"], "add --yes"],
    [["demo", "--calls-per-day", "many"], "whole number from 60"],
  ];
  const results = await Promise.all(wrong.map(([args]) => run(args)));
  for (const [index, [args, expected]] of wrong.entries()) {
    const { code, stdout, stderr } = results[index] as CliResult;
    expect([args, code, stdout]).toEqual([args, 2, ""]);
    expect(stderr).toContain(expected);
    expect(stderr).not.toMatch(/^\s+at /m);
  }
});

test("a refusal by the server is one line with its reason, and ends with code 1", async () => {
  expect(await run(["numbers", "get", "+4510000099"])).toMatchObject({
    code: 1,
    messages: expect.stringMatching(/^tandem: NUMBER_NOT_FOUND: [^\n]*\+4510000\*\*\*[^\n]*\n$/),
  });
  expect(await run(["carriers", "create", CARRIER, "--country", "DK"])).toMatchObject({
    code: 1,
    messages: expect.stringMatching(/^tandem: CARRIER_ALREADY_EXISTS: [^\n]*\n$/),
  });
  expect(await run(["carriers", "list", "--url", "http://127.0.0.1:1"])).toMatchObject({
    code: 1,
    messages: expect.stringMatching(/^tandem: nothing listens on 127.0.0.1:1: [^\n]*\n$/),
  });
});

test("a command acts as whom its token says, and without one signs its own", async () => {
  const carrierToken = await exchange.carrierToken(CARRIER);
  const noKey = { TANDEM_DATA_DIR: join(folder, "empty") };
  expect((await run(["numbers", "list"], noKey)).stderr).toContain("no token: use --token-file or TANDEM_TOKEN");
  expect((await run(["numbers", "list"], { ...noKey, TANDEM_TOKEN: carrierToken })).stdout).toContain(NUMBER);
  expect((await run(["carriers", "list"], { TANDEM_TOKEN: carrierToken })).stderr).toContain(
    "the token is a carrier's",
  );
  const tokenFile = join(folder, "token");
  await writeFile(tokenFile, `${carrierToken}\n`);
  const other = ["cdrs", "feed", "--token-file", tokenFile, "--carrier", "other"];
  const toldOf = await run(other);
  expect(toldOf.stderr).toContain(CARRIER);
  expect(toldOf.stderr).toContain("others can read this token (mode 0644): chmod 600 it");
  await chmod(tokenFile, 0o600);
  expect((await run(other)).stderr).not.toContain("chmod");
  expect((await run(["cdrs", "feed"])).stderr).toContain("say which carrier to act as");
});

test("carriers are created, listed, changed, suspended and activated", async () => {
  await ok(["carriers", "create", "prairie-bell", "--country", "US", "--name", "Prairie Bell"]);
  const changed = await ok(["carriers", "update", "prairie-bell", "--tolerance-ms", "500", "--json"]);
  expect(JSON.parse(changed.stdout)).toMatchObject({
    carrier: { displayName: "Prairie Bell", legalCountry: "US", tolerances: { durationMs: "500" }, revision: "2" },
  });
  await ok(["carriers", "suspend", "prairie-bell"]);
  expect((await ok(["carriers", "list"])).stdout).toMatch(/prairie-bell +Prairie Bell +US +UTC +main +suspended/);
  expect((await run(["cdrs", "feed", "--carrier", "prairie-bell"])).stderr).toContain("CARRIER_SUSPENDED");
  expect((await ok(["carriers", "activate", "prairie-bell"])).stdout).toMatch(/state +active/);
});

test("a carrier's number ranges are set and shown, and one that is another's is refused by name", async () => {
  await ok(["carriers", "create", "ranged-tel", "--country", "SE"]);
  const set = ["carriers", "ranges", "set", "ranged-tel", "--prefixes", "+468,+4631", "--approved", "+46701234567"];
  expect((await ok(set)).stdout).toMatch(/prefixes +\+4631, \+468\napproved +1/);
  expect((await ok(["carriers", "ranges", "show", "ranged-tel"])).stdout).toMatch(/approved +\+46701234567/);
  const other = await run(["carriers", "ranges", "set", CARRIER, "--prefixes", "+46"]);
  expect(other).toMatchObject({ code: 1, stderr: expect.stringContaining("RANGE_TAKEN") });
  const shown = JSON.parse((await ok(["carriers", "ranges", "show", CARRIER, "--json"])).stdout);
  expect(shown).toEqual({ ranges: { carrierId: CARRIER } });
  await ok(["carriers", "ranges", "set", "ranged-tel"]);
  expect((await ok(["carriers", "ranges", "show", "ranged-tel"])).stdout).toContain("none: it may claim");
});

test("numbers are listed, shown and watched, and one that fails is named and ends with code 1", async () => {
  const listed = JSON.parse((await ok(["numbers", "list", "--carrier", CARRIER, "--json"])).stdout);
  expect(listed.numbers).toMatchObject([
    { phoneNumber: NUMBER, state: "NUMBER_STATE_ASSIGNED", customerId: "cedar-bank" },
    { phoneNumber: "+4510000002", state: "NUMBER_STATE_PROVISIONED" },
  ]);
  expect((await ok(["numbers", "get", NUMBER])).stdout).toMatch(/SIP URI +sip:\+4510000001@/);
  expect((await ok(["numbers", "history", NUMBER])).stdout).toContain("cedar-bank");
  const watched = await ok(["numbers", "watch", "--carrier", CARRIER, "--until-synced", "--json"]);
  expect(jsonLines(watched.stdout).map(({ phoneNumber }) => phoneNumber)).toEqual([NUMBER, "+4510000002"]);
  const failed = await run(["numbers", "assign", NUMBER, "--carrier", CARRIER, "--customer", "birch-clinic"]);
  expect(failed).toMatchObject({ code: 1, stdout: expect.stringContaining("NUMBER_STATE_CONFLICT") });
});

test("cdrs follow prints every record once, and goes on where its cursor file stands", async () => {
  const follow = ["cdrs", "follow", "--carrier", CARRIER, "--from", "earliest", "--until", "head", "--json"];
  const kept = [...follow, "--cursor-file", join(folder, "cdrs.cursor")];
  expect(jsonLines((await ok(kept)).stdout).map(({ recordId }) => recordId)).toEqual(["r1", "r2", "r3"]);
  expect(await ok(kept)).toMatchObject({ stdout: "", stderr: expect.stringContaining("the end was reached") });
  const filtered = await ok([...follow, "--number", NUMBER, "--direction", "inbound"]);
  expect(filtered.stdout).toBe("");
});

test("cdrs are listed, shown and summed up", async () => {
  const as = ["--carrier", CARRIER];
  expect((await ok(["cdrs", "list", ...as, "--limit", "2"])).stdout).toMatch(/out +\+4510000001 +\+4511223344 +60.0 s/);
  expect((await ok(["cdrs", "get", "r1", ...as])).stdout).toMatch(/ours +\+4510000001, customer cedar-bank/);
  expect(JSON.parse((await ok(["cdrs", "get", "--call", "c2", ...as, "--json"])).stdout)).toMatchObject({
    records: [{ recordId: "r2" }],
  });
  expect((await ok(["cdrs", "feed", ...as])).stdout).toMatch(/entries +3\n/);
  expect((await ok(["cdrs", "consumers", ...as])).stdout).toContain("No consumer has committed");
  expect((await ok(["cdrs", "quality", ...as, "--from", "2d", "--group", "direction"])).stdout).toMatch(
    /out +3 +100.0 %/,
  );
});

test("durations upload says what became of every record, and of the same file that it was there before", async () => {
  const first = `s1,outbound,${NUMBER},+4511223344,${iso(-3_600_000)},${iso(-3_590_000)},yes,60000`;
  const file = await writeDurations("mixed", [
    first,
    `s2,,${NUMBER},+4511223344,${iso(-3_600_000)},${iso(-3_590_000)},yes,60000`,
    `s3,outbound,+4510000098,+4511223344,${iso(-3_600_000)},${iso(-3_590_000)},yes,60000`,
    first,
  ]);
  const as = ["--carrier", CARRIER];
  const checked = await run(["durations", "upload", file, ...as, "--check"]);
  expect(checked).toMatchObject({ code: 3, stdout: expect.stringContaining("nothing was stored") });
  expect((await ok(["durations", "uploads", ...as])).stdout).toContain("No uploads yet");

  const uploaded = await run(["durations", "upload", file, ...as]);
  expect(uploaded.code).toBe(3);
  expect(uploaded.stdout).toContain("4 records: 1 accepted, 1 duplicate, 1 rejected, 1 quarantined.");
  expect(uploaded.stdout).toContain("s2 (line 3)");
  expect(uploaded.stdout).toContain("s3 (line 4)");

  const again = await run(["durations", "upload", file, ...as]);
  expect(again).toMatchObject({ code: 3, stdout: expect.stringContaining("The same file was uploaded at") });
  expect((await ok(["durations", "list", ...as])).stdout.match(/ s1\n/g)).toHaveLength(1);
  expect((await ok(["durations", "list", ...as, "--state", "quarantined"])).stdout).toContain("s3");
  expect((await ok(["durations", "get", "s1", ...as])).stdout).toContain("cedar-bank");
  const { uploads } = JSON.parse((await ok(["durations", "uploads", ...as, "--json"])).stdout);
  expect(uploads).toMatchObject([{ state: "UPLOAD_STATE_SEALED", committedOffset: "4" }]);
  expect((await ok(["durations", "rejects", uploads[0].uploadId, ...as])).stdout).toContain("s2 (offset 1)");
});

test("lines with mistakes are told and left out, and the others of the file are sent", async () => {
  const file = await writeDurations("wrong", [
    `w1,sideways,${NUMBER},+4511223344,2026-03-01T10:05:00,,perhaps,1.5`,
    `w2,outbound`,
    `w3,outbound,${NUMBER},+4511223344,2026-09-31T10:05:00Z,,no,`,
    `w4,outbound,${NUMBER},+4511"223344,${iso(-3_600_000)},,no,`,
    `w5,outbound,${NUMBER},+4511223344,${iso(-3_600_000)},${iso(-3_590_000)},yes,60000`,
  ]);
  const { code, stdout } = await run(["durations", "upload", file, "--carrier", CARRIER]);
  expect({ code, stdout }).toMatchObject({ code: 3, stdout: expect.stringContaining("1 records: 1 accepted") });
  for (const mistake of [
    "not sent: 4 lines",
    `${file}:2: direction is "sideways": expected one of outbound, inbound`,
    `${file}:2: invite_time is "2026-03-01T10:05:00": expected a time with its zone`,
    `${file}:2: answered is "perhaps": expected yes or no`,
    `${file}:2: connected_duration_ms is "1.5": expected a whole number`,
    `${file}:3: 2 fields instead of 8`,
    `${file}:4: invite_time is "2026-09-31T10:05:00Z": expected a time`,
    `${file}:5: `,
  ]) {
    expect(stdout).toContain(mistake);
  }
  expect((await ok(["durations", "get", "w5", "--carrier", CARRIER])).stdout).toContain("w5");
});

test("a file of which no line is a record is refused, and so is one whose header is wrong", async () => {
  const file = await writeDurations("none", ["s2,outbound"]);
  const { code, stderr } = await run(["durations", "upload", file, "--carrier", CARRIER]);
  expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining("nothing was sent") });
  expect(stderr).toContain(`${file}:2: 2 fields instead of 8`);
  await writeFile(file, "id,when\n1,2\n");
  expect((await run(["durations", "upload", file, "--carrier", CARRIER])).stderr).toContain("unknown column id");
});

test("a length with more digits than milliseconds is rounded, a time keeps its digits, and that is said once", async () => {
  const file = join(folder, "digits.csv");
  const start = `${iso(-3_600_000).slice(0, 19)}.1234567Z`;
  const rows = ["4.876543", "4.8765", "4.8764999", "5"].map(
    (seconds, at) => `d${at},outbound,${NUMBER},+4511223344,${start},${start},yes,${seconds}`,
  );
  const header = "record_id,direction,calling,called,invite_time,answer_time,answered,connected_duration_s";
  await writeFile(file, `${[header, ...rows].join("\n")}\n`);
  const { code, stdout } = await run(["durations", "upload", file, "--carrier", CARRIER]);
  expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining("4 accepted") });
  expect(stdout.match(/more precise than a millisecond: rounded/g)).toHaveLength(1);
  expect(stdout).toContain(`${file}:2`);
  const { durations } = JSON.parse((await ok(["durations", "list", "--carrier", CARRIER, "--json"])).stdout);
  const lengths = durations
    .filter(({ recordId }: { recordId: string }) => /^d\d$/.test(recordId))
    .map((duration: Record<string, string>) => [
      duration["recordId"],
      duration["connectedDurationMs"],
      duration["inviteTime"],
    ]);
  expect(lengths.sort()).toEqual(
    ["4877", "4877", "4876", "5000"].map((ms, at) => [`d${at}`, ms, start.replace("Z", "00Z")]),
  );
});

test("a number that no field has room for, and a text that is not UTF-8, cost their line and no other", async () => {
  const file = join(folder, "rows.csv");
  const row = (id: string, more: string) => `${id},outbound,${NUMBER},+4511223344,${iso(-3_600_000)},no,${more}`;
  const text = [
    "record_id,direction,calling,called,invite_time,answered,final_sip_code,customer_reference",
    row("n1", "99999999999,"),
    row("n2", "486,M~ller"),
    row("n3", "486,ok"),
  ].join("\n");
  const bytes = Buffer.from(text);
  bytes[bytes.indexOf("~")] = 0xfc;
  await writeFile(file, bytes);
  const { code, stdout } = await run(["durations", "upload", file, "--carrier", CARRIER]);
  expect({ code, stdout }).toMatchObject({ code: 3, stdout: expect.stringContaining("1 records: 1 accepted") });
  expect(stdout).toContain(`${file}:2: final_sip_code is "99999999999": expected a whole number of at most 2147483647`);
  expect(stdout).toContain(`${file}:3: customer_reference is not valid UTF-8`);
});

test("verify reads everything, says that it adds up, and says where it does not", async () => {
  expect(await run(["verify"], { TANDEM_DATABASE_URL: exchange.databaseUrl })).toMatchObject({
    code: 0,
    stdout: "All adds up.\n",
  });
  await using damaged = await startExchange();
  await damaged.addCarrier("alpha");
  await damaged.assignNumbers("alpha", [NUMBER]);
  await ingestCdrs(await damaged.platformClient(PlatformCdrService), {
    carrierId: "alpha",
    uploadId: "calls",
    source: arraySource([1, 2, 3].map(call)),
  });
  const { db } = damaged.services;
  await systemTransaction(db, (tx) => sql`DELETE FROM cdr_record WHERE record_id = 'r2'`.execute(tx));
  const found = await run(["verify", "--json"], { TANDEM_DATABASE_URL: damaged.databaseUrl });
  expect(found.code).toBe(1);
  expect(JSON.parse(found.stdout)).toMatchObject({
    ok: false,
    findings: expect.arrayContaining([expect.objectContaining({ carrierId: "alpha", check: "FEED_NOT_DENSE" })]),
  });
});

test("epoch rotate makes the cursors of before refused", async () => {
  await using own = await startExchange();
  await own.addCarrier("alpha");
  const cursorFile = join(folder, "epoch.cursor");
  const client = { TANDEM_URL: own.url, TANDEM_DATA_DIR: own.dataDir };
  const follow = ["cdrs", "follow", "--carrier", "alpha", "--from", "earliest", "--until", "head"];
  expect(await run([...follow, "--cursor-file", cursorFile], client)).toMatchObject({ code: 0 });
  const rotated = await run(["epoch", "rotate", "--yes"], { TANDEM_DATABASE_URL: own.databaseUrl });
  expect(rotated).toMatchObject({ code: 0, stdout: "The feeds of 1 carriers are in a new epoch.\n" });
  const refused = await run([...follow, "--cursor-file", cursorFile], client);
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("FEED_EPOCH_CHANGED") });
});

function run(args: readonly string[], more: Readonly<Record<string, string>> = {}): Promise<CliResult> {
  return runCli(args, { ...settings, ...more });
}

async function ok(args: readonly string[]): Promise<CliResult> {
  const result = await run(args);
  expect([args, result.code, result.code === 0 ? "" : result.stderr]).toEqual([args, 0, ""]);
  return result;
}

function jsonLines(text: string): Record<string, unknown>[] {
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

function iso(fromNowMs: number): string {
  return new Date(Date.now() + fromNowMs).toISOString();
}

async function writeDurations(name: string, rows: readonly string[]): Promise<string> {
  const file = join(folder, `${name}.csv`);
  const header = "record_id,direction,calling,called,invite_time,answer_time,answered,connected_duration_ms";
  await writeFile(file, `${[header, ...rows].join("\n")}\n`);
  return file;
}

/** A call of a minute, an hour ago. */
function call(index: number): CallDetailRecord {
  const inviteMs = Date.now() - 3_600_000 + index;
  return create(CallDetailRecordSchema, {
    recordId: `r${index}`,
    recordDate: new Date(inviteMs).toISOString().slice(0, 10),
    callId: `c${index}`,
    direction: 1,
    parties: { calling: { kind: 1, value: NUMBER }, called: { kind: 1, value: "+4511223344" } },
    times: {
      inviteTime: timestampFromMs(inviteMs),
      answerTime: timestampFromMs(inviteMs + 5_000),
      endTime: timestampFromMs(inviteMs + 65_000),
    },
    lengths: { connectedDurationMs: 60_000n },
    outcome: { finalSipCode: 200, q850Cause: 16 },
  });
}

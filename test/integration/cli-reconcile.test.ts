import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError } from "@connectrpc/connect";
import { parse } from "csv-parse/sync";
import { UnsecuredJWT } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CARRIER_SIDE } from "../../src/domain/record-kind.ts";
import { ReconciliationService as OwnReconciliationService } from "../../src/gen/tandem/carrier/v1/reconciliation_service_pb.js";
import { ReconciliationService } from "../../src/gen/tandem/platform/v1/platform_reconciliation_service_pb.js";
import { appendDiscrepancies, insertCallResults, setReconciled } from "../support/call-results.ts";
import { type CliResult, runCli } from "../support/cli.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { startScriptedServer } from "../support/scripted-server.ts";

const CARRIER = "nordlys-tele";
const START = "2026-06-01T12:00:00Z";
const JUNE = ["--from", "2026-06-01", "--to", "2026-06-30"];

let exchange: Exchange;
let folder: string;
let settings: Record<string, string>;

beforeAll(async () => {
  exchange = await startExchange();
  folder = await mkdtemp(join(tmpdir(), "tandem-cli-reconcile-"));
  settings = { TANDEM_URL: exchange.url, TANDEM_DATA_DIR: exchange.dataDir };
  const { db } = exchange.services;
  const createTime = 1_700_000_000_000_000n;
  await exchange.addCarrier(CARRIER, { thresholds: { netRatio: 0.01, unmatchedRatio: 0.9 }, createTime });
  await exchange.addCarrier("prairie-bell", { createTime });
  await insertCallResults(db, CARRIER, [
    { start_time: START },
    { start_time: START, direction: 2, platform_ms: 600_000n, carrier_ms: 600_000n },
    { start_time: START, status: 11, pending_reason: 1 },
  ]);
  await appendDiscrepancies(db, CARRIER, [
    {
      start_time: START,
      discrepancy_id: "ring",
      status: 4,
      causes: 1 << 5,
      carrier_ms: 66_000n,
      trunk_id: "t1",
      customer_id: "cedar-bank",
    },
    { start_time: START, discrepancy_id: "missing", status: 6 },
    { start_time: START, discrepancy_id: "ring", status: 1, causes: 1 << 5 },
  ]);
  await appendDiscrepancies(db, "prairie-bell", [{ start_time: START, discrepancy_id: "elsewhere", status: 7 }]);
  await setReconciled(db, CARRIER, { reconciled_through: "2026-06-02T00:00:00Z" });
});

afterAll(async () => {
  await exchange?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

test("help explains every command with examples, and wrong usage says what was expected", async () => {
  const commands = ["summary", "list", "follow", "status", "explain"];
  const helps = await Promise.all(commands.map((command) => ok(["reconcile", command, "--help"])));
  for (const { stdout } of helps) expect(stdout).toMatch(/Examples?:\n {2}tandem reconcile/);
  const wrong: [string[], string][] = [
    [["list", "--status", "lost"], "Expected one of matched-exact, within-tolerance"],
    [["list", "--json", "--csv"], "cannot be used with option"],
    [["summary", "--from", "yesterday"], "Expected a day such as 2026-03-01"],
    [["summary", "--by", "colour"], "Expected one of day, customer, trunk, direction."],
    [["follow", "--carrier", CARRIER], "required option '--from <start>'"],
    [["explain", "x", "--by", "smell"], "Allowed choices are discrepancy, call, cdr, duration."],
  ];
  const results = await Promise.all(wrong.map(([args]) => run(["reconcile", ...args])));
  for (const [index, [args, expected]] of wrong.entries()) {
    expect([args, results[index]?.code]).toEqual([args, 2]);
    expect(results[index]?.stderr).toContain(expected);
  }
});

test("summary is a table with thresholds marked, JSON, or CSV; of every carrier to the platform, of its own to a carrier", async () => {
  const [table, json, csv, own] = await Promise.all([
    ok(["reconcile", "summary", ...JUNE, "--carrier", CARRIER]),
    ok(["reconcile", "summary", ...JUNE, "--by", "day,direction", "--json"]),
    ok(["reconcile", "summary", ...JUNE, "--by", "direction", "--csv"]),
    ok(["reconcile", "summary", ...JUNE], { TANDEM_TOKEN: await exchange.carrierToken("prairie-bell") }),
  ]);
  // Three outbound of a minute, one of them missing, and ten minutes inbound.
  expect(table.stdout).toMatch(/^day +calls +min +min carrier +net +gross +unmatched +pending +reported +mostly for$/m);
  expect(table.stdout).toMatch(
    /^2026-06-01 +4 +13.0 +12.0 +-7.69 %! +7.69 % +25.00 % +1 +partly-reported +ring-time-included$/m,
  );
  expect(table.stderr).toContain("Every record committed before 2026-06-02T00:00:00Z is counted.");
  expect(JSON.parse(json.stdout)).toMatchObject({
    rows: [
      { carrierId: CARRIER, callDate: "2026-06-01", direction: "DIRECTION_OUTBOUND", comparedCallCount: "3" },
      {
        carrierId: CARRIER,
        callDate: "2026-06-01",
        direction: "DIRECTION_INBOUND",
        net: { ratio: 0, exceeded: false },
      },
      { carrierId: "prairie-bell" },
    ],
  });
  const rows = parse(csv.stdout, { columns: true });
  expect(rows).toMatchObject([
    {
      carrier_id: CARRIER,
      direction: "outbound",
      net_ratio: "-0.3333333333333333",
      net_exceeded: "true",
      status_missing_at_carrier: "1",
    },
    { carrier_id: CARRIER, direction: "inbound", platform_connected_duration_ms: "600000", cause_split: "0" },
    { carrier_id: "prairie-bell", net_ratio: "", net_exceeded: "" },
  ]);
  expect(own.stdout).toMatch(/^2026-06-01 +1 +0.0 +1.0 +100.00 % +0 +/m);
});

test("list shows what disagrees and did, filtered, as a table, JSON or CSV, and says when there is more", async () => {
  const [table, unresolved, json, csv, cut] = await Promise.all([
    ok(["reconcile", "list", ...JUNE]),
    ok(["reconcile", "list", ...JUNE, "--unresolved", "--carrier", CARRIER]),
    ok(["reconcile", "list", ...JUNE, "--cause", "ring-time-included", "--trunk", "t1", "--json"]),
    ok(["reconcile", "list", ...JUNE, "--carrier", CARRIER, "--csv"]),
    ok(["reconcile", "list", ...JUNE, "--limit", "1"]),
  ]);
  expect(table.stdout).toMatch(/^carrier id +start/m);
  expect(table.stdout).toMatch(
    /^prairie-bell +2026-06-01T12:00:00Z +out .* none +60.0 s +missing-at-platform +elsewhere$/m,
  );
  expect(unresolved.stdout).toMatch(
    /^2026-06-01T12:00:00Z +out +\+441632960001 +\+12025550123 +60.0 s +none +missing-at-carrier +missing$/m,
  );
  expect(unresolved.stdout).not.toContain("resolved");
  // Its newest revision has neither trunk nor customer changed.
  expect(JSON.parse(json.stdout).discrepancies).toMatchObject([{ discrepancyId: "ring", revision: 2, sequence: "3" }]);
  expect(parse(csv.stdout, { columns: true })).toMatchObject([
    {
      discrepancy_id: "missing",
      status: "missing-at-carrier",
      carrier_answered: "",
      platform_connected_duration_ms: "60000",
    },
    { discrepancy_id: "ring", status: "matched-exact", causes: "ring-time-included", connected_duration_delta_ms: "0" },
  ]);
  expect(cut.stderr).toContain("There are more than 1");
  const token = await exchange.carrierToken("prairie-bell");
  const others = await run(["reconcile", "list", "--carrier", CARRIER], { TANDEM_TOKEN: token });
  expect(others).toMatchObject({ code: 1, stdout: "" });
  expect(others.stderr).toContain(`the token belongs to carrier prairie-bell, not ${CARRIER}`);
});

test("follow prints every entry once, and goes on where its cursor file stands", async () => {
  const follow = ["reconcile", "follow", "--carrier", CARRIER, "--from", "earliest", "--until", "head"];
  const kept = [...follow, "--json", "--cursor-file", join(folder, "discrepancies.cursor")];
  const lines = (await ok(kept)).stdout.split("\n").filter(Boolean);
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { discrepancyId: "ring", revision: 1, status: "DISCREPANCY_STATUS_DURATION_MISMATCH" },
    { discrepancyId: "missing", revision: 1 },
    { discrepancyId: "ring", revision: 2, status: "DISCREPANCY_STATUS_MATCHED_EXACT" },
  ]);
  const [again, text, csv] = await Promise.all([
    ok(kept),
    ok([...follow, "--status", "duration-mismatch"]),
    ok([...follow, "--csv"]),
  ]);
  expect(parse(csv.stdout, { columns: true })).toMatchObject([
    { discrepancy_id: "ring", revision: "1" },
    { discrepancy_id: "missing", sequence: "2" },
    { discrepancy_id: "ring", revision: "2" },
  ]);
  expect(again).toMatchObject({ stdout: "", stderr: expect.stringContaining("the end was reached") });
  expect(text.stdout.match(/ ring #\d$/gm)).toEqual([" ring #1", " ring #2"]);
  expect(text.stdout).toMatch(/\+6.0 s +duration-mismatch +ring-time-included +ring #1$/m);
});

test("status shows how far each carrier is", async () => {
  const [all, one, csv] = await Promise.all([
    ok(["reconcile", "status"]),
    ok(["reconcile", "status", CARRIER, "--json"]),
    ok(["reconcile", "status", "--csv"]),
  ]);
  expect(all.stdout).toMatch(
    /^nordlys-tele +2026-06-02T00:00:00Z +0 +not yet +1 +0 +never +grace 1 since 2026-06-01T12:00:00Z$/m,
  );
  expect(all.stdout).toMatch(/^prairie-bell /m);
  expect(JSON.parse(one.stdout)).toMatchObject({ statuses: [{ carrierId: CARRIER, unresolvedDiscrepancyCount: "1" }] });
  expect(parse(csv.stdout, { columns: true })).toMatchObject([{ carrier_id: CARRIER, pending_grace: "1" }, {}]);
});

test("explain puts both records side by side, tells the steps as sentences and what was not taken", async () => {
  const asked: unknown[] = [];
  await using server = await startScriptedServer((router) => {
    router.service(ReconciliationService, {
      explainCall(request) {
        asked.push(request);
        return { explanations: [EXPLANATION] };
      },
    });
  });
  const args = ["explain", "r-1", "--by", "cdr", "--carrier", CARRIER, "--date", "2026-06-01"];
  const { stdout } = await runAgainst(server.baseUrl, args);
  expect(asked).toMatchObject([
    { carrierId: CARRIER, target: { case: "platformRecordId", value: "r-1" }, recordDate: "2026-06-01" },
  ]);
  expect(stdout).toContain(
    "nordlys-tele  duration-mismatch, because of ring-time-included, the carrier counts 6 s more, matched by SIP dialog (Call-ID)\n",
  );
  expect(stdout).toMatch(/^ +platform +carrier$/m);
  expect(stdout).toMatch(/^record +2026-06-01\/r-1 #1 +2026-06-01\/d-1 #2$/m);
  expect(stdout).toMatch(/^calling +\+441632960001 +\+441632960001$/m);
  expect(stdout).toMatch(/^connected +1 min +1 min 6 s$/m);
  expect(stdout).toMatch(/^SIP Call-ID +abc +abc$/m);
  expect(stdout).not.toMatch(/^(dialed|ICID)/m);
  expect(stdout).toMatch(/^ 1\. passed +correlation: Both name the same dialog\.$/m);
  expect(stdout).toMatch(/^ +correlation.interconnect_dialog: platform abc, carrier abc, passed$/m);
  expect(stdout).toMatch(/^ 2\. failed +duration: The durations are further apart than agreed\.$/m);
  expect(stdout).toMatch(
    /^ +carrier +2026-06-01\/d-2 +\+30 s +assignment +Another fits better\. It is paired with 2026-06-01\/r-2\.$/m,
  );
});

test("explain finds out what an id is of; without a carrier it can only be a call's", async () => {
  const asked: unknown[] = [];
  await using server = await startScriptedServer((router) => {
    router.service(ReconciliationService, {
      explainCall({ target, recordDate }) {
        asked.push(recordDate ?? target.case);
        if (target.case !== "carrierRecordId") throw new ConnectError("no call with this id", Code.NotFound);
        return { explanations: [EXPLANATION] };
      },
    });
  });
  const found = await runAgainst(server.baseUrl, ["explain", "d-1", "--carrier", CARRIER]);
  expect(found.stdout).toContain("nordlys-tele  duration-mismatch");
  expect(asked.splice(0)).toEqual(["discrepancyId", "callId", "platformRecordId", "carrierRecordId"]);
  const missing = await runAgainst(server.baseUrl, ["explain", "d-1"]);
  expect(missing.code).toBe(1);
  expect(missing.stderr).toContain("see --carrier");
  expect(missing.stderr).toContain("no call with this id");
  expect(asked).toEqual(["callId"]);
});

test("explain with a carrier's token asks for that carrier's own call, by its own method, and prints the same", async () => {
  const asked: unknown[] = [];
  const { carrierId, ...own } = EXPLANATION;
  await using server = await startScriptedServer((router) => {
    router.service(OwnReconciliationService, {
      explainCall({ target, recordDate }) {
        asked.push(recordDate ?? target.case);
        if (target.case !== "carrierRecordId") throw new ConnectError("no call with this id", Code.NotFound);
        return { explanations: [{ ...own, result: { ...own.result, carrierId } }] };
      },
    });
  });
  const TANDEM_TOKEN = new UnsecuredJWT({ tandem_carrier: CARRIER }).encode();
  const explain = (...args: readonly string[]) =>
    runCli(["reconcile", "explain", "d-1", ...args], { TANDEM_URL: server.baseUrl, TANDEM_TOKEN });
  const found = await explain();
  expect(found.stdout).toContain("nordlys-tele  duration-mismatch, because of ring-time-included");
  expect(found.stdout).toMatch(/^ 2\. failed +duration: The durations are further apart than agreed\.$/m);
  expect(asked).toEqual(["discrepancyId", "callId", "platformRecordId", "carrierRecordId"]);
  const json = await explain("--by", "duration", "--json");
  expect(JSON.parse(json.stdout)).toMatchObject({ explanations: [{ carrierRecords: [{ recordId: "d-1" }] }] });
  const missing = await explain("--by", "cdr");
  expect(missing.code).toBe(1);
  expect(missing.stderr).toContain("no call with this id");
  expect(missing.stderr).not.toContain("--carrier");
});

test("explain against a server that is older says so", async () => {
  await using server = await startScriptedServer((router) => {
    router.service(ReconciliationService, {});
  });
  const { code, stderr } = await runAgainst(server.baseUrl, ["explain", "d-1", "--carrier", CARRIER]);
  expect(code).toBe(1);
  expect(stderr).toContain("tandem: this server does not explain calls: it is older than this command");
});

const timestamp = { seconds: BigInt(Date.parse(START) / 1_000) };
const correlation = { interconnectDialog: { callId: "abc" } };
const ours = { kind: 1, value: "+441632960001" };
const EXPLANATION = {
  carrierId: CARRIER,
  result: { status: 4, findings: [{ cause: 5 }], matchedBy: 1, deltas: { connectedDurationDeltaMs: 6_000n } },
  platformRecord: {
    recordId: "r-1",
    recordDate: "2026-06-01",
    direction: 1,
    correlation,
    parties: { calling: ours },
    times: { inviteTime: timestamp },
    lengths: { connectedDurationMs: 60_000n },
  },
  carrierRecords: [
    {
      recordId: "d-1",
      recordDate: "2026-06-01",
      revision: 2,
      direction: 1,
      correlation,
      calling: ours,
      inviteTime: timestamp,
      connectedDurationMs: 66_000n,
    },
  ],
  steps: [
    {
      stage: 4,
      outcome: 1,
      explanation: "Both name the same dialog.",
      values: [{ valueName: "correlation.interconnect_dialog", platformValue: "abc", carrierValue: "abc", outcome: 1 }],
    },
    { stage: 11, outcome: 2, explanation: "The durations are further apart than agreed." },
  ],
  refusedCandidates: [
    {
      side: CARRIER_SIDE,
      record: { recordId: "d-2", recordDate: "2026-06-01" },
      refusedAt: 7,
      explanation: "Another fits better.",
      startDeltaMs: 30_000n,
      pairedWith: { recordId: "r-2", recordDate: "2026-06-01" },
    },
  ],
};

function runAgainst(url: string, args: readonly string[]): Promise<CliResult> {
  // Nothing looks at its signature.
  const token = new UnsecuredJWT({ scope: "reconciliation.read" }).encode();
  return runCli(["reconcile", ...args], { TANDEM_URL: url, TANDEM_TOKEN: token });
}

function run(args: readonly string[], more: Record<string, string> = {}): Promise<CliResult> {
  return runCli(args, { ...settings, ...more });
}

async function ok(args: readonly string[], more?: Record<string, string>): Promise<CliResult> {
  const result = await run(args, more);
  expect([args, result.code, result.code === 0 ? "" : result.stderr]).toEqual([args, 0, ""]);
  return result;
}

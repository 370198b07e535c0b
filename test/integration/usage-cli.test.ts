import { parse } from "csv-parse/sync";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DiscrepancyStatus } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import { restateUsage } from "../../src/jobs/restate-usage.ts";
import { encodeRestatement } from "../../src/rpc/usage/message.ts";
import { type CliResult, runCli } from "../support/cli.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { insertCalls } from "../support/usage.ts";

const NUMBER = "+4510000001";
/** The month before last, which is over in every time zone. */
const MONTH = monthsAgo(2);
const DAYS = ["--time-zone", "Europe/Copenhagen", "--month", MONTH];

let exchange: Exchange;

beforeAll(async () => {
  exchange = await startExchange();
  await exchange.addCarrier("nordlys-tele");
  await exchange.assignNumbers("nordlys-tele", [NUMBER], "cedar-bank");
  await exchange.addCarrier("prairie-bell");
  await exchange.assignNumbers("prairie-bell", ["+12025550123"], "cedar-bank");
  const call = { start: `${MONTH}-10T10:00:00Z`, number: NUMBER, other: "+15552823123" };
  await insertCalls(db(), "nordlys-tele", [
    { ...call, status: DiscrepancyStatus.MATCHED_EXACT, country: "DK" },
    { ...call, status: DiscrepancyStatus.MISSING_AT_CARRIER, country: "DK", direction: 2, platformMs: 90_000n },
    { ...call, status: DiscrepancyStatus.PENDING, start: `${MONTH}-11T10:00:00Z` },
  ]);
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

const db = () => exchange.services.db;

test("usage is shown as a table with the sums below, and says what it lacks", async () => {
  const { stdout, stderr } = await ok(["usage", "cedar-bank", ...DAYS]);
  expect(lines(stdout)).toEqual([
    "day number way country calls answered minutes unconfirmed pending",
    `${MONTH}-10 ${NUMBER} out DK 1 1 1.0`,
    `${MONTH}-10 ${NUMBER} in DK 1 1 1.5 1`,
    `${MONTH}-11 ${NUMBER} out 1 1 1.0 1`,
    "all 3 3 3.5 1 1",
  ]);
  expect(stderr).toContain("33.3 % of the calls are pending.\nnordlys-tele: partly reported, not reconciled yet.");
  expect(stderr).toContain("prairie-bell: no calls, not reconciled yet.");
  const one = [
    "usage",
    "show",
    "cedar-bank",
    "--time-zone",
    "Europe/Copenhagen",
    "--from",
    `${MONTH}-10`,
    "--by",
    "carrier",
  ];
  expect(lines((await ok(one)).stdout).at(-1)).toBe("all 2 2 2.5 1");
  expect((await ok(["usage", "nobody", ...DAYS])).stdout).toBe("No calls.\n");
});

test("--json prints the contract's JSON, --csv one row a line with every part", async () => {
  const json = JSON.parse((await ok(["usage", "cedar-bank", ...DAYS, "--by", "number", "--json"])).stdout);
  expect(json).toMatchObject({
    rows: [{ key: { phoneNumber: NUMBER }, totals: { attemptCount: "3" } }],
    totals: { attemptCount: "3" },
  });
  const csv = (await ok(["usage", "cedar-bank", ...DAYS, "--by", "direction,other-party", "--csv"])).stdout;
  expect(parse(csv, { columns: true })).toMatchObject([
    {
      direction: "outbound",
      other_party_number: "+15552823123",
      attempt_count: "2",
      agreed_attempt_count: "1",
      pending_connected_duration_ms: "60000",
    },
    {
      direction: "inbound",
      attempt_count: "1",
      unconfirmed_attempt_count: "1",
      unconfirmed_connected_duration_ms: "90000",
    },
  ]);
});

test("a period is closed, restated and shown as it was", async () => {
  expect((await run(["usage", "close", "cedar-bank", ...DAYS])).stderr).toContain("PERIOD_NOT_COMPLETE");
  const closed = await ok(["usage", "close", "cedar-bank", ...DAYS, "--max-pending", "0.5", "--json"]);
  const { periodId } = JSON.parse(closed.stdout).period;
  expect((await run(["usage", "close", "cedar-bank", ...DAYS])).stderr).toContain(`PERIOD_ALREADY_CLOSED`);
  const now = new Date().toISOString();
  const late = {
    start: `${MONTH}-12T10:00:00Z`,
    number: NUMBER,
    status: 1,
    more: { record_id: "late-1", arrival_time: now, update_time: now },
  };
  await insertCalls(db(), "nordlys-tele", [late]);
  const onError = (error: unknown) => {
    throw error;
  };
  await expect
    .poll(() =>
      restateUsage({ db: db(), encode: encodeRestatement, onError }, "test", undefined, new AbortController().signal),
    )
    .toBeDefined();

  const listed = (await ok(["usage", "restatements", "cedar-bank"])).stdout;
  const [, period = "", , restatement = ""] = lines(listed);
  expect(period).toMatch(/ 3 3.5 1 4 4.5$/);
  expect(period).toContain(`${MONTH}-01 ${monthsAgo(1)}-01 Europe/Copenhagen`);
  expect(restatement).toMatch(/-01 1 \S+ late record 1 3 > 4 3.5 > 4.5 late-1/);
  const csv = (await ok(["usage", "restatements", "cedar-bank", "--period", periodId, "--csv"])).stdout;
  expect(parse(csv, { columns: true })).toMatchObject([
    { cause: "late-record", usage_date: `${MONTH}-12`, old_attempt_count: "0", new_attempt_count: "1" },
  ]);
  const totalOf = async (...more: string[]) =>
    lines((await ok(["usage", "cedar-bank", ...DAYS, "--by", "day", ...more])).stdout).at(-1);
  expect(await totalOf()).toBe("all 4 4 4.5 1 1");
  expect(await totalOf("--closed", periodId)).toBe("all 3 3 3.5 1 1");
  expect(await totalOf("--closed", `${periodId}:1`)).toBe("all 4 4 4.5 1 1");
});

test("wrong usage says what was expected", async () => {
  const wrong: [string[], string][] = [
    [["usage", "cedar-bank", "--month", "2026-10"], "required option '--time-zone <zone>'"],
    [["usage", "cedar-bank", "--time-zone", "UTC"], "say which days"],
    [
      ["usage", "cedar-bank", "--time-zone", "PST", "--month", "2026-10"],
      "option '--time-zone <zone>' argument 'PST' is invalid",
    ],
    [["carriers", "create", "x-tele", "--country", "DK", "--time-zone", "cet"], "Expected an IANA time zone"],
    [["usage", "cedar-bank", ...DAYS, "--from", "2026-10-01"], "cannot be used with option"],
    [["usage", "cedar-bank", "--time-zone", "UTC", "--from", "yesterday"], "Expected a day such as 2026-03-01."],
    [["usage", "close", "cedar-bank", ...DAYS, "--max-pending", "2"], "Expected a share from 0 to 1"],
  ];
  const results = await Promise.all(wrong.map(([args]) => run(args)));
  for (const [index, [args, expected]] of wrong.entries()) {
    expect([args, results[index]?.code]).toEqual([args, 2]);
    expect(results[index]?.stderr).toContain(expected);
  }
  expect((await ok(["usage", "--help"])).stdout).toContain("restatements");
});

function run(args: readonly string[]): Promise<CliResult> {
  return runCli(args, { TANDEM_URL: exchange.url, TANDEM_DATA_DIR: exchange.dataDir });
}

async function ok(args: readonly string[]): Promise<CliResult> {
  const result = await run(args);
  expect([args, result.code, result.code === 0 ? "" : result.stderr]).toEqual([args, 0, ""]);
  return result;
}

/** Lines with the columns one space apart. */
function lines(text: string): string[] {
  return text
    .split("\n")
    .filter(Boolean)
    .map((line) => line.trim().replaceAll(/ +/g, " "));
}

function monthsAgo(count: number): string {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - count, 1)).toISOString().slice(0, 7);
}

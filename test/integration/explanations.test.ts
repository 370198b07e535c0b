import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { explainCommand } from "../../src/cli/reconcile/explain.ts";
import { addDays } from "../../src/domain/time/instant.ts";
import { DiscrepancyStatus } from "../../src/gen/tandem/type/v1/discrepancy_pb.js";
import { type Exchange, startExchange } from "../support/exchange.ts";
import { type Delivered, explainedCalls } from "../support/explained-calls.ts";
import { appendCdrs, appendDurations, readAllResults, reconcileFully } from "../support/reconcile.ts";

const DOCUMENT = new URL("../../docs/reconciliation.md", import.meta.url);
const CARRIER = "nordlys-tele";
/** What it links to: a file for each call, with the command in its first line. */
const SAMPLES = new URL("explanations/", import.meta.url);
const COMMANDS = /^\$ tandem reconcile explain (.+)$/gm;
/** The day of the calls in the document, and the one on which they are made here. */
const TOLD_DAY = "2026-11-15";
const DAY = addDays(new Date().toISOString().slice(0, 10), -5);
/** Of more candidates than these, the document shows the first three. */
const MOST_SHOWN = 5;

let exchange: Exchange;
/** Of a credential that sees no numbers of other parties. */
let tokenFile: string;
beforeAll(async () => {
  // Each command listens to them, and most processes run one.
  for (const stream of [process.stdout, process.stderr]) stream.setMaxListeners(100);
  exchange = await startExchange();
  const { db } = exchange.services;
  await exchange.addCarrier(CARRIER, { timeZone: "UTC" });
  await exchange.assignNumbers(CARRIER, ["+4510000017", "+4510000018", "+4510000019"]);
  const { cdrs, durations } = explainedCalls(DAY);
  const arrivals = new Set([...cdrs, ...durations].map(({ arrivalMs }) => arrivalMs));
  for (const arrivalMs of [...arrivals].sort((a, b) => a - b)) {
    if (arrivalMs === Math.max(...arrivals)) await reconcileBefore(arrivalMs);
    await appendCdrs(db, CARRIER, arrived(cdrs, arrivalMs), arrivalMs);
    await appendDurations(db, CARRIER, arrived(durations, arrivalMs), arrivalMs);
  }
  await reconcileFully(db, CARRIER);
  tokenFile = join(exchange.dataDir, "reader.token");
  await writeFile(tokenFile, await exchange.platformToken(["reconciliation.read"]));
});
afterAll(() => exchange?.[Symbol.asyncDispose]());

test("every explanation in docs/reconciliation.md is what the command prints today", async () => {
  const document = await readFile(DOCUMENT, "utf8");
  const today = await printedToday(document);
  expect(today.match(COMMANDS)).toHaveLength(4);
  // With `-u` behind this file's name, vitest writes it.
  await expect(today).toMatchFileSnapshot(DOCUMENT.pathname);
});

test("every explanation to which docs/reconciliation.md links is what the command prints today", async () => {
  const document = await readFile(DOCUMENT, "utf8");
  const names = (await readdir(SAMPLES)).sort();
  expect(names.length).toBeGreaterThanOrEqual(16);
  for (const name of names) {
    expect(document).toContain(`(../test/integration/explanations/${name})`);
    const sample = new URL(name, SAMPLES);
    const today = await printedToday(await readFile(sample, "utf8"));
    await expect(today).toMatchFileSnapshot(sample.pathname);
  }
});

/** A text with what its commands print in place of what stands below them. */
async function printedToday(text: string): Promise<string> {
  const printed = new Map<string, string>();
  for (const [, args = ""] of text.matchAll(COMMANDS)) printed.set(args, await explain(args.split(" ")));
  return text.replaceAll(
    /^\$ tandem reconcile explain (.+)\n[^`]*(```|(?![\s\S]))/gm,
    (_, args: string, end: string) => `$ tandem reconcile explain ${args}\n${printed.get(args)}\n${end}`,
  );
}

/** The last record to come is late: the document says that its call was missing in the meantime. */
async function reconcileBefore(arrivalMs: number): Promise<void> {
  const { db } = exchange.services;
  await reconcileFully(db, CARRIER, { nowMs: arrivalMs - 1 });
  const results = await readAllResults(db, CARRIER);
  expect(results.find(({ recordId }) => recordId === "sw-0018")?.status).toBe(DiscrepancyStatus.MISSING_AT_PLATFORM);
}

/** Runs the command here, and tells what it printed, by the document's day. */
async function explain(args: readonly string[]): Promise<string> {
  const lines: string[] = [];
  using _log = vi.spyOn(console, "log").mockImplementation((line = "") => lines.push(line));
  using _error = vi.spyOn(console, "error").mockImplementation(() => {});
  const connection = ["--url", exchange.url, "--token-file", tokenFile];
  await explainCommand().parseAsync([...args, ...connection], { from: "user" });
  return shorten(lines.flatMap((line) => line.split("\n")))
    .map((line) => line.trimEnd())
    .join("\n")
    .replaceAll(/\d{4}-\d\d-\d\d/g, toldDay);
}

function toldDay(day: string): string {
  const days = Math.round((Date.parse(day) - Date.parse(DAY)) / 86_400_000);
  return addDays(TOLD_DAY, days);
}

function shorten(lines: readonly string[]): readonly string[] {
  const first = lines.findIndex((line) => line.startsWith("Records that were considered but not taken")) + 2;
  const count = lines.length - first;
  if (first < 2 || count <= MOST_SHOWN) return lines;
  return [...lines.slice(0, first + 3), `  ... (${count - 3} more lines, cut from this sample)`];
}

function arrived<Record>(delivered: readonly Delivered<Record>[], atMs: number): Record[] {
  return delivered.filter(({ arrivalMs }) => arrivalMs === atMs).map(({ record }) => record);
}
